"""The task `flowstead_mlflow_facts`: what one host may carry, and what serves there."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def found(load: Any) -> Any:
    return load("flowstead_mlflow_facts", "action")


@pytest.mark.parametrize(
    ("cores", "memory_mib", "wanted", "count"),
    [
        (2, 900, 0, 1),  # 1 GiB
        (2, 1900, 0, 2),  # 2 GiB, two cores
        (2, 64_000, 0, 2),  # bound by the cores
        (8, 3900, 0, 8),
        (32, 3900, 0, 20),  # bound by the memory
        (2, 400, 0, 1),  # never none
        (2, 900, 4, 4),  # as the user says
    ],
)
def test_workers_are_what_cores_and_memory_allow(
    found: Any, cores: int, memory_mib: int, wanted: int, count: int
) -> None:
    assert found.workers(cores, memory_mib, wanted) == count


@pytest.mark.parametrize(
    ("memory_mib", "servers", "count"), [(1900, 1, 2), (1900, 2, 2), (1900, 3, 1), (3900, 3, 2), (3900, 9, 1)]
)
def test_servers_share_the_memory(found: Any, memory_mib: int, servers: int, count: int) -> None:
    assert found.workers(2, memory_mib, 0, servers) == count
    # All of them, and the next release of one.
    assert found.has_room_for_two((servers + 1) * (240 + 60 * count) + 150, count, servers)
    assert not found.has_room_for_two((servers + 1) * (240 + 60 * count) + 149, count, servers)


@pytest.mark.parametrize(
    ("memory_mib", "workers", "has_room"),
    [(749, 1, False), (750, 1, True), (900, 1, True), (869, 2, False), (870, 2, True), (900, 4, False)],
)
def test_two_releases_need_twice_what_one_takes_at_rest(
    found: Any, memory_mib: int, workers: int, has_room: bool
) -> None:
    assert found.has_room_for_two(memory_mib, workers) is has_room


def test_a_release_keeps_its_port_and_a_new_one_takes_the_other(found: Any) -> None:
    ports, now = [5001, 5002], found.Serving("3.17.2", 5001, [])
    assert found.port("3.17.2", now, ports) == 5001
    assert found.port("3.18.0", now, ports) == 5002
    assert found.port("3.18.0", found.Serving("3.17.2", 5002, []), ports) == 5001
    assert found.port("3.17.2", found.Serving(), ports) == 5001
    # The ports were changed: it serves on its own until another release does.
    assert found.port("3.17.2", found.Serving("3.17.2", 7001, []), ports) == 7001


def test_memory_is_counted_as_hosts_are_sold(found: Any) -> None:
    assert found.memory_mib("MemTotal:        1998464 kB\nMemFree: 1 kB\n") == 1998


def given(tmp_path: Path, **how: Any) -> dict[str, Any]:
    return {
        "version": "3.17.2",
        "serving_file": str(tmp_path / "serving.json"),
        "store_file": str(tmp_path / "store.json"),
        "ports": [5001, 5002],
        "workers": 2,
        "servers": 1,
        "image": str(tmp_path / "image.json"),
        "lock": str(tmp_path / "lock"),
        "journal": str(tmp_path / "journal.json"),
        "programs": str(tmp_path / "programs"),
        "models": str(tmp_path / "models.json"),
        "models_mib": 0,
    } | how


def ask(found: Any, given: dict[str, Any]) -> Any:
    """What is told of this machine, which is looked at as a host is."""
    files = ("serving_file", "store_file", "image", "lock", "journal", "programs", "models")
    paths = [given[name] for name in files]
    said = subprocess.run([sys.executable, "-I", "-c", found.LOOK, *paths], capture_output=True, check=True)
    return found.facts(given, json.loads(said.stdout))


def test_a_new_host_serves_nothing(found: Any, tmp_path: Path) -> None:
    facts = ask(found, given(tmp_path))
    assert facts["serving"] == {"version": "", "port": 0, "before": []}
    assert not facts["is_serving"]
    assert facts["still_serves"] == "Nothing serves yet."
    assert facts["there"] == []
    assert (facts["port"], facts["serving_port"], facts["served"]) == (5001, 5001, [])
    assert (facts["busy"], facts["was_interrupted"], facts["image_releases"]) == ("", False, [])


def test_what_models_take_no_server_has(found: Any, tmp_path: Path) -> None:
    said = {
        "cores": 2,
        "meminfo": "MemTotal: 1998464 kB\n",
        "serving": None,
        "image": None,
        "busy": "",
        "was_interrupted": False,
        "there": [],
        "has_pg_dump": True,
        "has_models": True,
        "store": None,
    }
    alone, beside = (found.facts(given(tmp_path, workers=0, models_mib=mib), said) for mib in (0, 1024))
    assert (alone["workers"], alone["has_room_for_two"]) == (2, True)
    assert (beside["workers"], beside["has_room_for_two"]) == (1, True)


def test_a_host_that_was_told_to_serve_models_says_so(found: Any, tmp_path: Path) -> None:
    assert not ask(found, given(tmp_path))["has_models"]
    (tmp_path / "models.json").write_text("{}")
    assert ask(found, given(tmp_path))["has_models"]


def test_what_serves_is_told_with_what_served_before(found: Any, tmp_path: Path) -> None:
    told = {"version": "3.16.1", "port": 5002, "before": ["3.15.2"]}
    (tmp_path / "serving.json").write_text(json.dumps(told))
    (tmp_path / "journal.json").write_text("{}")
    for name in ("mlflow", "mlflow-churn", "other"):
        (tmp_path / "programs" / name).mkdir(parents=True)
    (tmp_path / "image.json").write_text('{"releases": ["3.16.1"], "packages": "2026-11-26"}')
    facts = ask(found, given(tmp_path))
    assert facts["serving"] == told
    assert facts["still_serves"] == "MLflow 3.16.1 still serves."
    assert facts["there"] == ["mlflow", "mlflow-churn"]
    assert (facts["port"], facts["serving_port"]) == (5001, 5002)
    assert facts["served"] == ["3.16.1", "3.15.2"]
    assert facts["was_interrupted"]
    assert facts["image_releases"] == ["3.16.1"]
    assert ask(found, given(tmp_path, version="3.16.1"))["is_serving"]


@pytest.mark.parametrize("text", ["", "[1]", '{"version": "3.17.2", "extra": 1}'])
def test_a_damaged_file_is_named(found: Any, tmp_path: Path, text: str) -> None:
    (tmp_path / "serving.json").write_text(text)
    with pytest.raises(found.FactsError, match=r"serving\.json does not say which release serves"):
        ask(found, given(tmp_path))


def test_where_the_data_are_is_told_once_the_host_knows(found: Any, tmp_path: Path) -> None:
    assert ask(found, given(tmp_path))["data_in"] == ""
    (tmp_path / "store.json").write_text('{"store": "sqlite /data", "databases": []}')
    assert ask(found, given(tmp_path))["data_in"] == "sqlite /data"
    (tmp_path / "store.json").write_text("{}")
    with pytest.raises(found.FactsError, match=r"store\.json does not say where the data are"):
        ask(found, given(tmp_path))


def test_who_holds_the_lock_is_named(found: Any, tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text("backup, since 02:30")
    assert ask(found, given(tmp_path))["busy"] == ""
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert ask(found, given(tmp_path))["busy"] == "backup, since 02:30"
    assert ask(found, given(tmp_path))["busy"] == ""
