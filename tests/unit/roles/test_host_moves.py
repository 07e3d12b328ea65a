"""A move of the data into another store: what is refused, and the settings that are switched for it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import data
import pytest
from fake_host import FakeHost
from fake_world import NEW, OLD
from flowstead_host import changes, files, moving, stores
from flowstead_host.errors import ChangeError, RefusedError
from flowstead_host.settings import STORE_FILE, read_settings
from flowstead_host.stores import Stores
from kill_matrix import MOMENTS, SCENARIOS, Stage, acts, killed, look, recover
from real_databases import settings_for


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A host with databases in memory."""
    return Stage(monkeypatch)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stores:
    """A server's settings, and those of another store."""
    aside = tmp_path / "state" / "move"
    monkeypatch.setattr(stores, "ASIDE", aside)
    for name in ("OLD", "NEW"):
        monkeypatch.setattr(stores, name, aside / name.lower())
    monkeypatch.setattr(stores, "NEW_STORE", aside / "new" / STORE_FILE)
    config_dir = tmp_path / "etc"
    for folder, which in ((config_dir, "old"), (config_dir / stores.STAGED, "new")):
        folder.mkdir()
        for name in ("3.17.2.env", "basic_auth.ini", STORE_FILE):
            (folder / name).write_text(f"{which} {name}")
    (config_dir / "serving.json").write_text("not of a store")
    settings: Any = SimpleNamespace(config_dir=config_dir)
    return Stores(settings)


def served(place: Stores) -> dict[str, str]:
    """Of the server's settings, which store each names."""
    return {one.name: one.read_text().split()[0] for one in place.config_dir.iterdir() if one.is_file()}


def of(which: str) -> dict[str, str]:
    return dict.fromkeys(("3.17.2.env", "basic_auth.ini", STORE_FILE), which) | {"serving.json": "not"}


def test_settings_are_switched_there_and_back_and_nothing_else_is_touched(place: Stores) -> None:
    place.put_aside()
    place.use_new()
    assert served(place) == of("new")
    place.use_new()
    place.use_old()
    assert served(place) == of("old")
    place.forget()
    assert not stores.ASIDE.exists()
    place.forget()


def test_what_is_rendered_meanwhile_has_no_part_in_a_move(place: Stores) -> None:
    place.put_aside()
    for one in (place.config_dir / stores.STAGED).iterdir():
        one.write_text("other settings")
    place.use_new()
    assert served(place) == of("new")


