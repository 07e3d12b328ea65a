"""How the server starts: MLflow is imported once, and its workers are forked from the process that has it.

`mlflow server` has each worker import MLflow anew (mlflow/server/__init__.py starts `python -m uvicorn`,
which spawns): that takes seconds, and all of the memory again. Here `mlflow server` does in this process what
it always does, but uvicorn is forked from it, and forks its workers: they share what was imported.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

from flowstead_server.around_mlflow import MIGRATIONS, check, never_migrate, prepare, taken

# Names the file that is made before a server is started for later, and removed when it should serve.
WAIT = "FLOWSTEAD_WAIT_FILE"
LOOK_EACH_S = 0.05
# What MLflow reads from the environment while it is imported, and what `mlflow server` would set it from.
EARLY = {
    "MLFLOW_STATIC_PREFIX": "_MLFLOW_STATIC_PREFIX",
    "MLFLOW_EXPOSE_PROMETHEUS": "prometheus_multiproc_dir",
}
# What workers import in addition to what `check` imports, before they serve and with their first requests.
LATER = (
    "mlflow.cli",
    "alembic.command",
    "flowstead_server.artifacts",
    "uvicorn.main",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
    "uvicorn.lifespan.on",
    "anyio._backends._asyncio",
)
UVICORN = ("-m", "uvicorn")


def load() -> None:
    """Import all that serves; nothing is opened.

    Raises:
        AnotherMlflowError: MLflow is none that this app knows.

    """
    for public, internal in EARLY.items():
        if public in os.environ:
            os.environ[internal] = os.environ[public]
    # To look for garbage between imports takes longer than there is garbage.
    gc.disable()
    check()
    for module in LATER:
        # Not all are in a lock of one's own, and none is needed now.
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    gc.enable()
    keep_pages()


def keep_pages() -> None:
    """Look for garbage, and never again in what is there now: pages that nothing writes to stay shared."""
    gc.collect()
    gc.freeze()


def tell(status: str) -> None:
    """Tell systemd what the server does (sd_notify(3)); only the unit's main process is believed."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as at:
            at.sendto(f"STATUS={status}".encode(), path.replace("@", "\0", 1) if path[0] == "@" else path)


def wait(pause: Callable[[float], None] = time.sleep) -> None:
    """Wait for as long as the file is there."""
    path = os.environ.get(WAIT, "")
    if path and Path(path).exists():
        tell(f"imported; waits for {path} to go")
        while Path(path).exists():
            pause(LOOK_EACH_S)


def serve() -> None:
    """Be `mlflow server`, with workers that share what was imported."""
    load()
    replace()
    wait()
    prepare()
    taken("mlflow.cli", "cli")(["server", "--app-name", "flowstead"])


def replace() -> None:
    """Have MLflow start its workers otherwise, and change no tables."""
    for module, name, _ in MIGRATIONS:
        instead(module, name, never_migrate)
    instead("mlflow.server", "_exec_cmd", start_uvicorn)


def instead(module: str, name: str, function: Callable[..., Any]) -> None:
    """Have a module call another function."""
    setattr(importlib.import_module(module), name, function)


def start_uvicorn(
    command: Sequence[str], *, extra_env: Mapping[str, str] | None = None, **options: Any
) -> Any:
    """Start uvicorn in place of MLflow's `_exec_cmd`; another server is started as MLflow does.

    Args:
        command: an interpreter, `-m uvicorn` and uvicorn's arguments.
        extra_env: variables that MLflow gives the server in addition to this process's own.
        options: what else `_exec_cmd` takes.

    Returns:
        What MLflow needs of a process.

    """
    tell("serves")
    if tuple(command[1:3]) != UVICORN:
        return taken("mlflow.utils.process", "_exec_cmd")(command, extra_env=extra_env, **options)
    close_connections()
    keep_pages()
    return Forked.started(command[3:], extra_env or {})


def close_connections() -> None:
    """Close what MLflow has asked its databases with: each process opens connections of its own."""
    engine = taken("sqlalchemy", "Engine")
    for one in [one for one in gc.get_objects() if issubclass(type(one), engine)]:
        one.dispose()


class Forked:
    """uvicorn in a process of its own: what MLflow uses of `subprocess.Popen`."""

    def __init__(self, process: ForkProcess) -> None:
        self._process = process

    @classmethod
    def started(cls, arguments: Sequence[str], environment: Mapping[str, str]) -> Forked:
        """Start it."""
        process = ForkProcess(target=run_uvicorn, args=(arguments, environment))
        process.start()
        return cls(process)

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return its exit code; None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send it a signal; to no process number 0, which would be this whole group."""
        if self._process.ident:
            os.kill(self._process.ident, number)

    def wait(self) -> int | None:
        """Wait for its end."""
        self._process.join()
        return self._process.exitcode


def run_uvicorn(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Be uvicorn, which forks its workers."""
    os.environ.update(environment)
    instead("uvicorn.supervisors.multiprocess", "get_subprocess", worker)
    taken("uvicorn.main", "main")(list(arguments), prog_name="uvicorn")


def worker(config: Any, target: Callable[..., None], sockets: list[socket.socket]) -> Worker:
    """Make a worker in place of uvicorn's `get_subprocess`."""
    started = taken("uvicorn._subprocess", "subprocess_started")
    return Worker(target=started, args=(config, target, sockets, None))


class Worker(ForkProcess):
    """A worker that its parent's signal handlers are nothing to."""

    def start(self) -> None:
        """Start it; a signal that comes while it is forked waits until it has handlers of its own."""
        signal.pthread_sigmask(signal.SIG_BLOCK, handled())
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, handled())

    def run(self) -> None:
        """Work."""
        for number in handled():
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, handled())
        super().run()


def handled() -> list[int]:
    """Return the signals that uvicorn's parent of workers has handlers for."""
    return list(taken("uvicorn.supervisors.multiprocess", "SIGNALS"))
