"""The way to a database: an SSH tunnel through a host, opened while other things are done, or none."""

from __future__ import annotations

import contextlib
import shlex
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import IO, Any

from .errors import DatabaseAccessError

TUNNEL_TIMEOUT_S = 30
PAUSE_S = 0.02
# A connection of its own, which ends with this process; ssh takes the first value it is given, so these win
OWN_CONNECTION = ("ControlMaster=no", "ControlPath=none", "ExitOnForwardFailure=yes", "BatchMode=yes")


def ssh_command(option: Callable[[str], Any], local_port: int, endpoint: str, port: int) -> list[str]:
    """Return the command that keeps the tunnel open.

    Args:
        option: gives the value of an option of Ansible's ssh connection plugin.
        local_port: where it begins, on 127.0.0.1.
        endpoint: the host at its end, as the host in the middle knows it.
        port: the port at its end.
    """
    command = [option("ssh_executable"), "-N", "-L", f"127.0.0.1:{local_port}:{endpoint}:{port}"]
    for setting in OWN_CONNECTION:
        command += ["-o", setting]
    for arguments in ("ssh_args", "ssh_common_args", "ssh_extra_args"):
        command += shlex.split(option(arguments) or "")
    command += ["-o", f"ConnectTimeout={option('timeout')}"]
    for flag, name in (("-p", "port"), ("-i", "private_key_file"), ("-l", "remote_user")):
        if option(name):
            command += [flag, str(option(name))]
    return [*command, option("host")]


def wait_until_open(process: subprocess.Popen[bytes], local_port: int, words: IO[bytes], what: str) -> None:
    """Return when the tunnel takes connections; raise DatabaseAccessError when ssh gives up instead."""
    deadline = time.monotonic() + TUNNEL_TIMEOUT_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", local_port), timeout=1):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            words.seek(0)
            said = " ".join(words.read().decode(errors="replace").split()) or "ssh said nothing"
            raise DatabaseAccessError(f"No SSH tunnel to {what}: {said}")
        time.sleep(PAUSE_S)


@contextlib.contextmanager
def tunnel(option: Callable[[str], Any], endpoint: str, port: int) -> Iterator[Callable[[], tuple[str, int]]]:
    """Have a tunnel for the block.

    Args:
        option: gives the value of an option of Ansible's ssh connection plugin.
        endpoint: the host at the end of the tunnel.
        port: the port there.

    Yields:
        A function that waits until the tunnel is open and returns the address and port where it begins.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        local_port = int(probe.getsockname()[1])
    command = ssh_command(option, local_port, endpoint, port)

    def opened() -> tuple[str, int]:
        wait_until_open(process, local_port, words, f"{endpoint}:{port} through {option('host')}")
        return "127.0.0.1", local_port

    with (
        tempfile.TemporaryFile() as words,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=words
        ) as process,
    ):
        try:
            yield opened
        finally:
            process.terminate()


@contextlib.contextmanager
def no_tunnel(endpoint: str, port: int) -> Iterator[Callable[[], tuple[str, int]]]:
    """Go straight there, as `tunnel` has it."""

    def found() -> tuple[str, int]:
        try:
            return socket.gethostbyname(endpoint), port
        except OSError as error:
            raise DatabaseAccessError(f"This machine does not find {endpoint}: {error.strerror}") from error

    yield found
