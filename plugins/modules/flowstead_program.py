#!/usr/bin/python
"""Module `flowstead_program`: has a program on the host do something, and understands its answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: flowstead_program
short_description: Have a program of MLflow's on the host do something, and understand its answer
description:
  - Runs a program whose answer is one JSON object, and returns that.
  - With O(unit) the program runs in a transient unit of systemd. It goes on when the controller, or the
    connection, goes away, and leaves its answer in the file that C(--report) names.
  - An answer with another C(outcome) than C(done) fails the task, with the reason and what serves.
options:
  program:
    description: The command that is the program, such as an interpreter and a path.
    type: list
    elements: str
    required: true
  arguments:
    description: What it is asked. Nothing secret, for everybody on the host can read arguments.
    type: list
    elements: str
    default: []
  environment:
    description: Further environment variables of the program; nothing secret.
    type: dict
    default: {}
  unit:
    description: Beginning of the name of the transient unit to run it in; empty means none.
    type: str
    default: ""
  on_failure:
    description: Unit that systemd starts when the transient unit fails, such as one that recovers.
    type: str
    default: ""
  reports:
    description: Directory for the answer of a program in a unit.
    type: path
    default: /run/mlflow-change
  problem:
    description: What it means when the program fails, as the beginning of a sentence without a full stop.
    type: str
    required: true
  json:
    description: Whether the answer is JSON; otherwise only success counts.
    type: bool
    default: true
  tries:
    description: How often to try, 5 seconds apart.
    type: int
    default: 1
  while_refused:
    description: Whether to try again only while the host is busy with something else.
    type: bool
    default: false
  changes:
    description: Whether it changes something. Check mode runs only what changes nothing.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: What changes nothing runs in check mode, too.
author:
  - The Flowstead authors
"""

EXAMPLES = r"""
- name: The release serves
  flowstead_program:
    program: [/usr/bin/python3, -B, /usr/local/lib/flowstead/mlflow/change.py]
    arguments: [upgrade, "3.17.2"]
    unit: mlflow-change
    on_failure: mlflow-recover.service
    problem: MLflow 3.17.2 did not come into service
    changes: true
  register: changed
"""

RETURN = r"""
answer:
  description: What the program answered.
  returned: success
  type: dict
"""

PAUSE_S = 5
# Of a long answer the end is shown: there the reason stands
SHOWN_CHARACTERS = 3000


class ProgramError(Exception):
    """What went wrong, as a sentence."""


class Runner(Protocol):
    """What of AnsibleModule is needed."""

    def run_command(
        self, args: list[str], *, environ_update: dict[str, str], handle_exceptions: bool
    ) -> tuple[int, str, str]:
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
    reports: Path
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
        said += f" The data were put back as they were, from the backup {answer.get('backup')}."
    return said


def complaint(problem: str, answer: dict[str, Any]) -> str:
    """Say what an answer means that is not "done"."""
    why = answer.get("why", "it said no reason")
    if answer["outcome"] == "refused":
        return f"{problem}; nothing was begun. {why}"
    return f"{problem}. {what_serves(answer)}\nWhat failed: {why}"


def in_unit(request: Request, now: float) -> tuple[list[str], Path]:
    """Return the command that runs the program in a transient unit, and where the answer will be."""
    name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now))}{int(now * 1e6) % 10**6:06d}"
    report = request.reports / f"{name}.json"
    recovery = [f"--property=OnFailure={request.on_failure}"] if request.on_failure else []
    run = ["systemd-run", "--quiet", "--wait", "--collect", *recovery, f"--unit={request.unit}-{name}"]
    return [*run, *request.program, "--report", str(report), *request.arguments], report


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
    argv, report = in_unit(request, now) if request.unit else (plain, None)
    try:
        status, stdout, stderr = runner.run_command(
            argv, environ_update=request.environment, handle_exceptions=False
        )
    except OSError as error:
        raise ProgramError(f"{request.problem}: {argv[0]} could not be run ({error.strerror}).") from error
    if report is not None:
        stdout = report.read_text() if report.exists() else ""
    answer = answer_of(stdout) if request.is_json else {}
    if answer is not None and (status == 0 or "outcome" in answer):
        return answer
    words = (stderr.strip() or stdout.strip())[-SHOWN_CHARACTERS:] or f"it ended with status {status}"
    if report is not None:
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
    """Have the program do it, and return its answer.

    Args:
        runner: what runs commands.
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


def main() -> None:
    """Run the task."""
    module = AnsibleModule(
        argument_spec={
            "program": {"type": "list", "elements": "str", "required": True},
            "arguments": {"type": "list", "elements": "str", "default": []},
            "environment": {"type": "dict", "default": {}},
            "unit": {"type": "str", "default": ""},
            "on_failure": {"type": "str", "default": ""},
            "reports": {"type": "path", "default": "/run/mlflow-change"},
            "problem": {"type": "str", "required": True},
            "json": {"type": "bool", "default": True},
            "tries": {"type": "int", "default": 1},
            "while_refused": {"type": "bool", "default": False},
            "changes": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    given = module.params
    if given["changes"] and module.check_mode:
        module.exit_json(changed=True, answer={})
    request = Request(
        program=given["program"],
        arguments=given["arguments"],
        environment={name: str(value) for name, value in given["environment"].items()},
        unit=given["unit"],
        on_failure=given["on_failure"],
        reports=Path(given["reports"]),
        problem=given["problem"],
        is_json=given["json"],
        tries=given["tries"],
        while_refused=given["while_refused"],
    )
    try:
        answer = ask(module, request)
    except ProgramError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=given["changes"], answer=answer)


if __name__ == "__main__":
    main()
