"""The task `flowstead_ensure`: a module runs only where a command has said that it is needed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest


@pytest.fixture
def ensure(load: Any) -> Any:
    """What runs the task on a host where the command ends with a status; the result, and what ran."""
    plugin = load("flowstead_ensure", "action")
    args = {
        "unless": ["sh", "-c", "grep -q 'a b' /etc/x"],
        "module": "ansible.builtin.user",
        "arguments": {"name": "x"},
    }

    def run(status: int, *, check_mode: bool = False) -> tuple[dict[str, Any], list[Any]]:
        ran: list[Any] = []

        def command(text: str, **_: Any) -> dict[str, Any]:
            ran.append(text)
            return {"rc": status}

        def module(**given: Any) -> dict[str, Any]:
            ran.append((given["module_name"], given["module_args"]))
            return {"changed": True, "name": "x"}

        action = object.__new__(plugin.ActionModule)
        action._task = SimpleNamespace(args=args, async_val=0, check_mode=check_mode)
        action._connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None))
        action._play_context = None
        action.validate_argument_spec = lambda _options: (None, args)
        action._low_level_execute_command, action._execute_module = command, module
        return action.run(None, {}), ran

    return run


COMMAND = "env sh -c 'grep -q '\"'\"'a b'\"'\"' /etc/x'"
MODULE = ("ansible.builtin.user", {"name": "x"})


def test_what_is_as_wanted_takes_no_module(ensure: Any) -> None:
    assert ensure(0) == ({"changed": False}, [COMMAND])


@pytest.mark.parametrize("check_mode", [False, True])
def test_what_is_not_takes_the_module_in_check_mode_too(ensure: Any, check_mode: bool) -> None:
    result, ran = ensure(1, check_mode=check_mode)
    assert (result["changed"], result["name"], ran) == (True, "x", [COMMAND, MODULE])


def test_a_program_that_is_only_going_to_be_installed_stops_no_check(ensure: Any) -> None:
    assert ensure(127, check_mode=True) == ({"changed": True}, [COMMAND])
    assert ensure(127)[1] == [COMMAND, MODULE]
