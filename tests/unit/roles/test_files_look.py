"""The look of `flowstead_files`: only a host on which nothing differs is spared the module."""

from __future__ import annotations

import base64
import getpass
import grp
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[3]
OWNER, GROUP = getpass.getuser(), grp.getgrgid(os.getgid()).gr_name
CONTENT = b"one\n"


class Looking:
    """The plugin, with this machine as its host; it keeps what it was told to run."""

    def __init__(self, base: Path) -> None:
        spec = importlib.util.spec_from_file_location(
            "flowstead_files_action", PROJECT / "plugins/action/flowstead_files.py"
        )
        assert spec is not None
        assert spec.loader is not None
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        self.plugin = loaded.ActionModule.__new__(loaded.ActionModule)
        self.plugin._connection = SimpleNamespace(is_pipelining_enabled=lambda _: True)
        self.plugin._low_level_execute_command = self.execute
        self.base = base
        self.commands: list[str] = []

    def execute(self, command: str) -> dict[str, str]:
        self.commands.append(command)
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)  # noqa: S602 - as Ansible does
        return {"stdout": f"a banner\n{done.stdout}"}

    def __call__(self, python: str = sys.executable) -> bool:
        args = {"directories": [str(self.base)], "directory_mode": "0750", "owner": OWNER, "group": GROUP}
        content = base64.b64encode(CONTENT).decode()
        files = [{"path": str(self.base / name), "mode": "0640", "content": content} for name in ("a'b", "c")]
        variables = {"ansible_facts": {"discovered_interpreter_python": python}}
        return bool(self.plugin._is_so(args, files, variables))


@pytest.fixture
def looking(tmp_path: Path) -> Looking:
    """A host on which everything is as wanted."""
    base = tmp_path / "etc"
    base.mkdir()
    base.chmod(0o750)
    for name in ("a'b", "c"):
        (base / name).write_bytes(CONTENT)
        (base / name).chmod(0o640)
    return Looking(base)


def test_what_is_right_is_seen_and_no_content_is_sent(looking: Looking) -> None:
    assert looking()
    (command,) = looking.commands
    assert base64.b64encode(CONTENT).decode() not in command


def _link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o640)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"two\n"),
        lambda path: path.chmod(0o644),
        lambda path: os.chown(path, 12345, -1),
        lambda path: path.unlink(),
        lambda path: path.parent.chmod(0o755),
        _link,
        _directory,
    ],
)
def test_each_difference_is_left_to_the_module(looking: Looking, spoil: Callable[[Path], Any]) -> None:
    spoil(looking.base / "c")
    assert not looking()


@pytest.mark.parametrize("python", ["", "auto_silent", "/nonexistent/python3"])
def test_a_host_that_cannot_be_looked_at_is_left_to_the_module(looking: Looking, python: str) -> None:
    looking.plugin._templar = SimpleNamespace(template=str)
    assert not looking(python)
