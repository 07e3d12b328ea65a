#!/usr/bin/python
"""Module `flowstead_mlflow_facts`: what a host has, which release of MLflow serves, and what one may take."""

from __future__ import annotations

import fcntl
import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: flowstead_mlflow_facts
short_description: Learn what a host has, which release of MLflow serves, and how many workers one may have
description:
  - Answers in one round trip all that is asked of a host before anything is changed. Changes nothing.
options:
  version:
    description: The release that is to serve.
    type: str
    required: true
  serving_file:
    description: File that says which release serves.
    type: path
    required: true
  ports:
    description: Ports of which one serves, and another is for the next release.
    type: list
    elements: int
    required: true
  workers:
    description: Worker processes; 0 means as many as cores and memory allow.
    type: int
    default: 0
  image:
    description: File that says what the host's image holds, where it was baked.
    type: path
    default: /etc/flowstead/image.json
  lock:
    description: File that whatever changes the host's MLflow locks, and writes into what it does.
    type: path
    default: /run/mlflow-change/lock
  journal:
    description: File that is there while a change is under way, or was interrupted.
    type: path
    default: /var/lib/mlflow-change/journal.json
attributes:
  check_mode:
    support: full
    description: Nothing is changed in any mode.
author:
  - The Flowstead authors
"""

EXAMPLES = r"""
- name: What the host has is known
  flowstead_mlflow_facts:
    version: "3.17.2"
    serving_file: /etc/mlflow/serving.json
    ports: [5001, 5002]
  register: found
"""

RETURN = r"""
cores:
  description: Processors of the host.
  returned: success
  type: int
memory_mib:
  description: Memory of the host, in MiB.
  returned: success
  type: int
serving:
  description: The release that serves (C(version), empty if none), its C(port), and those C(before) it.
  returned: success
  type: dict
is_serving:
  description: Whether it is the one that is to serve.
  returned: success
  type: bool
still_serves:
  description: What serves, as a sentence for error messages.
  returned: success
  type: str
port:
  description: Port of the release that is to serve. A release keeps its port; a new one takes another.
  returned: success
  type: int
serving_port:
  description: Port that serves now, or would first.
  returned: success
  type: int
workers:
  description: Worker processes of a release.
  returned: success
  type: int
has_room_for_two:
  description: Whether the memory is enough for two releases at the same time.
  returned: success
  type: bool
served:
  description: The release that serves, then those that served before it; empty if none does.
  returned: success
  type: list
  elements: str
image_releases:
  description: Releases that the host's image holds; empty if it is not a baked one.
  returned: success
  type: list
  elements: str
has_pg_dump:
  description: Whether the host has the program that dumps PostgreSQL's databases.
  returned: success
  type: bool
busy:
  description: What changes the host's MLflow now; empty if nothing does.
  returned: success
  type: str
was_interrupted:
  description: Whether a change was interrupted, or is under way.
  returned: success
  type: bool
"""

# Memory of a host, in MiB: what the system and the gateway need, what a server's processes share, and
# what each worker adds, with room for what its requests hold. Measured after 100 callers, what several
# share counted once: 1 worker 296 MiB, 2 workers 367 MiB, 4 workers 496 MiB.
RESERVED_MIB = 512
BASE_MIB = 240
WORKER_MIB = 150
# At rest a release takes 240 MiB and 60 more per worker, the system 150
REST_BASE_MIB = 240
REST_WORKER_MIB = 60
REST_SYSTEM_MIB = 150


class FactsError(Exception):
    """What is wrong, as a sentence."""


@dataclass(frozen=True)
class Serving:
    """Which release serves.

    Args:
        version: the release; empty if none does.
        port: its port on 127.0.0.1, or 0.
        before: those that served before, the latest first.

    """

    version: str = ""
    port: int = 0
    before: list[str] = field(default_factory=list)


def serving(path: Path) -> Serving:
    """Return which release serves, as the file says.

    Raises:
        FactsError: the file is damaged.

    """
    try:
        return Serving(**json.loads(path.read_text()))
    except (FileNotFoundError, NotADirectoryError):
        return Serving()
    except (ValueError, TypeError) as error:
        raise FactsError(
            f"{path} does not say which release serves ({error}): restore it, then run this again."
        ) from error


def image_releases(path: Path) -> list[str]:
    """Return the releases that a baked image holds, as the file says that came with it."""
    try:
        return [str(one) for one in json.loads(path.read_text())["releases"]]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (ValueError, TypeError, KeyError) as error:
        raise FactsError(f"{path} does not say what the image holds ({error}): remove it.") from error


def port(version: str, now: Serving, ports: list[int]) -> int:
    """Return a release's port: its own for life; a new one takes the first that does not serve."""
    if now.version == version:
        return now.port
    return next(one for one in ports if one != now.port)


