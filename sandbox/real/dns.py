"""DNS for a VPC's hosts: the sandbox's own names, AWS's names, and all others as the machine sees them."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dnslib import QTYPE, RCODE, RR, A, DNSRecord
from dnslib.dns import DNSError

from sandbox.real.vpc import API_ADDRESS

AWS_DOMAINS = ("amazonaws.com", "api.aws")
"""No host ever learns an address of the real AWS."""
_TTL_S = 5
_TIMEOUT_S = 5.0
_DATABASE_NAME = re.compile(r".*\.rds\.amazonaws\.com")

Names = Callable[[str, str], str | None]


class Resolver:
    """Answers DNS questions on sockets of VPCs' routers."""

    def __init__(self, names: Names, upstreams: list[str] | None = None) -> None:
        """Begin without sockets.

        Args:
            names: `(name, vpc_id)` -> the IPv4 address of one of the sandbox's own names, lower case and
                without the last dot; None if it is not one.
            upstreams: addresses of servers that know the rest; the machine's own when None.
        """
        self._names = names
        self._upstreams = upstreams
        self._pool = ThreadPoolExecutor(max_workers=16, thread_name_prefix="dns")
        self._sockets: dict[str, list[socket.socket]] = {}
        self._lock = threading.Lock()

    def serve(self, vpc_id: str, udp: socket.socket, tcp: socket.socket) -> None:
        """Answer on a VPC's sockets, from threads, until `stop`."""
        with self._lock:
            self._sockets.setdefault(vpc_id, []).extend((udp, tcp))
        for target, sock in ((self._serve_udp, udp), (self._serve_tcp, tcp)):
            threading.Thread(target=target, args=(vpc_id, sock), name=f"dns {vpc_id}", daemon=True).start()

    def stop(self, vpc_id: str) -> None:
        """Stop answering in a VPC, and close its sockets."""
        with self._lock:
            sockets = self._sockets.pop(vpc_id, [])
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def close(self) -> None:
        """Stop answering everywhere."""
        for vpc_id in list(self._sockets):
            self.stop(vpc_id)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def answer(self, query: bytes, vpc_id: str, *, tcp: bool = False) -> bytes | None:
        """Return the answer to one DNS message; None when it is none, or nobody answers."""
        try:
            request = DNSRecord.parse(query)
            question = request.q
        except (DNSError, IndexError):
            return None
        name = str(question.qname).rstrip(".").lower()
        reply = request.reply(ra=1, aa=0)
        found = self._own(name, vpc_id)
        if found is None:
            return self._forward(query, tcp=tcp) or _failure(request)
        if isinstance(found, int):
            reply.header.rcode = found
        elif question.qtype in (QTYPE.A, QTYPE.ANY):
            reply.add_answer(RR(question.qname, QTYPE.A, rdata=A(found), ttl=_TTL_S))
        return bytes(reply.pack())

    def _own(self, name: str, vpc_id: str) -> str | int | None:
        """Return the address of a name of ours, the failure its question gets, or None for others' names."""
        address = self._names(name, vpc_id)
        if address is not None:
            return address
        if name.endswith(".internal") or _DATABASE_NAME.fullmatch(name) or _is_private_reverse(name):
            return int(RCODE.NXDOMAIN)
        if any(name == domain or name.endswith(f".{domain}") for domain in AWS_DOMAINS):
            return API_ADDRESS
        return None

    def _forward(self, query: bytes, *, tcp: bool) -> bytes | None:
        for server in self._upstreams if self._upstreams is not None else machine_servers():
            with contextlib.suppress(OSError):
                return _ask_tcp(server, query) if tcp else _ask_udp(server, query)
        return None

    def _serve_udp(self, vpc_id: str, sock: socket.socket) -> None:
        with contextlib.suppress(OSError, RuntimeError):  # closed by stop
            while True:
                query, sender = sock.recvfrom(65535)
                self._pool.submit(self._answer_udp, vpc_id, sock, query, sender)

    def _answer_udp(self, vpc_id: str, sock: socket.socket, query: bytes, sender: tuple[str, int]) -> None:
        answer = self.answer(query, vpc_id)
        if answer is not None:
            with contextlib.suppress(OSError):
                sock.sendto(answer, sender)

    def _serve_tcp(self, vpc_id: str, sock: socket.socket) -> None:
        with contextlib.suppress(OSError, RuntimeError):  # closed by stop
            while True:
                connection, _ = sock.accept()
                self._pool.submit(self._answer_tcp, vpc_id, connection)

    def _answer_tcp(self, vpc_id: str, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, struct.error), connection:
            connection.settimeout(_TIMEOUT_S)
            while query := _read_message(connection):
                answer = self.answer(query, vpc_id, tcp=True)
                if answer is None:
                    return
                connection.sendall(struct.pack("!H", len(answer)) + answer)


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


def _failure(request: DNSRecord) -> bytes:
    reply = request.reply(ra=1, aa=0)
    reply.header.rcode = RCODE.SERVFAIL
    return bytes(reply.pack())


def _family(server: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in server else socket.AF_INET


def _ask_udp(server: str, query: bytes) -> bytes:
    with socket.socket(_family(server), socket.SOCK_DGRAM) as asking:
        asking.settimeout(_TIMEOUT_S)
        asking.connect((server, 53))
        asking.send(query)
        while True:
            answer = asking.recv(65535)
            if answer[:2] == query[:2]:
                return answer


def _ask_tcp(server: str, query: bytes) -> bytes:
    with socket.create_connection((server, 53), timeout=_TIMEOUT_S) as asking:
        asking.sendall(struct.pack("!H", len(query)) + query)
        return _read_message(asking)


def _read_message(connection: socket.socket) -> bytes:
    """Return one message of a stream (RFC 1035, 4.2.2); empty at its end."""
    header = _read(connection, 2)
    return _read(connection, struct.unpack("!H", header)[0]) if header else b""


def _read(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = connection.recv(length - len(data))
        if not part:
            return b""
        data += part
    return data
