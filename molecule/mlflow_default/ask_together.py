"""Ask as many clients do at a time: ask_together.py PORT CLIENTS, with the password of admin on the input.

Fails when one is answered anything but 200: the database has fewer connections than the server wants.
"""

import base64
import collections
import http.client
import sys
from concurrent.futures import ThreadPoolExecutor

port, clients = map(int, sys.argv[1:])
login = base64.b64encode(f"admin:{sys.stdin.read()}".encode()).decode()
headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}


def ask(_: int) -> list[int]:
    """Return the statuses of three questions on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    statuses = []
    for _ in range(3):
        connection.request("POST", "/api/2.0/mlflow/experiments/search", b'{"max_results": 1}', headers)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    return statuses


with ThreadPoolExecutor(clients) as pool:
    answers = collections.Counter(status for statuses in pool.map(ask, range(clients)) for status in statuses)
sys.exit(0 if set(answers) == {200} else f"not all were answered 200: {dict(answers)}")
