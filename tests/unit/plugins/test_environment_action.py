"""The action plugin `flowstead_environment`: the lock goes to the host only where it has to be installed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail

LOCK = "one==1.0 --hash=sha256:00\n"
CHECKSUM = hashlib.sha1(LOCK.encode(), usedforsecurity=False).hexdigest()
INCOMPLETE = {"changed": True, "is_complete": False}


@pytest.fixture
def task(load: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A task, and what it has sent to the host."""
    lock = tmp_path / "lock.txt"
    lock.write_text(LOCK)
    plugin = load("flowstead_environment", "action")
    # It makes ready for a connection, of which there is none.
    monkeypatch.setattr(plugin.ActionBase, "run", lambda *_: {})

    class Task(plugin.ActionModule):  # type: ignore[misc, name-defined]  # loaded by its file
        def __init__(self, *, check: bool = False, **args: Any) -> None:
            given = {"lock_file": str(lock), "stamp": "/opt/lock.txt", "works": ["/opt/bin/python", "-c", ""]}
            self._task = SimpleNamespace(args=given | args, check_mode=check)
            self._loader = SimpleNamespace(get_real_file=lambda path: path)
            self.stamp = CHECKSUM
            self.answers: list[dict[str, Any]] = []
            self.sent: list[dict[str, Any]] = []
            self.installed: list[list[str]] = []

        def _find_needle(self, _where: str, name: str) -> str:
            return name

        def _low_level_execute_command(self, _command: str, **_how: Any) -> dict[str, Any]:
            return {"rc": 0, "stdout": f"{self.stamp}  /opt/lock.txt\n", "stderr": ""}

        def _execute_module(self, module_args: dict[str, Any], **_how: Any) -> dict[str, Any]:
            self.sent.append(module_args)
            return self.answers.pop(0)

        def _install(self, packages: list[str], _variables: Any) -> dict[str, Any]:
            self.installed.append(packages)
            return {"failed": True, "msg": "no such package"} if packages == ["none"] else {}

        def run(self) -> dict[str, Any]:
            found: dict[str, Any] = super().run(None, {})
            return found

    return Task


def test_where_all_is_complete_no_module_is_sent(task: Any) -> None:
    one = task(packages=["python3"])
    assert one.run() == {"changed": False}
    assert (one.sent, one.installed) == ([], [])


def test_the_check_runs_again_on_the_host_when_it_is_asked_for(task: Any) -> None:
    one = task(check_again=True)
    one.answers = [{"changed": False, "is_complete": True}]
    assert not one.run()["changed"]
    assert len(one.sent) == 1


def test_packages_come_before_the_lock(task: Any) -> None:
    one = task(packages=["python3"])
    one.stamp = "of an older lock"
    one.answers = [INCOMPLETE, {"changed": True}]
    assert one.run() == {"changed": True}
    assert one.installed == [["python3"]]
    assert ["lock" in sent for sent in one.sent] == [False, True]
    assert one.sent[1]["lock"] == LOCK
    assert {sent["checksum"] for sent in one.sent} == {CHECKSUM}


def test_check_mode_builds_nothing(task: Any) -> None:
    one = task(check=True)
    one.stamp = ""
    one.answers = [INCOMPLETE]
    assert one.run()["changed"]
    assert ["lock" in sent for sent in one.sent] == [False]


def test_packages_that_cannot_be_had_end_it(task: Any) -> None:
    one = task(packages=["none"])
    one.stamp = ""
    one.answers = [INCOMPLETE]
    assert one.run()["failed"]
    assert len(one.sent) == 1


def test_a_task_without_a_lock_is_refused(task: Any) -> None:
    with pytest.raises(AnsibleActionFail, match="lock_file is missing"):
        task(lock_file="").run()
