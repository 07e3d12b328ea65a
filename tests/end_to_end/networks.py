"""The sandbox's networks, as the tests of its parts hold them in their hands."""

import contextlib
import os
import socket
import threading
from pathlib import Path

from sandbox.real import firewall, namespaces
from sandbox.real.commands import run
from sandbox.real.firewall import Rule
from sandbox.real.site import Site
from tests.clearing import cleared

CLONE = f"t{os.getpid()}"
OUT = Rule("out", "-1", -1, -1, ("0.0.0.0/0",))
SSH_FROM_ALL = Rule("in", "tcp", 22, 22, ("0.0.0.0/0",))
FIRST, SECOND, PRIVATE = "10.80.0.10", "10.80.1.10", "10.80.10.10"


def subnet(address):
    return f"{address.rpartition('.')[0]}.0/24"


def connect(netns, address, port, timeout_s=20.0):
    """Return what the server at an address says first; TimeoutError when packets are dropped."""
    with namespaces.entered(Path(netns).name) if netns else contextlib.nullcontext():
        made = socket.socket()
    with made:
        made.settimeout(timeout_s)
        made.connect((address, port))
        return made.recv(100).decode()


def reaches(netns, address, port, timeout_s=20.0):
    try:
        connect(netns, address, port, timeout_s)
    except OSError:
        return False
    return True


def is_shut_out(netns, address, port):
    """Tell whether nothing is heard of the server, which would answer in a millisecond."""
    return not reaches(netns, address, port, timeout_s=0.7)


@contextlib.contextmanager
def answering(netns, address, port):
    """Tell whoever connects from which address it came."""
    listening = namespaces.listen(Path(netns).name, socket.SOCK_STREAM, address, port)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, sender = listening.accept()
                with connection:
                    connection.sendall(sender[0].encode())

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()


@contextlib.contextmanager
def claimed(name, state_dir):
    site = Site.claim(name, state_dir, CLONE)
    clear = "from sandbox.real.site import Site; Site.clear(sys.argv[1], sys.argv[2])"
    with cleared(clear, name, CLONE):
        yield site


def plug(vpc, address, *rules):
    netns = vpc.attach(f"eni-{address}", address, subnet(address))
    firewall.apply(netns, rules, resolver=vpc.resolver)
    return netns


def ours(index):
    """Return what there is on the machine of one site."""
    found = [
        name
        for name in (link.name for link in Path("/sys/class/net").iterdir())
        if name.startswith((f"fs{index}v",)) or name == f"fs{index}"
    ]
    found += namespaces.named(f"fs{index}-")
    found += [
        line for line in run("nft", "list", "tables").splitlines() if line.endswith(f" flowstead_{index}")
    ]
    return found
