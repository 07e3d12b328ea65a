# ruff: noqa: ARG002 - paramiko gives these arguments their names
"""A host that speaks real SSH on 127.0.0.1: what first contact meets, without an AWS."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import paramiko

DEBIAN_13 = 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nID=debian\nVERSION_ID="13"\n'


@dataclass
class SshHost:
    """Answers what first contact asks; counts logins."""

    host_key: paramiko.PKey
    answers: dict[str, tuple[int, str]]
    may_log_in: bool = True
    port: int = 0
    logins: list[str] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def console(self) -> str:
        """What cloud-init prints at the end of the first boot."""
        return (
            "[    9.1] cloud-init[300]: done\n"
            "-----BEGIN SSH HOST KEY KEYS-----\n"
            f"{self.host_key.get_name()} {self.host_key.get_base64()} root@ip-10-80-0-9\n"
            "-----END SSH HOST KEY KEYS-----\n"
        )


class _Session(paramiko.ServerInterface):
    def __init__(self, host: SshHost) -> None:
        self.host = host

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.host.logins.append(username)
        return paramiko.AUTH_SUCCESSFUL if self.host.may_log_in else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        code, text = self.host.answers.get(command.decode(), (127, "not found\n"))

        def answer() -> None:
            channel.sendall(text.encode())
            channel.send_exit_status(code)
            channel.close()

        # After the reply to this request, which paramiko sends when we return.
        threading.Timer(0.1, answer).start()
        return True


@contextlib.contextmanager
def serving(**settings: object) -> Iterator[SshHost]:
    """Run a host until the end of the block."""
    answers = {
        "cloud-init status --wait --long": (0, "status: done\n"),
        "cat /etc/os-release": (0, DEBIAN_13),
    }
    key = settings.pop("host_key", None) or new_key()
    host = SshHost(key, answers | settings.pop("answers", {}), **settings)
    listener = socket.create_server(("127.0.0.1", host.port))
    listener.settimeout(0.2)
    host.port = listener.getsockname()[1]
    transports = []

    def serve() -> None:
        while not host.stopped.is_set():
            try:
                client, _ = listener.accept()
            except TimeoutError:
                continue
            transport = paramiko.Transport(client)
            transport.add_server_key(host.host_key)
            transports.append(transport)
            with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
                transport.start_server(event=threading.Event(), server=_Session(host))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield host
    finally:
        host.stopped.set()
        thread.join()
        for transport in transports:
            transport.close()
        listener.close()


def new_key() -> paramiko.PKey:
    """Make a host key."""
    return paramiko.ECDSAKey.generate()
