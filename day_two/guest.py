"""A server elsewhere that uses a project's databases: the host knows of it, and changes no data meanwhile."""

from __future__ import annotations

import getpass
import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from provisioner.errors import FlowsteadError

if TYPE_CHECKING:
    from fabric import Connection

# Holds a lock as long as the connection lives, through which the databases are reached: once that is broken,
# the server here does no more. roles/mlflow_data/files/host/change.py takes the lock that excludes it.
HOLD = """
mkdir -p "$1/guests" && exec 9< "$1/guests" && flock --shared --nonblock 9 || { echo busy; exit 1; }
test ! -e "$2" || { echo interrupted; exit 1; }
trap 'rm -f "$1/guests/$$"' EXIT HUP TERM
echo "$3" > "$1/guests/$$"
echo ready
cat > /dev/null
"""
REFUSALS = {
    "busy": ("The host is changing the project's data", "Wait until that is over, then run this again."),
    "interrupted": (
        "A change of the project's data was interrupted on the host",
        "Run ansible-playbook site.yml: it finishes or undoes it.",
    ),
}


@contextmanager
def guest(connection: Connection, name: str, port: int) -> Iterator[Any]:
    """Be known to the host as one who uses a server's databases.

    Args:
        connection: to the host.
        name: what the project's server is called there.
        port: where the server here answers.

    Yields:
        The channel: it ends when the host knows of this server no more.

    Raises:
        FlowsteadError: the host changes the data right now, or was interrupted at that.

    """
    who = f"{getpass.getuser()} on {socket.gethostname()}, port {port}"
    places = (f"/run/{name}-change", f"/var/lib/{name}-change/journal.json")
    transport: Any = connection.transport
    channel = transport.open_session()
    try:
        channel.exec_command(shlex.join(("sudo", "sh", "-c", HOLD, "sh", *places, who)))
        said = channel.makefile().readline().strip()
        if said != "ready":
            trouble, step = REFUSALS.get(
                said, ("The host does not take another server", "fab status says more.")
            )
            raise FlowsteadError(f"{trouble}.", next_step=step)
        yield channel
    finally:
        channel.close()
