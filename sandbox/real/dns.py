"""DNS for a VPC's hosts: the sandbox's own names, AWS's names, and all others as the machine sees them."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnslib import QTYPE, RCODE, RR, A, DNSRecord
from dnslib.dns import DNSError
from dnslib.server import BaseResolver, DNSHandler, DNSLogger, TCPServer, UDPServer

from sandbox.real.vpc import API_ADDRESS

AWS_DOMAINS = ("amazonaws.com", "api.aws")
"""No host ever learns an address of the real AWS."""
_TTL_S = 5
_TIMEOUT_S = 5.0
_POLL_S = 0.05
"""How soon a server notices that it is to stop."""
_DATABASE_NAME = re.compile(r".*\.rds\.amazonaws\.com")

Names = Callable[[str, str], str | None]


@dataclass(frozen=True)
class Zone(BaseResolver):  # type: ignore[misc]  # dnslib has no types
    """What the hosts of a VPC are told.

    Args:
        vpc_id: the VPC.
        names: `(name, vpc_id)` -> the IPv4 address of one of the sandbox's own names, lower case and
            without the last dot; None if it is not one.
        upstreams: addresses of servers that know the rest; the machine's own when None.

    """

    vpc_id: str
    names: Names
    upstreams: list[str] | None = None

    def resolve(self, request: DNSRecord, handler: Any) -> DNSRecord:
        """Answer a question that came to a handler, over UDP or TCP."""
        name = str(request.q.qname).rstrip(".").lower()
        found = self._own(name)
        if found is None:
            return self._forward(request, tcp=handler.protocol == "tcp")
        if isinstance(found, int):
            return _reply(request, found)
        reply = _reply(request)
        if request.q.qtype in (QTYPE.A, QTYPE.ANY):
            reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A(found), ttl=_TTL_S))
        return reply

    def _own(self, name: str) -> str | int | None:
        """Return the address of a name of ours, the failure its question gets, or None for others' names."""
        address = self.names(name, self.vpc_id)
        if address is not None:
            return address
        if name.endswith(".internal") or _DATABASE_NAME.fullmatch(name) or _is_private_reverse(name):
            return int(RCODE.NXDOMAIN)
        if any(name == domain or name.endswith(f".{domain}") for domain in AWS_DOMAINS):
            return API_ADDRESS
        return None

    def _forward(self, request: DNSRecord, *, tcp: bool) -> DNSRecord:
        for server in self.upstreams if self.upstreams is not None else machine_servers():
            with contextlib.suppress(OSError, DNSError):
                said = request.send(server, tcp=tcp, timeout=_TIMEOUT_S, ipv6=":" in server)
                return DNSRecord.parse(said)
        return _reply(request, RCODE.SERVFAIL)


class _Server(socketserver.BaseServer):
    """What dnslib's servers do, on a socket that a VPC's router has opened."""

    def __init__(self, sock: socket.socket, zone: Zone) -> None:
        socketserver.BaseServer.__init__(self, sock.getsockname(), DNSHandler)
        self.socket, self.resolver = sock, zone
        self.logger = DNSLogger("-request,-reply,-truncated,-error")

    def handle_error(self, *_: Any) -> None:
        """Leave who sends junk, or goes, without an answer."""


class _Udp(_Server, UDPServer):  # type: ignore[misc]  # dnslib has no types
    pass


class _Tcp(_Server, TCPServer):  # type: ignore[misc]  # dnslib has no types
    pass


class Resolver:
    """Answers DNS questions on sockets of VPCs' routers, from threads.

    Args:
        names: the sandbox's own names, as `Zone` has them.

    """

    def __init__(self, names: Names) -> None:
        self._names = names
        self._servers: dict[str, list[_Server]] = {}
        self._lock = threading.Lock()

    def serve(self, vpc_id: str, udp: socket.socket, tcp: socket.socket) -> None:
        """Answer on a VPC's sockets until `stop`."""
        zone = Zone(vpc_id, self._names)
        servers = [_Udp(udp, zone), _Tcp(tcp, zone)]
        with self._lock:
            self._servers.setdefault(vpc_id, []).extend(servers)
        for server in servers:
            threading.Thread(
                target=server.serve_forever, args=(_POLL_S,), name=f"dns {vpc_id}", daemon=True
            ).start()

    def stop(self, vpc_id: str) -> None:
        """Stop answering in a VPC, and close its sockets."""
        with self._lock:
            servers = self._servers.pop(vpc_id, [])
        for server in servers:
            server.shutdown()
            server.server_close()

    def close(self) -> None:
        """Stop answering everywhere."""
        for vpc_id in list(self._servers):
            self.stop(vpc_id)


def machine_servers(file: Path = Path("/etc/resolv.conf")) -> list[str]:
    """Return the addresses of the machine's own DNS servers."""
    try:
        lines = [line.split() for line in file.read_text().splitlines()]
    except OSError:
        return []
    return [words[1].partition("%")[0] for words in lines if len(words) > 1 and words[0] == "nameserver"]


def _is_private_reverse(name: str) -> bool:
    """Return whether the name of a private address is asked for, which no server outside knows."""
    if not name.endswith(".in-addr.arpa"):
        return False
    parts = name.removesuffix(".in-addr.arpa").split(".")[::-1]
    try:
        address = ipaddress.IPv4Address(".".join((parts + ["0"] * 4)[:4]))
    except ValueError:
        return False
    return address.is_private


def _reply(request: DNSRecord, rcode: int = RCODE.NOERROR) -> DNSRecord:
    reply = request.reply(ra=1, aa=0)
    reply.header.rcode = rcode
    return reply