@pytest.mark.parametrize("number", range(8))
def test_settings_are_put_aside_all_or_none(
    place: Stores, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a crash leaves of it is not taken for all of them, and is in nobody's way."""
    count = 0

    def write(path: Path, content: bytes) -> None:
        nonlocal count
        if count == number:
            raise OSError("crashed")
        count += 1
        files.write(path, content)

    monkeypatch.setattr(stores, "write", write)
    try:
        place.put_aside()
    except OSError:
        assert not stores.NEW_STORE.exists()
    monkeypatch.setattr(stores, "write", files.write)
    place.put_aside()
    place.use_new()
    place.use_old()
    assert served(place) == of("old")


def test_settings_half_switched_are_switched_back(place: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put_aside()

    def write(path: Path, content: bytes) -> None:
        if path.name == "basic_auth.ini":
            raise OSError("crashed")
        files.write(path, content)

    monkeypatch.setattr(stores, "write", write)
    with pytest.raises(OSError, match="crashed"):
        place.use_new()
    assert set(served(place).values()) == {"old", "new", "not"}
    monkeypatch.setattr(stores, "write", files.write)
    place.use_old()
    assert served(place) == of("old")


def test_without_another_store_nothing_is_moved(place: Stores) -> None:
    (place.config_dir / stores.STAGED / STORE_FILE).unlink()
    with pytest.raises(RefusedError, match=r"no settings of another store .* python provision\.py move"):
        place.put_aside()
    assert not stores.ASIDE.exists()


def test_the_programs_are_told_of_the_store_that_serves_or_of_another(tmp_path: Path) -> None:
    plain = json.loads(json.dumps(vars(settings_for([])), default=vars))
    of_store = {name: plain.pop(name) for name in ("store", "passfile", "databases")}
    plain["config_dir"] = str(tmp_path)
    (tmp_path / "change.json").write_text(json.dumps(plain))
    for path, name in ((tmp_path / STORE_FILE, "one"), (tmp_path / "other.json", "another")):
        path.write_text(json.dumps(of_store | {"store": name}))
    assert read_settings(tmp_path / "change.json").store == "one"
    assert read_settings(tmp_path / "change.json", tmp_path / "other.json").store == "another"


@pytest.mark.parametrize(
    ("serves", "said"),
    [(NEW, f"MLflow {NEW} serves, and .* Bring {OLD} into service first"), ("", "Nothing serves yet")],
)
def test_a_release_that_does_not_serve_moves_nothing(stage: Stage, serves: str, said: str) -> None:
    scenario = SCENARIOS["move"]
    world = stage.place(scenario.before)
    world.serving = {"version": serves, "port": 5002, "before": []}
    before = look(world)
    with pytest.raises(RefusedError, match=said):
        changes.change(FakeHost(world), {}, OLD, moving.MOVE)
    with pytest.raises(RefusedError, match=said):
        moving.rehearse(FakeHost(world), {}, OLD)
    assert look(world) == before


def test_what_a_boot_starts_with_half_switched_settings_does_not_go_on(stage: Stage) -> None:
    scenario = SCENARIOS["move"]
    numbers = [n for n, (step, _) in enumerate(acts(scenario, stage), start=1) if step == "switch the store"]
    for fate in ((number, moment) for number in numbers for moment in MOMENTS):
        world = killed(scenario, stage, fate)
        world.running = set(world.at_boot)
        world.runs_with = {version: list(world.settings) for version in world.running}
        recover(stage, world)
        assert look(world) == look(scenario.before), fate


def test_a_store_that_has_data_takes_no_others(stage: Stage) -> None:
    world = stage.place(SCENARIOS["move"].before)
    world.elsewhere["mlflow_auth"] = ("one", "somebody's")
    with pytest.raises(ChangeError, match="has tables already"):
        SCENARIOS["move"].run(FakeHost(world))
    assert world.elsewhere["mlflow_auth"] == ("one", "somebody's")
    assert not world.is_held


def test_what_has_tables_is_named_with_its_store() -> None:
    revisions = {"mlflow": None, "mlflow_auth": "f1a2b3c4d5e6"}
    engine = SimpleNamespace(revision=lambda one: revisions[one.name])
    one = data.Data.__new__(data.Data)
    databases = [SimpleNamespace(name=name) for name in revisions]
    one.settings = SimpleNamespace(databases=databases, store="sqlite /data")  # type: ignore[assignment]
    one.engines = SimpleNamespace(check=lambda: None, of=lambda _: engine)  # type: ignore[assignment]
    with pytest.raises(ChangeError, match="mlflow_auth in sqlite /data has tables already"):
        one.check_empty()
    revisions["mlflow_auth"] = None
    assert one.check_empty() == {}


def test_a_move_says_how_long_clients_wait_as_rehearsed(stage: Stage) -> None:
    world = stage.place(SCENARIOS["move"].before)
    assert changes.expected_s(OLD, 100, moving.MOVE) == 10
    report: dict[str, Any] = {}
    moving.rehearse(FakeHost(world), report, OLD)
    assert changes.expected_s(OLD, 100, moving.MOVE) > 10 + moving.START_S
    # It says nothing of an upgrade or a restore.
    assert changes.expected_s(OLD, 100) == 10
    assert report["copied"]["tracking"]["rows"] == 1
    assert report["stores"] == {"from": "one", "to": "another"}


def test_addresses_name_the_file_of_their_password() -> None:
    address = "postgresql+psycopg2://mlflow_owner@db:5432/mlflow_fresh?sslmode=verify-full"
    assert moving.with_passfile(address, "/run/x") == f"{address}&passfile=/run/x"
    for other in ("sqlite:////data/mlflow.db", "mysql+pymysql://o@db/mlflow?read_default_file=/run/y"):
        assert moving.with_passfile(other, "/run/x") == other
