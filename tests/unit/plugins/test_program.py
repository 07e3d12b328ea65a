"""The task `flowstead_program`: the host does it, also without us, and failures are sentences."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest


@pytest.fixture(scope="module")
def program(load: Any) -> Any:
    return load("flowstead_program", "action")


def request_for(program: Any, tmp_path: Path, **how: Any) -> Any:
    given = {
        "program": ["/bin/change.py"],
        "arguments": ["upgrade", "3.17.2"],
        "environment": {},
        "unit": "",
        "on_failure": "",
        "reports": str(tmp_path),
        "problem": "MLflow 3.17.2 did not come into service",
    }
    return program.Request(**(given | how))


def answering(runner: Any, *answers: object, status: int = 0) -> Any:
    """A host whose programs answer one after the other."""
    left = list(answers)

    def answer(_command: list[str]) -> tuple[int, str, str]:
        said = left.pop(0) if len(left) > 1 else left[0]
        return status, said if isinstance(said, str) else json.dumps(said), ""

    return runner(answer)


def no_sleep(_seconds: float) -> None:
    """Wait for nothing."""


def ask(program: Any, host: Any, request: Any) -> Any:
    return program.ask(host, request, sleep=no_sleep, clock=lambda: 1_000_000_000.25)


def test_the_answer_is_returned(program: Any, runner: Any, tmp_path: Path) -> None:
    host = answering(runner, {"outcome": "done", "name": "a"})
    assert ask(program, host, request_for(program, tmp_path))["name"] == "a"
    assert host.commands == [["/bin/change.py", "upgrade", "3.17.2"]]


def test_the_host_goes_on_by_itself_in_a_unit_that_recovers(
    program: Any, runner: Any, tmp_path: Path
) -> None:
    def answer(command: list[str]) -> tuple[int, str, str]:
        return (0, '{"outcome": "done"}', "") if command[0] == "cat" else (0, "", "")

    host = runner(answer)
    ask(
        program,
        host,
        request_for(program, tmp_path, unit="mlflow-change", on_failure="mlflow-recover.service"),
    )
    command, read = host.commands
    name = "20010909T014640250000"
    assert command == [
        *("systemd-run", "--quiet", "--wait", "--collect", "--property=OnFailure=mlflow-recover.service"),
        *(f"--unit=mlflow-change-{name}", "/bin/change.py", "--report", str(tmp_path / f"{name}.json")),
        *("upgrade", "3.17.2"),
    ]
    assert read == ["cat", str(tmp_path / f"{name}.json")]


def test_a_program_that_was_killed_is_told_with_where_to_look(
    program: Any, runner: Any, tmp_path: Path
) -> None:
    host = runner(lambda command: (1, "", "no such file") if command[0] == "cat" else (137, "", ""))
    with pytest.raises(
        program.ProgramError, match=r"did not come.*\n.*killed \(it ended with status 137\).*mlflow-recover"
    ):
        ask(program, host, request_for(program, tmp_path, unit="mlflow-change"))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            {"outcome": "refused", "why": "This host is busy."},
            "MLflow 3.17.2 did not come into service; nothing was begun. This host is busy.",
        ),
        (
            {"outcome": "failed", "why": "no.", "undone": True, "serves": "3.16.1"},
            "MLflow 3.17.2 did not come into service. MLflow 3.16.1 still serves.\nWhat failed: no.",
        ),
        (
            {"outcome": "failed", "why": "no.", "undone": True, "serves": ""},
            "MLflow 3.17.2 did not come into service. Nothing serves yet.\nWhat failed: no.",
        ),
        (
            {"outcome": "failed", "why": "no.", "undone": False, "serves": "3.16.1"},
            (
                "MLflow 3.17.2 did not come into service. The host finishes or undoes it by itself.\n"
                "What failed: no."
            ),
        ),
        (
            {"outcome": "failed", "why": "no.", "serves": "3.16.1", "data_put_back": True},
            (
                "MLflow 3.17.2 did not come into service. MLflow 3.16.1 still serves. The data are "
                "as they were before.\nWhat failed: no."
            ),
        ),
    ],
)
def test_a_failure_says_what_failed_and_what_serves(
    program: Any, runner: Any, tmp_path: Path, answer: dict[str, Any], said: str
) -> None:
    with pytest.raises(program.ProgramError) as raised:
        ask(program, answering(runner, answer, status=1), request_for(program, tmp_path))
    assert str(raised.value) == said


def test_a_database_that_is_away_is_asked_again(program: Any, runner: Any, tmp_path: Path) -> None:
    left = [(1, "", "connection refused"), (1, "", "connection refused"), (0, '{"state": "same"}', "")]
    host = runner(lambda _command: left.pop(0))
    assert ask(program, host, request_for(program, tmp_path, tries=3)) == {"state": "same"}
    left = [(1, "", "connection refused")] * 2
    with pytest.raises(program.ProgramError, match="service: connection refused"):
        ask(program, runner(lambda _command: left.pop(0)), request_for(program, tmp_path, tries=2))


def test_a_recovery_waits_only_while_the_host_is_busy(program: Any, runner: Any, tmp_path: Path) -> None:
    how = {"tries": 5, "while_refused": True}
    busy, done, failed = {"outcome": "refused"}, {"outcome": "done"}, {"outcome": "failed", "why": "x"}
    host = answering(runner, busy, busy, done, status=1)
    ask(program, host, request_for(program, tmp_path, **how))
    assert len(host.commands) == 3
    host = answering(runner, busy, failed, status=1)
    with pytest.raises(program.ProgramError):
        ask(program, host, request_for(program, tmp_path, **how))
    assert len(host.commands) == 2


def test_what_gives_no_json_needs_only_to_succeed(program: Any, runner: Any, tmp_path: Path) -> None:
    request = request_for(program, tmp_path, is_json=False)
    assert ask(program, answering(runner, "the first experiment: 200"), request) == {
        "lines": ["the first experiment: 200"]
    }
    with pytest.raises(program.ProgramError, match="service: answered 503"):
        ask(program, answering(runner, "answered 503", status=1), request)


@pytest.mark.parametrize(
    ("is_json", "said", "told"),
    [(True, '{"rows": 7}', {"answer": {"rows": 7}}), (False, "one\ntwo", {"lines": ["one", "two"]})],
)
def test_the_task_tells_the_answer_or_the_lines(
    load: Any, program: Any, is_json: bool, said: str, told: dict[str, Any]
) -> None:
    given = {"program": ["/bin/it"], "problem": "It failed", "json": is_json}
    args = {name: option.get("default") for name, option in program.OPTIONS.items()} | given
    action = object.__new__(load("flowstead_program", "action").ActionModule)
    action._task = SimpleNamespace(args=args, async_val=0, check_mode=False)
    action._connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None))
    action._play_context = None
    action.validate_argument_spec = lambda _options: (None, args)
    action._low_level_execute_command = lambda *_, **__: {"rc": 0, "stdout": said, "stderr": ""}
    assert action.run(None, {}) == {"changed": False} | told


def test_an_answer_that_is_none_is_shown(program: Any, runner: Any, tmp_path: Path) -> None:
    with pytest.raises(program.ProgramError, match="service: no json"):
        ask(program, answering(runner, "no json"), request_for(program, tmp_path))


def test_a_program_that_is_not_there_is_named(program: Any, runner: Any, tmp_path: Path) -> None:
    def answer(_command: list[str]) -> tuple[int, str, str]:
        raise FileNotFoundError(2, "No such file or directory")

    with pytest.raises(program.ProgramError, match=r"/bin/change\.py could not be run \(No such file"):
        ask(program, runner(answer), request_for(program, tmp_path))
