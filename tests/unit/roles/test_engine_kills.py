"""The kill matrix of changes again, with real databases of each engine: killed at each thing done to them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_kits import SqliteKit
from fake_world import NAMES
from kill_matrix import SCENARIOS, kill_everywhere
from mysql_kit import MysqlKit
from postgresql_kit import PostgresqlKit
from real_databases import Bench, RealStage

from sandbox.real import images

STEPS = [
    (name, step)
    for name in ("migration", "first install", "restore")
    for step in SCENARIOS[name].steps
    if step in ("restore the backup", "change the data", "switch the data", "commit")
]


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A directory whose files no disk has to be waited for."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.fixture
def stage_of(in_memory: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make a stage with these kits."""
    return lambda kits: RealStage(monkeypatch, Bench(kits, in_memory, monkeypatch))


@pytest.mark.parametrize(("name", "step"), STEPS)
def test_sqlite(stage_of: Any, in_memory: Path, name: str, step: str) -> None:
    assert kill_everywhere(name, step, stage_of(dict.fromkeys(NAMES, SqliteKit(in_memory / "data"))))


MOVING = ("make the tables", "copy the data", "switch the data", "commit")


@pytest.mark.parametrize("step", MOVING)
def test_from_files_to_others(in_memory: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    assert moved(in_memory, monkeypatch, step, SqliteKit(in_memory / "new"))


@pytest.mark.slow
@pytest.mark.parametrize("step", MOVING)
def test_from_files_to_mysql(mysql: Any, in_memory: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    assert moved(in_memory, monkeypatch, step, MysqlKit(mysql, NAMES, in_memory))


def moved(folder: Path, monkeypatch: pytest.MonkeyPatch, step: str, kit: Any) -> int:
    """Kill a move into databases of this kind at a step; return how often."""
    old = Bench(dict.fromkeys(NAMES, SqliteKit(folder / "data")), folder, monkeypatch)
    new = Bench(dict.fromkeys(NAMES, kit), folder, monkeypatch, store="elsewhere")
    return kill_everywhere("move", step, RealStage(monkeypatch, old, new))


@pytest.mark.slow
@pytest.mark.parametrize("postgresql", images.versions()[:1], indirect=True)
@pytest.mark.parametrize("step", [step for name, step in STEPS if name == "migration"])
def test_postgresql(
    server: Any, authority: Any, in_memory: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Without a restore, for which the newest server needs programs that the machine may not have."""
    kit = PostgresqlKit(server, authority.ca_pem_path, NAMES, in_memory, monkeypatch)
    bench = Bench(dict.fromkeys(NAMES, kit), in_memory, monkeypatch, owner_passfile=kit.owner_passfile)
    assert kill_everywhere("migration", step, RealStage(monkeypatch, bench))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "step"), [one for one in STEPS if one[0] != "first install"])
def test_mysql_with_logins_in_sqlite(
    stage_of: Any, mysql: Any, in_memory: Path, name: str, step: str
) -> None:
    """Two engines switch together, or neither does."""
    store, logins = NAMES
    kits = {store: MysqlKit(mysql, (store,), in_memory), logins: SqliteKit(in_memory / "data")}
    assert kill_everywhere(name, step, stage_of(kits))
