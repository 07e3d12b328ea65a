"""A small HTTP/1.1 server with keep-alive and TLS, for sockets of any network namespace."""

from __future__ import annotations

import http.client
import logging
import mmap
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

log = logging.getLogger(__name__)

_IDLE_S = 75  # a client that says nothing for so long is dropped
_CHUNK_LINE_BYTES = 1024
_PIECE_BYTES = 1 << 20


@dataclass
class HttpRequest:
    """One request, read to its end.

    ``target`` is the path and query exactly as they came; ``peer`` the address it came from; ``origin`` the
    VPC it came from, or nothing for the machine itself.
    """

    method: str
    target: str
    headers: Message
    body: bytes
    peer: str
    connection: socket.socket
    origin: str = ""

    @property
    def path(self) -> str:
        """The path as it came, still percent-encoded."""
        return self.target.split("?", 1)[0]

    @property
    def query(self) -> str:
        """The query as it came, without the question mark."""
        return self.target.partition("?")[2]


@dataclass
class HttpResponse:
    """One response; ``Content-Length`` is set by the server. A file's map goes out piece by piece."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | mmap.mmap = b""


Application = Callable[[HttpRequest], HttpResponse | None]
"""Answers a request; ``None`` drops the connection without an answer."""


class Listener(ThreadingMixIn, TCPServer):
    """Serves an application on a socket that already listens, one thread for each connection.

    Args:
        sock: the listening socket.
        application: what answers.
        tls: the TLS context; plain HTTP without one. The handshake runs in the connection's own thread, so a
            client that connects and says nothing holds nobody else up.
        origin: the VPC the listener is in, or nothing.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(
        self,
        sock: socket.socket,
        application: Application,
        tls: ssl.SSLContext | None = None,
        *,
        origin: str = "",
    ) -> None:
        super().__init__(sock.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = sock
        self.application = application
        self.tls = tls
        self.origin = origin

    def start(self) -> None:
        """Serve from a thread of its own until ``stop``."""
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True).start()

    def stop(self) -> None:
        """Stop serving and close the socket."""
        self.shutdown()
        self.server_close()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands, then answer."""
        try:
            request.settimeout(_IDLE_S)
            if self.tls is not None:
                request = self.tls.wrap_socket(request, server_side=True)
            _Handler(request, client_address, self)
        except (OSError, ssl.SSLError) as error:
            log.debug("connection from %s: %s", client_address, error)

    def shutdown_request(self, request: Any) -> None:
        """Close; the TLS socket took the plain one over."""
        try:
            super().shutdown_request(request)
        except OSError as error:
            log.debug("closing: %s", error)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base's signature
        """Log instead of printing a traceback to a terminal that is gone."""
        log.error("connection from %s: %r", client_address, sys.exc_info()[1])


class _Handler(BaseHTTPRequestHandler):
    """Reads requests, asks the application, writes responses."""

    protocol_version = "HTTP/1.1"
    server_version = "Server"
    sys_version = ""
    wbufsize = 1 << 16
    disable_nagle_algorithm = True
    server: Listener

    def __getattr__(self, name: str) -> Any:
        """Every method is answered the same way."""
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def handle_expect_100(self) -> bool:
        """Tell the client to go on immediately: otherwise it waits a second."""
        self.send_response_only(http.client.CONTINUE)
        self.end_headers()
        self.wfile.flush()
        return True

    def _read_body(self) -> bytes:
        if "chunked" in (self.headers.get("Transfer-Encoding") or "").lower():
            parts = []
            while size := int(self.rfile.readline(_CHUNK_LINE_BYTES).split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline(_CHUNK_LINE_BYTES)
            while self.rfile.readline(_CHUNK_LINE_BYTES).strip():
                pass  # trailers
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self) -> None:
        request = HttpRequest(
            method=self.command,
            target=self.path,
            headers=self.headers,
            body=self._read_body(),
            peer=self.client_address[0],
            connection=self.connection,
            origin=self.server.origin,
        )
        response = self.server.application(request)
        if response is None:
            self.close_connection = True
            return
        self.send_response(response.status)
        bodiless = response.status in {http.client.NO_CONTENT, http.client.NOT_MODIFIED}
        length_given = False
        for name, value in response.headers:
            lower = name.lower()
            if lower in {"connection", "transfer-encoding", "server", "date"}:
                continue
            if lower == "content-length":
                # A HEAD's length is the object's; every other is what is sent.
                if self.command != "HEAD":
                    continue
                length_given = True
            self.send_header(name, value)
        if not bodiless and not length_given:
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD" and not bodiless:
            # TLS takes less than 2 GiB at a time.
            with memoryview(response.body) as body:
                for start in range(0, len(body), _PIECE_BYTES):
                    self.wfile.write(body[start : start + _PIECE_BYTES])
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Calls are logged by the call log, not here."""
        log.debug(format, *args)
