"""The task `flowstead_pools`: two releases together stay within the database's connections."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="module")
def pools(load: Any) -> Any:
    return load("flowstead_pools", "action")


def chosen(pools: Any, connections: int, workers: int, **wanted: int) -> tuple[int, int, int]:
    fixed = pools.Pools(
        size=wanted.get("size", 0), overflow=wanted.get("overflow", 0), requests=wanted.get("requests", 4)
    )
    found = pools.pools(connections, workers, fixed)
    return found.size, found.overflow, found.requests


@pytest.mark.parametrize(
    ("connections", "workers", "expected"),
    [
        (106, 2, (4, 4, 4)),  # a small database: 52 for a release, 8 a pool
        (74, 2, (3, 3, 4)),
        (1000, 2, (5, 5, 4)),  # more gain nothing
        (40, 1, (3, 3, 4)),
        (40, 4, (1, 1, 1)),  # a request takes a second while it holds its first
        (4, 8, (1, 1, 1)),
    ],
)
def test_pools_are_as_large_as_the_database_allows(
    pools: Any, connections: int, workers: int, expected: tuple[int, int, int]
) -> None:
    assert chosen(pools, connections, workers) == expected


@pytest.mark.parametrize("workers", range(1, 17))
@pytest.mark.parametrize("connections", [60, 74, 106, 400, 5000])
def test_two_releases_fit_and_no_request_waits_for_ever(pools: Any, connections: int, workers: int) -> None:
    size, overflow, requests = chosen(pools, connections, workers)
    assert requests < size + overflow
    if connections // 2 - 1 >= 2 * 3 * workers:
        assert 2 * (3 * workers * (size + overflow) + 1) <= connections


def test_what_the_user_says_holds(pools: Any) -> None:
    assert chosen(pools, 40, 1, size=5, overflow=7, requests=3) == (5, 7, 3)
    assert chosen(pools, 40, 1, overflow=2) == (4, 2, 4)


def test_the_database_says_what_it_has(pools: Any, runner: Any) -> None:
    host = runner(lambda _command: (0, "112\n", ""))
    address = "postgresql+psycopg2://somewhere/mlflow"
    assert pools.available(host, "/release/python", address, "/run/pgpass") == 112
    assert host.environments == [{"PGPASSFILE": "/run/pgpass"}]
    (command,) = host.commands
    assert (command[0], command[-2]) == ("/release/python", address)


def test_a_database_that_restarts_is_asked_again(pools: Any, runner: Any) -> None:
    answers = [(2, "", "starting up"), (0, "112\n", "")]
    host = runner(lambda _command: answers.pop(0))
    assert pools.available(host, "", "mysql:", "", sleep=lambda _seconds: None) == 112


def test_one_that_stays_away_is_told(pools: Any, runner: Any) -> None:
    host = runner(lambda _command: (2, "", "connection refused"))
    with pytest.raises(pools.PoolsError, match=r"connection refused\. Run this again"):
        pools.available(host, "", "mysql:", "", sleep=lambda _seconds: None)
    assert len(host.commands) == 6


def test_a_new_host_in_check_mode_takes_a_usual_number(pools: Any, runner: Any) -> None:
    def missing(_command: list[str]) -> tuple[int, str, str]:
        raise FileNotFoundError("python")

    assert pools.available(runner(missing, check_mode=True), "", "mysql:", "") == 80
