"""The task `flowstead_packages`: what the package manager itself says."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="module")
def packages(load: Any) -> Any:
    return load("flowstead_packages")


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
