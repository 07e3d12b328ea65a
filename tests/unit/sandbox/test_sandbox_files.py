from __future__ import annotations

import json
import subprocess

import pytest
from typer.testing import CliRunner

from sandbox import control
from sandbox.cli import app
from sandbox.errors import SandboxError
from sandbox.files import Files, names


@pytest.fixture
def files(tmp_path):
    made = Files("one", tmp_path)
    made.directory.mkdir()
    return made


@pytest.mark.parametrize("name", ["", "Upper", "1st", "a/b", "..", "ca", "x" * 31])
def test_names_that_cannot_be_are_refused(name):
    with pytest.raises(SandboxError):
        Files(name)


def test_a_living_daemon_is_known_and_its_file_is_private(files):
    files.write_daemon({"endpoint": "https://x"})
    assert files.read_daemon()["endpoint"] == "https://x"
    assert (files.directory / "daemon.json").stat().st_mode & 0o077 == 0


def test_a_dead_daemon_and_its_numbers_next_holder_are_told_from_a_living_one(files):
    files.write_daemon({})
    file = files.directory / "daemon.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps(record | {"started": "another-boot:1"}))
    assert files.read_daemon() is None
    ended = subprocess.Popen(["true"])
    ended.wait()
    file.write_text(json.dumps(record | {"pid": ended.pid}))
    assert files.read_daemon() is None


def test_forgetting_leaves_nothing(files):
    (files.directory / "a" / "b").mkdir(parents=True)
    (files.directory / "a" / "b" / "file").write_text("x")
    (files.directory / "a" / "link").symlink_to("/")
    assert names(files.root) == ["one"]
    files.forget()
    assert names(files.root) == []


def test_the_control_socket_answers_under_a_long_path(tmp_path):
    directory = tmp_path / ("long" * 40)
    directory.mkdir()
    path = directory / "control.sock"
    server = control.ControlServer(path, lambda request: {"got": request["do"]} if request["do"] else 1 / 0)
    server.start()
    assert control.ask(path, {"do": "ping"}) == {"got": "ping"}
    with pytest.raises(SandboxError, match="ZeroDivisionError"):
        control.ask(path, {"do": ""})
    assert path.stat().st_mode & 0o077 == 0
    server.shutdown()
    server.server_close()
    with pytest.raises(SandboxError, match="does not answer"):
        control.ask(path, {"do": "ping"})


@pytest.mark.parametrize("command", ["env", "status", "calls", "ways"])
def test_asking_for_a_sandbox_that_is_not_up_says_how_to_start_it(command):
    result = CliRunner().invoke(app, [command, "--name", "surely-not-up"])
    assert isinstance(result.exception, SandboxError)
    assert "surely-not-up" in str(result.exception)
    assert "sandbox up --name surely-not-up" in result.exception.next_step
