"""Ask during a crowd of clients that connect and say nothing: crowd.py URL CA_FILE CLIENTS.

Fails when the question gets no answer within 20 s: the gateway has then no file left for a connection.
"""

import resource
import socket
import ssl
import sys
import urllib.parse
import urllib.request

url, ca_file = sys.argv[1:3]
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
clients = min(int(sys.argv[3]), most - 100)
parts = urllib.parse.urlsplit(url)
crowd = [socket.create_connection((parts.hostname, parts.port or 443), timeout=20) for _ in range(clients)]
trusted = ssl.create_default_context(cafile=ca_file)
with urllib.request.urlopen(url, context=trusted, timeout=20) as answer:  # noqa: S310 - https
    answer.read()
for connection in crowd:
    connection.close()
