"""Databases of several engines in one deployment: what the host's programs ask of each."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import data
import pytest
from fake_world import NEW
from flowstead_host import backups, engines, host
from flowstead_host.errors import ChangeError


def test_each_engine_switches_its_databases() -> None:
    class Engine:
        """An engine that has something to do."""

        def __init__(self) -> None:
            self.done: list[str] = []

        def __getattr__(self, name: str) -> Any:
            return lambda **_: self.done.append(name) or True

    every = engines.Engines(SimpleNamespace(databases=()))  # type: ignore[arg-type]
    every.parts = {"one": Engine(), "other": Engine()}  # type: ignore[dict-item]
    assert every.switch()
    assert every.switch_back()
    every.make_fresh(copied=True)
    every.drop_fresh()
    every.drop_old()
    every.check()
    done = ["switch", "switch_back", "make_fresh", "drop_fresh", "drop_old", "check"]
    assert [one.done for one in every.parts.values()] == [done, done]  # type: ignore[attr-defined]


def test_a_restore_has_the_release_make_tables_where_dumps_have_rows_alone() -> None:
    """And of both databases when they are copied."""
    databases = tuple(SimpleNamespace(name=name, engine=name) for name in ("mysql", "sqlite"))
    settings: Any = SimpleNamespace(databases=(), owner_passfile="")
    asked = data.Data(settings)
    asked.settings = SimpleNamespace(databases=databases)  # type: ignore[assignment]
    made: list[bool] = []
    for name in ("mysql", "sqlite"):
        asked.engines.parts[name] = SimpleNamespace(  # type: ignore[assignment]
            restores_rows=name == "mysql",
            fresh_uri=lambda one: f"fresh {one.name}",
            make_fresh=lambda *, copied: made.append(copied),
        )
    settings.backups = SimpleNamespace(bucket="flowstead-1", prefix="backups", region="eu-west-1")
    kept = backups.Backups(settings, asked.engines)
    kept.databases = databases  # type: ignore[assignment]
    fetched: list[str] = []
    manifest = {
        "name": "night",
        "files": [{"database": name, "engine": name} for name in ("mysql", "sqlite")],
    }
    kept.fetch = lambda name: fetched.append(name) or (Path(), manifest)  # type: ignore[method-assign,func-returns-value]
    asked.__dict__["backups"] = kept
    assert asked.prepare("night") == {"addresses": {"tracking": "fresh mysql"}}
    assert (fetched, made) == (["night"], [False, False])
    assert asked.fresh() == {"tracking": "fresh mysql", "login": "fresh sqlite"}
    assert made[2:] == [True, True]


def test_a_backup_of_another_engine_is_refused_before_anything_is_changed() -> None:
    place = SimpleNamespace(bucket="flowstead-1", prefix="backups", region="eu-west-1")
    database = SimpleNamespace(name="mlflow", engine="sqlite")
    settings: Any = SimpleNamespace(databases=(database,), backups=place, owner_passfile="")
    kept = backups.Backups(settings, SimpleNamespace())  # type: ignore[arg-type]
    for file in ({"database": "mlflow", "engine": "mysql"}, {"database": "mlflow"}):
        said = f"a dump of {file.get('engine', 'postgresql')} for mlflow, which"
        with pytest.raises(ChangeError, match=said):
            kept.matched({"name": "night", "files": [file]})
    with pytest.raises(ChangeError, match="night has no dump of mlflow"):
        kept.matched({"name": "night", "files": []})
    good = {"database": "mlflow", "engine": "sqlite"}
    assert kept.matched({"name": "night", "files": [good]}) == [(database, good)]


def test_what_is_brought_from_another_server_is_taken_by_each_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    place = SimpleNamespace(bucket="flowstead-1", prefix="backups", region="eu-west-1")
    databases = [SimpleNamespace(name=name, engine="postgresql") for name in ("mlflow", "mlflow_auth")]
    settings: Any = SimpleNamespace(databases=databases, backups=place, owner_passfile="/run/owner")
    made, given = list[bool](), list[str]()
    engine = SimpleNamespace(
        restores_rows=False,
        make_fresh=lambda *, copied: made.append(copied),
        of=lambda _: engine,
        give_rights=lambda one: given.append(one.name),
        fresh_uri=lambda one: f"postgresql://h/{one.name}_fresh?a=b",
    )
    kept = backups.Backups(settings, engine)  # type: ignore[arg-type]
    file = {"database": "mlflow", "engine": "sqlite"}
    manifest = {"name": "x-3.17.2-import", "mlflow_version": NEW, "files": [file]}
    kept.fetch = lambda _: (Path("/spool/x-3.17.2-import"), manifest)  # type: ignore[method-assign]
    carried: list[tuple[str, str]] = []
    monkeypatch.setattr(backups, "carry", lambda *addresses: carried.append(addresses))
    # Its tables are the release's to make, and who logs in is left alone.
    assert kept.prepare("x-3.17.2-import") == databases[:1]
    assert (made, given) == ([False], ["mlflow"])
    assert kept.restore("x-3.17.2-import") == {"name": "x-3.17.2-import", "mlflow_version": NEW}
    target = "postgresql://h/mlflow_fresh?a=b&passfile=/run/owner"
    assert carried == [("sqlite:////spool/x-3.17.2-import/mlflow.dump", target)]


def test_where_no_database_has_an_owner_no_password_is_fetched() -> None:
    settings: Any = SimpleNamespace(config_dir="", owner_passfile="", owner_passfile_unit="")
    one = host.Host(settings)
    one.begin_owner()
    with one.owner():
        assert one.waiting == {}
