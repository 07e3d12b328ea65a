"""Containers as hosts and databases need them: which runtime, whose labels, their console and their end."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any, Literal

from sandbox.real.commands import CommandError, attempt, run

State = Literal["absent", "running", "stopped"]
"""Of a host or a database: never made, up, or down."""
_CAP_SYS_RESOURCE = 24
"""Bit of CAP_SYS_RESOURCE: linux/capability.h."""
_MOST_FILES = 524288
"""What systemd gives a service at most."""
_MOST_PROCESSES = 32768
"""What podman lowers itself to; without CAP_SYS_RESOURCE a container cannot have more."""


def cgroup_version() -> int:
    """Return 2 where the machine has the unified hierarchy only, else 1."""
    return 2 if Path("/sys/fs/cgroup/cgroup.controllers").exists() else 1


def runtime_options() -> tuple[str, ...]:
    """Return podman's options for the runtime that works here: crun refuses a hybrid of cgroup v1 and v2."""
    return () if cgroup_version() == 2 else ("--runtime", "runc")  # noqa: PLR2004 - cgroup v2


def may_raise_limits() -> bool:
    """Return whether this process may raise limits (CAP_SYS_RESOURCE), which podman's defaults need."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)
    return False


def limit_options() -> tuple[str, ...]:
    """Return podman's options for the limits of a container's processes: never above our own."""
    if may_raise_limits():
        return ()
    files = _at_most(resource.RLIMIT_NOFILE, _MOST_FILES)
    processes = _at_most(resource.RLIMIT_NPROC, _MOST_PROCESSES)
    return (f"--ulimit=nofile={min(1024, files)}:{files}", f"--ulimit=nproc={processes}:{processes}")


def _at_most(limit: int, most: int) -> int:
    own = resource.getrlimit(limit)[1]
    return most if own == resource.RLIM_INFINITY else min(own, most)


def labels(sandbox: str, clone: str) -> tuple[str, ...]:
    """Return podman's options for the labels by which a sandbox finds what is its own."""
    return ("--label", f"flowstead.sandbox={sandbox}", "--label", f"flowstead.clone={clone}")


def inspect(name: str) -> dict[str, Any] | None:
    """Return the state of a container (Status, Pid, ExitCode, ...), or None without one."""
    try:
        state = json.loads(
            run("podman", "inspect", "--type", "container", "--format", "{{json .State}}", name)
        )
    except CommandError:
        return None
    return dict(state)


def remove(name: str) -> None:
    """Kill and remove a container; nothing to do without one."""
    attempt("podman", "rm", "--force", "--time", "0", "--volumes", name)


def clear(sandbox: str, clone: str) -> None:
    """Kill and remove every container of a sandbox."""
    filters = ("--filter", f"label=flowstead.sandbox={sandbox}", "--filter", f"label=flowstead.clone={clone}")
    for container in run("podman", "ps", "--all", "--quiet", "--no-trunc", *filters).split():
        remove(container)


def read_log(path: Path) -> str:
    """Return the text in a log that podman wrote as k8s-file: `<time> <stream> <F|P> <text>` a line."""
    if not path.exists():
        return ""
    text = []
    for line in path.read_text(errors="replace").splitlines():
        _, _, rest = line.partition(" ")
        _, _, rest = rest.partition(" ")
        full, _, content = rest.partition(" ")
        text.append(content if full == "P" else f"{content}\n")
    return "".join(text).replace("\r\n", "\n")
