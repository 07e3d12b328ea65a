"""The task `flowstead_packages`: what the package manager itself says."""

from __future__ import annotations

import shlex
from typing import Any

import pytest


@pytest.fixture(scope="module")
def packages(load: Any) -> Any:
    return load("flowstead_packages", "action")


def host(runner: Any, program: str, answer: str) -> Any:
    def run(command: list[str]) -> tuple[int, str, str]:
        if command[0] != program:
            raise FileNotFoundError(command[0])
        return 1, answer, "no packages found"

    return runner(run)


@pytest.mark.parametrize("program", ["dpkg-query", "rpm"])
def test_what_is_not_installed_is_missing(packages: Any, runner: Any, program: str) -> None:
    one = host(runner, program, "installed acl\ninstalled curl\n")
    assert packages.missing(one, ["tmux", "acl", "curl", "zsh"]) == ["tmux", "zsh"]
    assert one.commands[-1][-4:] == ["tmux", "acl", "curl", "zsh"]


def test_what_was_removed_and_has_left_its_settings_is_missing(packages: Any, runner: Any) -> None:
    one = host(runner, "dpkg-query", "config-files tmux\ninstalled acl\n")
    assert packages.missing(one, ["tmux", "acl"]) == ["tmux"]


def test_a_system_of_another_kind_is_refused(packages: Any, runner: Any) -> None:
    with pytest.raises(packages.PackagesError, match="neither dpkg-query nor rpm"):
        packages.missing(host(runner, "pacman", ""), ["acl"])


def remote(packages: Any, answer: dict[str, Any], asked: list[tuple[str, dict[str, Any]]]) -> Any:
    def execute(command: str, **how: Any) -> dict[str, Any]:
        asked.append((command, how))
        return answer

    action = object.__new__(packages.ActionModule)
    action._low_level_execute_command = execute
    return action


def test_a_command_is_run_without_a_terminal_and_quoted(packages: Any) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []
    action = remote(packages, {"rc": 0, "stdout": "out", "stderr": "err"}, asked)
    said = action.run_command(["psql", "--command=SELECT 'a b'"], environ_update={"PGPASSFILE": "/p q"})
    assert said == (0, "out", "err")
    ((command, how),) = asked
    assert shlex.split(command) == ["env", "PGPASSFILE=/p q", "psql", "--command=SELECT 'a b'"]
    assert how["in_data"]


def test_a_program_that_the_host_has_not_is_told_apart(packages: Any) -> None:
    action = remote(packages, {"rc": 127, "stdout": "", "stderr": "env: no such file"}, [])
    with pytest.raises(FileNotFoundError):
        action.run_command(["psql"])
