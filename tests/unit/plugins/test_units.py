"""The task `flowstead_units`: what is not as wanted is changed, in one question and few orders."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="module")
def units(load: Any) -> Any:
    return load("flowstead_units", "action")


def unit(
    load_state: str = "loaded", file: str = "enabled", active: str = "active", condition: str = "yes"
) -> str:
    return (
        f"Id=one\nLoadState={load_state}\nUnitFileState={file}\nActiveState={active}\n"
        f"ConditionResult={condition}\nConditionTimestampMonotonic=7\n"
    )


def converge(
    units: Any, runner: Any, *states: str, check: bool = False, **how: Any
) -> tuple[dict[str, Any], Any]:
    def answer(command: list[str]) -> tuple[int, str, str]:
        return 0, "\n".join(states) if command[1] == "show" else "", ""

    host = runner(answer, check_mode=check)
    wanted = [
        units.Wanted(f"{number}.service", how.get("started", True), enabled=True)
        for number in range(len(states))
    ]
    return units.converge(host, wanted, reload=how.get("reload", False)), host


def orders(host: Any) -> list[list[str]]:
    return [command[1:] for command in host.commands if command[1] != "show"]


def test_what_is_right_is_left_alone_after_one_question(units: Any, runner: Any) -> None:
    result, host = converge(units, runner, unit(), unit(active="activating"), unit(file="static"))
    assert not result["changed"]
    assert len(host.commands) == 1


def test_only_what_is_wrong_is_enabled_and_started(units: Any, runner: Any) -> None:
    states = unit(), unit(active="failed"), unit(file="disabled"), unit(file="disabled", active="inactive")
    result, host = converge(units, runner, *states)
    assert result["changed_units"] == ["1.service", "2.service", "3.service"]
    assert orders(host) == [
        ["enable", "--quiet", "2.service", "3.service"],
        ["start", "1.service", "3.service"],
    ]


def test_the_difference_is_shown(units: Any, runner: Any) -> None:
    result, _ = converge(units, runner, unit(file="disabled", active="inactive"))
    (diff,) = result["diff"]
    assert (diff["before"], diff["after"]) == (
        "stopped, does not start at boot\n",
        "runs, starts at boot\n",
    )


def test_check_mode_changes_nothing_and_reads_nothing_again(units: Any, runner: Any) -> None:
    result, host = converge(units, runner, unit(active="inactive"), check=True, reload=True)
    assert result["changed_units"] == ["0.service"]
    assert orders(host) == []


def test_a_unit_that_is_only_going_to_be_installed_counts_in_check_mode(units: Any, runner: Any) -> None:
    missing = unit("not-found", "", "inactive")
    result, _ = converge(units, runner, missing, check=True)
    assert result["changed_units"] == ["0.service"]
    with pytest.raises(units.UnitsError, match=r"There is no unit 0\.service"):
        converge(units, runner, missing)


def test_what_systemd_declined_is_not_started_again(units: Any, runner: Any) -> None:
    result, host = converge(units, runner, unit(active="inactive", condition="no"))
    assert not result["changed"]
    assert orders(host) == []
    # Before it was ever tried, its condition says nothing yet.
    never = unit(active="inactive", condition="no").replace("Monotonic=7", "Monotonic=0")
    assert converge(units, runner, never)[0]["changed"]


def test_a_unit_may_be_for_the_boot_only(units: Any, runner: Any) -> None:
    result, host = converge(units, runner, unit(file="disabled", active="inactive"), started=False)
    assert result["changed"]
    assert orders(host) == [["enable", "--quiet", "0.service"]]


def test_changed_files_are_read_before_anything_is_asked(units: Any, runner: Any) -> None:
    _, host = converge(units, runner, unit(), reload=True)
    assert [command[1] for command in host.commands] == ["daemon-reload", "show"]


def test_a_unit_that_does_not_start_says_where_to_look(units: Any, runner: Any) -> None:
    def answer(command: list[str]) -> tuple[int, str, str]:
        return (1, "", "Job failed.") if command[1] == "start" else (0, unit(active="inactive"), "")

    with pytest.raises(
        units.UnitsError, match=r"start of a\.service failed: Job failed.*journalctl -u a\.service"
    ):
        units.converge(runner(answer), [units.Wanted("a.service", started=True, enabled=True)], reload=False)
