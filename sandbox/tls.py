"""TLS for the listeners: one context that shows each caller a certificate for the name it asked for."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from pathlib import Path

Issue = Callable[[list[str], list[str]], tuple[Path, Path]]
"""Issues a certificate for names and addresses; returns the paths of certificate and key."""


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    return context


class Certificates:
    """Makes TLS contexts.

    Args:
        issue: the authority's issuing function.
    """

    def __init__(self, issue: Issue) -> None:
        self._issue = issue
        self._lock = threading.Lock()
        self._by_name: dict[str, ssl.SSLContext] = {}

    def _for_name(self, name: str) -> ssl.SSLContext:
        with self._lock:
            if name not in self._by_name:
                # S3's names hold the bucket: a wildcard would not cover buckets with dots, the name itself
                # always does.
                self._by_name[name] = _context(*self._issue([name], []))
            return self._by_name[name]

    def context(self, addresses: list[str]) -> ssl.SSLContext:
        """Make a context for listeners at some addresses, that also speaks for any name under amazonaws.com.

        Args:
            addresses: the addresses clients may use instead of a name.

        Returns:
            The context.
        """
        base = _context(*self._issue(["sandbox.internal"], addresses))

        def choose(connection: ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
            if name and name.endswith(".amazonaws.com"):
                connection.context = self._for_name(name)

        # typeshed knows the callback's socket as SSLObject too; the listeners use sockets only.
        base.sni_callback = choose  # type: ignore[assignment]
        return base
