"""Network namespaces: make and remove them, run `ip` and `nft` inside, listen on sockets inside."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from sandbox.real.commands import RealError, attempt, run

DIRECTORY = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
"""linux/sched.h."""


def path(name: str) -> Path:
    """Return the file that stands for a namespace."""
    return DIRECTORY / name


def make(name: str) -> None:
    """Make a namespace with loopback up and without IPv6; one that is there already is kept."""
    if not attempt("ip", "-netns", name, "link", "set", "lo", "up"):
        remove(name)  # a file without a namespace, from before a reboot
        run("ip", "netns", "add", name)
        run("ip", "-netns", name, "link", "set", "lo", "up")
    settings(
        name,
        {
            "net/ipv6/conf/all/disable_ipv6": "1",
            "net/ipv6/conf/default/disable_ipv6": "1",
        },
    )


def remove(name: str) -> None:
    """Remove a namespace and what is in it; nothing to do without one."""
    if path(name).exists() and not attempt("ip", "netns", "delete", name):
        with contextlib.suppress(OSError):
            path(name).unlink()


def named(prefix: str) -> list[str]:
    """Return the names of the namespaces that begin with a prefix."""
    return sorted(entry.name for entry in DIRECTORY.glob(f"{prefix}*")) if DIRECTORY.is_dir() else []


def ip(name: str, *arguments: str) -> str:
    """Run `ip` inside a namespace."""
    return run("ip", "-netns", name, *arguments)


def nft(name: str | None, ruleset: str) -> None:
    """Apply an nftables ruleset in one transaction, inside a namespace or (None) in the machine's own."""
    inside = () if name is None else ("nsenter", f"--net={path(name)}")
    run(*inside, "nft", "-f", "-", text_input=ruleset)


def settings(name: str, values: dict[str, str]) -> None:
    """Set sysctls of a namespace, by their path below /proc/sys; those this kernel lacks are left out."""
    with entered(name):
        for key, value in values.items():
            with contextlib.suppress(FileNotFoundError):
                Path("/proc/sys", key).write_text(value)


def listen(name: str, kind: socket.SocketKind, address: str, port: int) -> socket.socket:
    """Return a bound socket inside a namespace, listening if it is a stream; usable from any thread.

    Raises:
        RealError: the address is not there or the port is taken.
    """
    with entered(name):
        made = socket.socket(socket.AF_INET, kind)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((address, port))
            if kind == socket.SOCK_STREAM:
                made.listen(128)
        except OSError as error:
            made.close()
            raise RealError(f"cannot listen on {address}:{port} in {name}: {error.strerror}") from error
    return made


@contextlib.contextmanager
def entered(name: str) -> Iterator[None]:
    """Have the calling thread, and no other, be inside a namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    own = f"/proc/self/task/{threading.get_native_id()}/ns/net"
    with contextlib.ExitStack() as opened:
        back = _open(own, opened)
        _setns(libc, _open(str(path(name)), opened), name)
        try:
            yield
        finally:
            _setns(libc, back, "the machine's own namespace")


def _open(file: str, opened: contextlib.ExitStack) -> int:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise RealError(f"there is no network namespace at {file}") from error
    opened.callback(os.close, descriptor)
    return descriptor


def _setns(libc: ctypes.CDLL, descriptor: int, name: str) -> None:
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise RealError(f"cannot enter {name}: {os.strerror(ctypes.get_errno())}")
