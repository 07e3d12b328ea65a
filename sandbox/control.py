"""The control socket: how the shell and the tests talk to the daemon, and nobody else can.

A Unix socket that root alone may open; one JSON object in, one out.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingUnixStreamServer
from threading import Thread
from typing import Any

from sandbox.errors import SandboxError

Answer = Callable[[dict[str, Any]], dict[str, Any]]


def _short(path: Path) -> tuple[int, str]:
    """Name a socket by its directory's descriptor: a Unix socket's path holds 107 bytes only."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    return directory, f"/proc/self/fd/{directory}/{path.name}"


class _Handler(StreamRequestHandler):
    server: ControlServer

    def handle(self) -> None:
        try:
            answer = self.server.answer(json.loads(self.rfile.readline()))
        except Exception as error:  # noqa: BLE001 - whatever it is, the asker is told
            answer = {"error": f"{type(error).__name__}: {error}"}
        self.wfile.write(json.dumps(answer).encode() + b"\n")


class ControlServer(ThreadingUnixStreamServer):
    """Answers on the control socket.

    Args:
        path: the socket's path; one that is left over is replaced.
        answer: answers a request.
    """

    daemon_threads = True

    def __init__(self, path: Path, answer: Answer) -> None:
        self.answer = answer
        path.unlink(missing_ok=True)
        directory, short = _short(path)
        try:
            super().__init__(short, _Handler)
        finally:
            os.close(directory)
        path.chmod(0o600)

    def start(self) -> None:
        """Answer from a thread of its own."""
        Thread(target=self.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True).start()


def ask(path: Path, request: dict[str, Any], timeout_s: float = 30.0) -> dict[str, Any]:
    """Ask the daemon something.

    Args:
        path: the control socket.
        request: the request: ``do`` names what, the rest is its arguments.
        timeout_s: how long to wait for the answer.

    Returns:
        The answer.

    Raises:
        SandboxError: nobody answers, or the answer is an error.
    """
    try:
        directory, short = _short(path)
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(timeout_s)
                connection.connect(short)
                connection.sendall(json.dumps(request).encode() + b"\n")
                with connection.makefile("rb") as stream:
                    line = stream.readline()
        finally:
            os.close(directory)
    except OSError as error:
        raise SandboxError(
            f"the sandbox's daemon does not answer ({error})",
            next_step="python -m sandbox up starts it again",
        ) from error
    answer: dict[str, Any] = json.loads(line or b'{"error": "the daemon closed the connection"}')
    if "error" in answer:
        raise SandboxError(str(answer["error"]))
    return answer