def workers(cores: int, memory_mib: int, wanted: int) -> int:
    """Return how many worker processes a release has.

    Requests are bound by the processor in Python: more workers than cores gain nothing.

    Args:
        cores: the host's processors.
        memory_mib: its memory.
        wanted: a fixed number, or 0.

    """
    return wanted or max(1, min(cores, (memory_mib - RESERVED_MIB - BASE_MIB) // WORKER_MIB))


def has_room_for_two(memory_mib: int, count: int) -> bool:
    """Tell whether two releases can run at the same time.

    A host without that room has to stop the old one before it starts the new one: clients then get 503 and
    try again.

    Args:
        memory_mib: the host's memory.
        count: worker processes of a release.

    """
    return memory_mib >= 2 * (REST_BASE_MIB + REST_WORKER_MIB * count) + REST_SYSTEM_MIB


def memory_mib(path: Path = Path("/proc/meminfo")) -> int:
    """Return the host's memory in thousands of the kernel's kB, which hosts are sold by."""
    found = re.search(r"^MemTotal: *(\d+) kB$", path.read_text(), re.MULTILINE)
    if not found:
        raise FactsError(f"{path} does not say how much memory the host has.")
    return int(found[1]) // 1000


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


def busy(lock: Path) -> str:
    """Return what holds a lock, as its holder wrote it there; empty if nobody does."""
    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return ""
    except OSError:
        return lock.read_text().strip() or "something that does not say what it is"
    return ""


def facts(given: dict[str, Any]) -> dict[str, Any]:
    """Return all answers.

    Raises:
        FactsError: the host does not tell.

    """
    version = given["version"]
    now, memory = serving(Path(given["serving_file"])), memory_mib()
    count = workers(cores(), memory, given["workers"])
    return {
        "cores": cores(),
        "memory_mib": memory,
        "serving": asdict(now),
        "is_serving": now.version == version,
        "still_serves": f"MLflow {now.version} still serves." if now.version else "Nothing serves yet.",
        "port": port(version, now, given["ports"]),
        "serving_port": now.port or given["ports"][0],
        "workers": count,
        "has_room_for_two": has_room_for_two(memory, count),
        "served": [now.version, *now.before] if now.version else [],
        "image_releases": image_releases(Path(given["image"])),
        "has_pg_dump": os.access("/usr/bin/pg_dump", os.X_OK),
        "busy": busy(Path(given["lock"])),
        "was_interrupted": Path(given["journal"]).exists(),
    }


def main() -> None:
    """Run the task."""
    module = AnsibleModule(
        argument_spec={
            "version": {"type": "str", "required": True},
            "serving_file": {"type": "path", "required": True},
            "ports": {"type": "list", "elements": "int", "required": True},
            "workers": {"type": "int", "default": 0},
            "image": {"type": "path", "default": "/etc/flowstead/image.json"},
            "lock": {"type": "path", "default": "/run/mlflow-change/lock"},
            "journal": {"type": "path", "default": "/var/lib/mlflow-change/journal.json"},
        },
        supports_check_mode=True,
    )
    try:
        found = facts(module.params)
    except FactsError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
