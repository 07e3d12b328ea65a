"""Ask twice on one connection, with a pause: use_a_connection_again.py PORT SECONDS.

Fails when the server closed the connection in the pause: a request sent on it just then would be lost.
"""

import http.client
import sys
import time

port, pause_s = map(int, sys.argv[1:])
connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
connection.auto_open = 0
connection.connect()
for wait_s in (0, pause_s):
    time.sleep(wait_s)
    connection.request("GET", "/health")
    connection.getresponse().read()
