"""How the server starts: workers forked from what was imported, and a start that waits until it is told."""

from __future__ import annotations

import gc
import inspect
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from flowstead_server import around_mlflow, start

FORKING = Path(__file__).with_name("forking.py")
APP = Path(__file__).resolve().parents[3] / "roles/mlflow_release/files/app"


def until(is_so: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if found := is_so():
            return found
        time.sleep(0.02)
    raise AssertionError(what)


class Server:
    """What is started in place of `mlflow server`."""

    def __init__(self, *words: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        environment = {**os.environ, "PYTHONPATH": str(APP)}
        self.process = subprocess.Popen(
            [sys.executable, FORKING, str(self.port), *words],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def ask(self) -> dict[str, Any]:
        """Ask once, by a connection of its own; nothing when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=30) as answer:
                said: dict[str, Any] = json.loads(answer.read())
                return said
        except OSError:
            return {}

    def workers(self, number: int) -> set[int]:
        """Ask until so many different workers have answered."""
        found: set[int] = set()

        def are_all() -> bool:
            found.update({self.ask().get("worker", 0)} - {0})
            return len(found) >= number

        until(are_all, f"{number} workers")
        return found

    def told(self, words: str) -> None:
        """Read what it tells until it tells this."""
        assert self.process.stderr
        assert any(words in line for line in self.process.stderr), words

    def is_gone(self) -> bool:
        """Whether none of its processes is there any more."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False


@pytest.fixture
def serving() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def begin(*words: str) -> Server:
        servers.append(Server(*words))
        return servers[-1]

    yield begin
    for server in servers:
        if not server.is_gone():
            os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait(30)
        assert server.process.stderr
        server.process.stderr.close()


def test_workers_share_what_was_imported(serving: Callable[..., Server]) -> None:
    server = serving("2")
    until(server.ask, "an answer")
    assert len(server.workers(2)) == 2
    said = server.ask()
    assert said["imported_in"] == server.process.pid
    assert said["told"] == "by MLflow"


def test_one_worker_is_forked_too(serving: Callable[..., Server]) -> None:
    server = serving("1")
    said = until(server.ask, "an answer")
    assert said["imported_in"] == server.process.pid != said["worker"]
    server.process.terminate()
    server.process.wait(30)
    until(server.is_gone, "no process left")


def test_a_worker_that_dies_is_replaced(serving: Callable[..., Server]) -> None:
    server = serving("2")
    until(server.ask, "an answer")
    before = server.workers(2)
    os.kill(min(before), signal.SIGKILL)
    until(lambda: server.ask().get("worker") not in {None, *before}, "another worker")
    assert server.ask()["imported_in"] == server.process.pid


def test_a_stop_lets_a_request_in_flight_finish(serving: Callable[..., Server]) -> None:
    server = serving("2")
    until(server.ask, "an answer")
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n"
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        server.process.terminate()
        server.told("Waiting for connections to close")
        connection.sendall(b"half whole")
        answer = connection.recv(1000)
        while b"imported_in" not in answer:
            answer += connection.recv(1000)
    assert answer.startswith(b"HTTP/1.1 200 ")
    server.process.wait(30)
    until(server.is_gone, "no process left")


def test_a_signal_while_a_worker_is_forked_reaches_it_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it has handlers of its own it has its parent's, which only note a signal: it would never stop."""
    seen: list[str] = []
    monkeypatch.setattr(start, "handled", lambda: [signal.SIGUSR2])
    before = signal.signal(signal.SIGUSR2, lambda *_: seen.append("parent's"))
    pipe = os.pipe()

    class Signalled(start.Worker):
        def _bootstrap(self, *_args: Any, **_more: Any) -> int:
            os.kill(os.getpid(), signal.SIGUSR2)
            os.write(pipe[1], b"handled too early" if seen else b"waits")
            self.run()
            return 0

    one = Signalled(target=lambda: os.write(pipe[1], b", and was lost"))
    try:
        one.start()
        one.join(30)
        assert os.read(pipe[0], 100) == b"waits"
        assert one.exitcode == -signal.SIGUSR2
        assert signal.SIGUSR2 not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    finally:
        one.kill()
        signal.signal(signal.SIGUSR2, before)
        for end in pipe:
            os.close(end)


def test_connections_are_closed_before_anything_is_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    class Engine:
        def dispose(self) -> None:
            done.append("closed")

    engines = [Engine(), Engine()]
    monkeypatch.setattr(start, "taken", lambda module, name: {("sqlalchemy", "Engine"): Engine}[module, name])
    monkeypatch.setattr(start.Forked, "started", lambda arguments, _: done.append(arguments[0]))
    monkeypatch.setattr(start, "keep_pages", lambda: done.append("kept"))
    start.start_uvicorn(["python", "-m", "uvicorn", "--port"], extra_env={})
    assert done == ["closed"] * len(engines) + ["kept", "--port"]


def test_another_server_is_started_as_mlflow_does(monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["python", "-m", "gunicorn", "-b", "127.0.0.1:1"]
    got: list[Any] = []
    monkeypatch.setattr(start, "taken", lambda *_: lambda *args, **more: got.append((args, more)))
    start.start_uvicorn(command, extra_env={"A": "1"}, synchronous=False)
    assert got == [((command,), {"extra_env": {"A": "1"}, "synchronous": False})]


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def test_it_imports_says_so_waits_and_opens_nothing_before(
    tmp_path: Path, systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    told = tmp_path / "wait-1.2.3"
    told.touch()
    monkeypatch.setenv(start.WAIT, str(told))
    monkeypatch.setattr(start, "load", lambda: done.append("imported"))
    monkeypatch.setattr(start, "replace", lambda: done.append("in place"))
    monkeypatch.setattr(start, "prepare", lambda: done.append("stores opened"))
    monkeypatch.setattr(start, "taken", lambda *_: lambda words: done.append(words[0]))
    serving = threading.Thread(target=start.serve, daemon=True)
    serving.start()
    assert systemd.recv(1000).decode() == f"STATUS=imported; waits for {told} to go"
    assert done == ["imported", "in place"]
    assert serving.is_alive()
    told.unlink()
    serving.join(30)
    assert done == ["imported", "in place", "stores opened", "server"]


@pytest.mark.parametrize("named", [True, False], ids=["is not there", "is not named"])
def test_without_the_file_it_starts_at_once(
    tmp_path: Path, systemd: socket.socket, monkeypatch: pytest.MonkeyPatch, *, named: bool
) -> None:
    if named:
        monkeypatch.setenv(start.WAIT, str(tmp_path / "wait-1.2.3"))
    start.wait(lambda _: pytest.fail("it waits"))
    systemd.setblocking(False)  # noqa: FBT003 - the library's own
    with pytest.raises(BlockingIOError):
        systemd.recv(1000)


def test_a_stop_ends_the_waiting(tmp_path: Path, systemd: socket.socket) -> None:
    told = tmp_path / "wait-1.2.3"
    told.touch()
    waits = [sys.executable, "-c", "from flowstead_server import start; start.wait()"]
    with subprocess.Popen(
        waits, env={**os.environ, "PYTHONPATH": str(APP), start.WAIT: str(told)}
    ) as process:
        systemd.recv(1000)
        process.terminate()
        assert process.wait(30) == -signal.SIGTERM
    assert told.exists()


def test_what_mlflow_reads_while_it_is_imported_is_set_before(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[str | None] = []
    (name,) = [one for one in start.EARLY.values() if one.islower()]
    monkeypatch.setenv("MLFLOW_EXPOSE_PROMETHEUS", "/somewhere")
    monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(start, "check", lambda: found.append(os.environ.get(name)))
    monkeypatch.setattr(start, "LATER", ("json", "none.such"))
    monkeypatch.setattr(start, "keep_pages", lambda: None)
    start.load()
    assert found == ["/somewhere"]
    assert gc.isenabled()


def test_an_mlflow_that_starts_otherwise_is_refused() -> None:
    """The name in `mlflow.server` that is replaced, and what uvicorn asks for its workers."""
    assert ("mlflow.server", "_exec_cmd", 1) in around_mlflow.CALLS
    assert ("uvicorn.supervisors.multiprocess", "get_subprocess", 3) in around_mlflow.CALLS


def test_a_server_changes_no_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    modules = {name: ModuleType(name) for name in ("mlflow.server", *(one for one, *_ in start.MIGRATIONS))}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(around_mlflow, "version", lambda _: "1.2.3")
    start.replace()
    for name, function, arguments in start.MIGRATIONS:
        with pytest.raises(around_mlflow.AnotherSchemaError, match=r"another schema than MLflow 1\.2\.3"):
            getattr(modules[name], function)(*[None] * arguments)


def test_workers_find_in_place_what_they_know() -> None:
    """They ask what `check` asks, where the replacements are."""
    replaced = [(start.never_migrate, arguments) for *_, arguments in start.MIGRATIONS]
    for function, arguments in ((start.start_uvicorn, 1), (start.worker, 3), *replaced):
        inspect.signature(function).bind(*[None] * arguments)
