"""Log in sixty times together: try_passwords.py URL CA_FILE NAME, with a password on the input or wrong ones.

Prints how often each status was answered, as JSON.
"""

import base64
import collections
import json
import ssl
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

TRIES = 60


def status(url: str, context: ssl.SSLContext, name: str, password: str) -> str:
    """Ask once; a refusal that does not say when to come again is marked."""
    login = base64.b64encode(f"{name}:{password}".encode()).decode()
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {login}"})  # noqa: S310 - https
    try:
        with urllib.request.urlopen(request, context=context, timeout=120) as answer:  # noqa: S310 - https
            return str(answer.status)
    except urllib.error.HTTPError as error:
        is_silent = error.code == 429 and not int(error.headers.get("Retry-After") or 0)  # noqa: PLR2004
        return f"{error.code} without Retry-After" if is_silent else str(error.code)
    except OSError:
        return "no answer"


url, ca_file, name = sys.argv[1:]
trusted = ssl.create_default_context(cafile=ca_file)
right = sys.stdin.read()
passwords = [right or f"wrong-{number}" for number in range(TRIES)]
with ThreadPoolExecutor(TRIES) as pool:
    answers = collections.Counter(pool.map(lambda password: status(url, trusted, name, password), passwords))
json.dump(answers, sys.stdout)
