"""Action plugin `flowstead_mlflow_facts`: what a host has and what serves there.

The module of the same name has the documentation.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

OPTIONS: dict[str, dict[str, Any]] = {
    "version": {"type": "str", "required": True},
    "serving_file": {"type": "str", "required": True},
    "store_file": {"type": "str", "default": "/etc/mlflow/store.json"},
    "ports": {"type": "list", "elements": "int", "required": True},
    "workers": {"type": "int", "default": 0},
    "servers": {"type": "int", "default": 1},
    "models_mib": {"type": "int", "default": 0},
    "image": {"type": "str", "default": "/etc/flowstead/image.json"},
    "lock": {"type": "str", "default": "/run/mlflow-change/lock"},
    "journal": {"type": "str", "default": "/var/lib/mlflow-change/journal.json"},
    "programs": {"type": "str", "default": "/usr/local/lib/flowstead"},
    "models": {"type": "str", "default": "/etc/flowstead/models.d/mlflow.json"},
}
# The host's own Python looks: a module would take three times as long. Paths are all that it is told
LOOK = """
import fcntl, json, os, sys
def text(path):
    try:
        with open(path) as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
def held(path):
    try:
        with open(path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return file.read().strip() or "something that does not say what it is"
    except (FileNotFoundError, NotADirectoryError):
        pass
    return ""
def named(path):
    try:
        return sorted(os.listdir(path))
    except FileNotFoundError:
        return []
serving, store, image, lock, journal, programs, models = sys.argv[1:]
print(json.dumps({
    "cores": len(os.sched_getaffinity(0)),
    "meminfo": text("/proc/meminfo"),
    "serving": text(serving),
    "store": text(store),
    "image": text(image),
    "busy": held(lock),
    "was_interrupted": os.path.exists(journal),
    "there": [one for one in named(programs) if one.startswith("mlflow")],
    "has_pg_dump": os.access("/usr/bin/pg_dump", os.X_OK),
    "has_models": os.path.exists(models),
}))
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


def port(version: str, now: Serving, ports: list[int]) -> int:
    """Return a release's port: its own for life; a new one takes the first that does not serve."""
    if now.version == version:
        return now.port
    return next(one for one in ports if one != now.port)


def workers(cores: int, memory_mib: int, wanted: int, servers: int = 1) -> int:
    """Return how many worker processes a release has.

    Requests are bound by the processor in Python: more workers than cores gain nothing.

    Args:
        cores: the host's processors.
        memory_mib: its memory.
        wanted: a fixed number, or 0.
        servers: how many servers share the memory.

    """
    own = (memory_mib - RESERVED_MIB) // servers
    return wanted or max(1, min(cores, (own - BASE_MIB) // WORKER_MIB))


def has_room_for_two(memory_mib: int, count: int, servers: int = 1) -> bool:
    """Tell whether two releases can run at the same time.

    A host without that room has to stop the old one before it starts the new one: clients then get 503 and
    try again.

    Args:
        memory_mib: the host's memory.
        count: worker processes of a release.
        servers: how many servers share the memory; each of the others has one release.

    """
    return memory_mib >= (servers + 1) * (REST_BASE_MIB + REST_WORKER_MIB * count) + REST_SYSTEM_MIB


def serving(text: str | None, path: str) -> Serving:
    """Return which release serves, as its file says.

    Args:
        text: what stands in the file; None where there is none.
        path: the file, for the error.

    Raises:
        FactsError: the file is damaged.

    """
    if text is None:
        return Serving()
    try:
        return Serving(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise FactsError(
            f"{path} does not say which release serves ({error}): restore it, then run this again."
        ) from error


def data_in(text: str | None, path: str) -> str:
    """Return where the host has its data, as its file says; empty where it does not know yet.

    Args:
        text: what stands in the file; None where there is none.
        path: the file, for the error.

    Raises:
        FactsError: the file is damaged.

    """
    if text is None:
        return ""
    try:
        return str(json.loads(text)["store"])
    except (ValueError, TypeError, KeyError) as error:
        raise FactsError(f"{path} does not say where the data are ({error}): remove it.") from error


def image_releases(text: str | None, path: str) -> list[str]:
    """Return the releases that a baked image holds, as the file says that came with it.

    Args:
        text: what stands in the file; None where there is none.
        path: the file, for the error.

    Raises:
        FactsError: the file is damaged.

    """
    if text is None:
        return []
    try:
        return [str(one) for one in json.loads(text)["releases"]]
    except (ValueError, TypeError, KeyError) as error:
        raise FactsError(f"{path} does not say what the image holds ({error}): remove it.") from error


def memory_mib(meminfo: str) -> int:
    """Return the host's memory in thousands of the kernel's kB, which hosts are sold by.

    Raises:
        FactsError: it does not stand there.

    """
    found = re.search(r"^MemTotal: *(\d+) kB$", meminfo, re.MULTILINE)
    if not found:
        raise FactsError("/proc/meminfo does not say how much memory the host has.")
    return int(found[1]) // 1000


def facts(given: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """Return all answers.

    Args:
        given: what was asked, as the documentation has it.
        said: what the host said.

    Raises:
        FactsError: a file there is damaged.

    """
    version = given["version"]
    now, memory = serving(said["serving"], given["serving_file"]), memory_mib(said["meminfo"] or "")
    # What models take, no server of MLflow has.
    own = memory - given["models_mib"]
    count = workers(said["cores"], own, given["workers"], given["servers"])
    plain = ("cores", "busy", "was_interrupted", "has_pg_dump", "has_models", "there")
    return {name: said[name] for name in plain} | {
        "memory_mib": memory,
        "serving": asdict(now),
        "is_serving": now.version == version,
        "still_serves": f"MLflow {now.version} still serves." if now.version else "Nothing serves yet.",
        "port": port(version, now, given["ports"]),
        "serving_port": now.port or given["ports"][0],
        "workers": count,
        "has_room_for_two": has_room_for_two(own, count, given["servers"]),
        "served": [now.version, *now.before] if now.version else [],
        "data_in": data_in(said["store"], given["store_file"]),
        "image_releases": image_releases(said["image"], given["image"]),
    }


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """The task `flowstead_mlflow_facts`."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task.

        Args:
            tmp: unused; Ansible passes it.
            task_vars: the host's variables.

        Returns:
            The result, as the module's documentation has it.

        Raises:
            AnsibleActionFail: the host does not tell.

        """
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(OPTIONS)
        files = ("serving_file", "store_file", "image", "lock", "journal", "programs", "models")
        paths = [args[name] for name in files]
        # With something to read it has no terminal, on which errors would stand among the answer
        said = self._low_level_execute_command(
            shlex.join(["/usr/bin/python3", "-I", "-c", LOOK, *paths]), in_data=b"\n"
        )
        if said["rc"]:
            raise AnsibleActionFail(f"The host could not be looked at: {said['stderr'].strip()}")
        try:
            return {"changed": False} | facts(args, json.loads(said["stdout"]))
        except (FactsError, ValueError) as error:
            raise AnsibleActionFail(str(error)) from error
