"""A registry of container images: Debian's docker-registry in a container, at a socket of ours."""

from __future__ import annotations

import http.client
import shutil
import socket
import threading
import time
from collections.abc import Mapping

from sandbox.real import containers, images
from sandbox.real.commands import RealError, run
from sandbox.real.site import Site

_START_S = 30.0
_ANSWER_S = 120.0


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_ANSWER_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Registry:
    """The registry; it has no network, and its images go with it.

    Args:
        site: the sandbox's piece of the machine.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._name = site.container("registry")
        self._directory = site.state_dir / "registry"
        self._lock = threading.Lock()
        self._runs = False

    def start(self) -> None:
        """Start it, unless it runs.

        Raises:
            RealError: it does not start.
        """
        with self._lock:
            if self._runs:
                return
            image = images.ensure("registry")
            containers.remove(self._name)
            self._directory.mkdir(parents=True, exist_ok=True)
            run(
                "podman", "run", "--detach",
                *containers.runtime_options(),
                "--name", self._name,
                *self._site.labels(),
                "--network", "none",
                "--security-opt", "label=disable",
                "--volume", f"{self._directory}:/run/registry",
                *containers.limit_options(),
                image,
                "docker-registry", "serve", "/etc/docker/registry/config.yml",
            )  # fmt: skip
            self._wait()
            self._runs = True

    def _wait(self) -> None:
        end = time.monotonic() + _START_S
        while True:
            try:
                self.ask("GET", "/v2/")
            except OSError as error:
                if time.monotonic() > end:
                    raise RealError(f"the registry does not start: {error}") from error
                time.sleep(0.05)
            else:
                return

    def ask(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Ask it something in the protocol of registries.

        Args:
            method: the HTTP method.
            target: path and query.
            headers: the request's headers.
            body: its body.

        Returns:
            Status, headers and body.

        Raises:
            OSError: it does not run.
        """
        connection = _Connection(str(self._directory / "registry.sock"))
        try:
            connection.request(method, target, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def close(self) -> None:
        """Remove it with its images; nothing to do when there is none."""
        with self._lock:
            if self._runs:
                containers.remove(self._name)
                shutil.rmtree(self._directory, ignore_errors=True)
                self._runs = False
