"""Action plugin `flowstead_program`: has a program on the host do something, and understands its answer.

The module of the same name has the documentation.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

OPTIONS: dict[str, dict[str, Any]] = {
    "program": {"type": "list", "elements": "str", "required": True},
    "arguments": {"type": "list", "elements": "str", "default": []},
    "environment": {"type": "dict", "default": {}},
    "unit": {"type": "str", "default": ""},
    "on_failure": {"type": "str", "default": ""},
    "reports": {"type": "str", "default": "/run/mlflow-change"},
    "problem": {"type": "str", "required": True},
    "json": {"type": "bool", "default": True},
    "tries": {"type": "int", "default": 1},
    "while_refused": {"type": "bool", "default": False},
    "changes": {"type": "bool", "default": False},
}
# What a shell says where there is no such program (POSIX, "Exit Status for Commands"), and env as well
NOT_FOUND = 127
PAUSE_S = 5
# Of a long answer the end is shown: there the reason stands
SHOWN_CHARACTERS = 3000


class ProgramError(Exception):
    """What went wrong, as a sentence."""


class Runner(Protocol):
    """What runs commands on the host."""

    def run_command(self, args: list[str], *, environ_update: dict[str, str]) -> tuple[int, str, str]:
        """Run a command."""
        ...


@dataclass(frozen=True)
class Request:
    """What is asked of a program.

    Args:
        program: the command that is the program.
        arguments: what it is asked.
        environment: further environment variables.
        unit: beginning of the name of a transient unit, or an empty text.
        on_failure: unit that is started when that fails, or an empty text.
        reports: where a program in a unit leaves its answer.
        problem: beginning of the sentence when it fails.
        is_json: its answer is JSON.
        tries: how often to try.
        while_refused: try again only while the host is busy.

    """

    program: list[str]
    arguments: list[str]
    environment: dict[str, str]
    unit: str
    on_failure: str
    reports: str
    problem: str
    is_json: bool = True
    tries: int = 1
    while_refused: bool = False


def what_serves(answer: dict[str, Any]) -> str:
    """Say what serves after something failed, and what became of the data."""
    if not answer.get("undone", True):
        return "The host finishes or undoes it by itself."
    serves = answer.get("serves", "")
    said = f"MLflow {serves} still serves." if serves else "Nothing serves yet."
    if answer.get("data_put_back"):
        said += " The data are as they were before."
    return said


def complaint(problem: str, answer: dict[str, Any]) -> str:
    """Say what an answer means that is not "done"."""
    why = answer.get("why", "it said no reason")
    if answer["outcome"] == "refused":
        return f"{problem}; nothing was begun. {why}"
    return f"{problem}. {what_serves(answer)}\nWhat failed: {why}"


def in_unit(request: Request, now: float) -> tuple[list[str], str]:
    """Return the command that runs the program in a transient unit, and where the answer will be."""
    name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now))}{int(now * 1e6) % 10**6:06d}"
    report = f"{request.reports}/{name}.json"
    recovery = [f"--property=OnFailure={request.on_failure}"] if request.on_failure else []
    run = ["systemd-run", "--quiet", "--wait", "--collect", *recovery, f"--unit={request.unit}-{name}"]
    return [*run, *request.program, "--report", report, *request.arguments], report


def answer_of(text: str) -> dict[str, Any] | None:
    """Return what JSON says, None where there is none."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def ask_once(runner: Runner, request: Request, now: float) -> dict[str, Any]:
    """Run the program once.

    Raises:
        ProgramError: it failed without an answer.

    """
    plain = [*request.program, *request.arguments]
    argv, report = in_unit(request, now) if request.unit else (plain, "")
    try:
        status, stdout, stderr = runner.run_command(
            argv,
            environ_update=request.environment,
        )
    except OSError as error:
        raise ProgramError(f"{request.problem}: {argv[0]} could not be run ({error.strerror}).") from error
    if report:
        _, stdout, _ = runner.run_command(["cat", report], environ_update={})
    answer = answer_of(stdout) if request.is_json else {"lines": stdout.splitlines()}
    if answer is not None and (status == 0 or "outcome" in answer):
        return answer
    words = (stderr.strip() or stdout.strip())[-SHOWN_CHARACTERS:] or f"it ended with status {status}"
    if report:
        raise ProgramError(
            f"{request.problem}. The host finishes or undoes it by itself.\n"
            f"What failed: it was killed ({words}). Look at journalctl -u mlflow-recover on the host, and "
            "run this again."
        )
    raise ProgramError(f"{request.problem}: {words}")


def ask(
    runner: Runner,
    request: Request,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.time,
) -> dict[str, Any]:
    """Let the program do it, and return its answer.

    Args:
        runner: runs commands on the host.
        request: what is asked.
        sleep: what waits.
        clock: says the time, in seconds.

    Returns:
        The answer.

    Raises:
        ProgramError: it failed, each time that was allowed.

    """
    for left in reversed(range(request.tries)):
        try:
            answer = ask_once(runner, request, clock())
        except ProgramError:
            if request.while_refused or not left:
                raise
        else:
            outcome = answer.get("outcome", "done")
            if outcome == "done":
                return answer
            if not left or (request.while_refused and outcome != "refused"):
                raise ProgramError(complaint(request.problem, answer))
        sleep(PAUSE_S)
    raise ProgramError(f"{request.problem}: it was not tried.")


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """The task `flowstead_program`."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task.

        Args:
            tmp: unused; Ansible passes it.
            task_vars: the host's variables.

        Returns:
            The result, as the module's documentation has it.

        Raises:
            AnsibleActionFail: it failed, each time that was allowed.

        """
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(OPTIONS)
        request = Request(
            program=args["program"],
            arguments=args["arguments"],
            environment={name: str(value) for name, value in args["environment"].items()},
            unit=args["unit"],
            on_failure=args["on_failure"],
            reports=args["reports"],
            problem=args["problem"],
            is_json=args["json"],
            tries=args["tries"],
            while_refused=args["while_refused"],
        )
        try:
            if args["changes"] and self._task.check_mode:
                return {"changed": True, "answer": {}}
            answer = ask(self, request)
            return {"changed": args["changes"]} | ({"answer": answer} if request.is_json else answer)
        except ProgramError as failed:
            raise AnsibleActionFail(str(failed)) from failed

    def run_command(
        self, args: list[str], *, environ_update: dict[str, str] | None = None
    ) -> tuple[int, str, str]:
        """Run a command on the host; a module would take three times as long.

        Raises:
            FileNotFoundError: the host has no such program.

        """
        variables = [f"{name}={value}" for name, value in (environ_update or {}).items()]
        # With something to read it has no terminal, on which its errors would stand among the answer
        said = self._low_level_execute_command(shlex.join(["env", *variables, *args]), in_data=b"\n")
        if said["rc"] == NOT_FOUND:
            raise FileNotFoundError(2, "No such file or directory", args[0])
        return said["rc"], said["stdout"], said["stderr"]
