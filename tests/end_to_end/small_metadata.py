"""A metadata service just large enough for cloud-init: for tests of the data plane alone."""

from __future__ import annotations

import http.server
import json
import socket
import threading


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, sock: socket.socket, answers: dict[str, dict[str, str]], hop_limit: int) -> None:
        super().__init__(sock.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = sock
        self.answers = answers
        self.hop_limit = hop_limit
        self.server_name, self.server_port = "metadata", 80

    def get_request(self):
        connection, sender = self.socket.accept()
        connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, self.hop_limit)
        return connection, sender


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _say(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        self._say(200, "token")

    def do_GET(self):
        mine = self.server.answers.get(self.client_address[0], {})
        path = "/".join(self.path.split("/")[2:]).rstrip("/")
        if path == "meta-data/public-keys":
            self._say(200, "0=key")
            return
        if path in mine:
            self._say(200, mine[path])
            return
        under = {key[len(path) :].lstrip("/") for key in mine if not path or key.startswith(f"{path}/")}
        names = sorted({part.split("/")[0] + ("/" if "/" in part else "") for part in under})
        self._say(200 if names else 404, "\n".join(names))


def serve(sock: socket.socket, answers: dict[str, dict[str, str]], hop_limit: int = 1) -> _Server:
    """Answer on a listening socket: source address -> path -> text."""
    server = _Server(sock, answers, hop_limit)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def answers(instance_id: str, address: str, public_key: str, user_data: str = "") -> dict[str, str]:
    """Return what one instance is told."""
    name = "ip-" + address.replace(".", "-")
    told = {
        "meta-data/instance-id": instance_id,
        "meta-data/hostname": f"{name}.ec2.internal",
        "meta-data/local-hostname": f"{name}.ec2.internal",
        "meta-data/local-ipv4": address,
        "meta-data/instance-type": "t3.small",
        "meta-data/ami-id": "ami-1",
        "meta-data/placement/availability-zone": "us-east-1a",
        "meta-data/placement/region": "us-east-1",
        "meta-data/public-keys/0/openssh-key": public_key,
        "dynamic/instance-identity/document": json.dumps({"instanceId": instance_id, "region": "us-east-1"}),
    }
    return told | ({"user-data": user_data} if user_data else {})
