"""Print the name of the instance's IAM role, a line without a word when it has none.

Runs with whatever Python the host has, before anything is installed: standard library only.
Exit status 1: the metadata service does not answer (not an EC2 instance, or its metadata endpoint is off).
"""

import sys
import urllib.error
import urllib.request
from http import HTTPStatus

URL = "http://169.254.169.254/latest"
open_url = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

try:
    ask = urllib.request.Request(URL + "/api/token", method="PUT")  # noqa: S310 - a constant http address
    ask.add_header("X-aws-ec2-metadata-token-ttl-seconds", "60")
    token = open_url(ask, timeout=5).read().decode()
    ask = urllib.request.Request(URL + "/meta-data/iam/security-credentials/")  # noqa: S310
    ask.add_header("X-aws-ec2-metadata-token", token)
    try:
        print(open_url(ask, timeout=5).read().decode().strip())
    except urllib.error.HTTPError as error:
        if error.code != HTTPStatus.NOT_FOUND:
            raise
        print()
except OSError as error:
    sys.exit(f"the instance metadata service does not answer: {error}")
