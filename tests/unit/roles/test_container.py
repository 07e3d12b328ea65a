"""What a container does before its server starts: settings, secrets, and SQLite's databases on a copy."""

from __future__ import annotations

import importlib.util
import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FILE = Path(__file__).resolve().parents[3] / "roles/mlflow_server/files/container.py"
SERVER = {
    "MLFLOW_BACKEND_STORE_URI": "postgresql+psycopg2://mlflow@db/mlflow",
    "FLOWSTEAD_LOGINS_URI": "postgresql+psycopg2://mlflow@db/mlflow_auth?sslrootcert=%2Fca",
}
# Adds a table named after the release to each database, as a migration would; fails where it is told to.
MIGRATE = """
import json, os, sqlite3, sys
for word, uri in json.loads(sys.stdin.read()).items():
    with sqlite3.connect(uri.removeprefix("sqlite:///")) as database:
        database.execute(f"CREATE TABLE IF NOT EXISTS made_by_{os.environ['RELEASE']} (word TEXT)")
    if os.environ.get("FAILS") == word:
        sys.exit("no such revision")
"""


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("container", FILE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up.
    monkeypatch.setitem(sys.modules, "container", module)
    spec.loader.exec_module(module)
    migrate = tmp_path / "migrate.py"
    migrate.write_text(MIGRATE)
    monkeypatch.setattr(module, "MIGRATE", migrate)
    return module


@pytest.fixture
def paths(container: ModuleType, tmp_path: Path) -> Any:
    """An image's settings, with its data below tmp_path."""
    (tmp_path / "data").mkdir()
    (tmp_path / "secrets").mkdir()
    logins = tmp_path / "basic_auth.ini"
    logins.write_text(f"# note\n[mlflow]\ndatabase_uri = sqlite:///{tmp_path}/data/mlflow_auth.db\nx = y\n")
    settings = tmp_path / "mlflow.env"
    settings.write_text(
        "# a note = not a setting\n\n"
        f"MLFLOW_BACKEND_STORE_URI=sqlite:///{tmp_path}/data/mlflow.db\n"
        f"MLFLOW_AUTH_CONFIG_PATH={logins}\nMLFLOW_PORT=5000\nHOME=/var/lib/mlflow\n"
        "EXPRESSION=^(a|b=c):$\n"
    )
    return container.Paths(settings=settings, secrets=tmp_path / "secrets")


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as database:
        return {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def prepare(container: ModuleType, paths: Any, release: str = "1", **given: str) -> dict[str, str]:
    told: dict[str, str] = container.prepare({**given, "RELEASE": release}, paths, release)
    return told


def test_the_environment_counts_for_more_than_the_image(container: ModuleType, paths: Any) -> None:
    told = prepare(container, paths, MLFLOW_PORT="5001", HOME="/root")
    assert (told["MLFLOW_PORT"], told["HOME"], told["EXPRESSION"]) == (
        "5001",
        "/var/lib/mlflow",
        "^(a|b=c):$",
    )


def test_with_sqlite_missing_secrets_are_made_once_and_for_nobody_else(
    container: ModuleType, paths: Any, tmp_path: Path
) -> None:
    first, second = prepare(container, paths), prepare(container, paths)
    for name in container.NEEDED:
        assert len(first[name]) > 40
        assert first[name] == second[name]
        assert stat.S_IMODE((tmp_path / "data/secrets" / name).stat().st_mode) == 0o600
    assert len({first[name] for name in container.NEEDED}) == len(container.NEEDED)
    assert stat.S_IMODE((tmp_path / "data/secrets").stat().st_mode) == 0o700


def test_a_file_in_the_secrets_directory_is_the_secret(
    container: ModuleType, paths: Any, tmp_path: Path
) -> None:
    (paths.secrets / "MLFLOW_AUTH_ADMIN_PASSWORD").write_text("from a file\n")
    assert prepare(container, paths)["MLFLOW_AUTH_ADMIN_PASSWORD"] == "from a file"
    assert not (tmp_path / "data/secrets/MLFLOW_AUTH_ADMIN_PASSWORD").exists()


def test_with_a_databases_server_nothing_is_made_up(container: ModuleType, paths: Any) -> None:
    with pytest.raises(container.CannotStartError, match=r"MLFLOW_FLASK_SERVER_SECRET_KEY, .*/run/secrets"):
        prepare(container, paths, **SERVER)


def test_with_a_databases_server_nothing_is_migrated(
    container: ModuleType, paths: Any, tmp_path: Path
) -> None:
    for name in container.NEEDED:
        (paths.secrets / name).write_text(f"{name} of all")
    told = prepare(container, paths, **SERVER)
    assert list((tmp_path / "data").iterdir()) == []
    config = Path(told["MLFLOW_AUTH_CONFIG_PATH"])
    # A percent sign is written twice in such a file.
    assert SERVER["FLOWSTEAD_LOGINS_URI"].replace("%", "%%") in config.read_text()
    assert "x = y" in config.read_text()
    config.unlink()


def test_runs_in_one_place_and_logins_in_another_are_refused(container: ModuleType, paths: Any) -> None:
    one = {"MLFLOW_BACKEND_STORE_URI": SERVER["MLFLOW_BACKEND_STORE_URI"]}
    with pytest.raises(container.CannotStartError, match="FLOWSTEAD_LOGINS_URI must both be"):
        prepare(container, paths, **one)


def test_databases_are_made_and_left_alone_by_the_same_release(
    container: ModuleType, paths: Any, tmp_path: Path
) -> None:
    prepare(container, paths)
    assert tables(tmp_path / "data/mlflow.db") == tables(tmp_path / "data/mlflow_auth.db") == {"made_by_1"}
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*")}
    prepare(container, paths)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*")} == before


def test_another_release_brings_a_copy_up_and_keeps_the_old_one(
    container: ModuleType, paths: Any, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    prepare(container, paths)
    with closing(sqlite3.connect(data / "mlflow.db")) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("INSERT INTO made_by_1 VALUES ('kept')")
        database.commit()
    prepare(container, paths, "2")
    assert tables(data / "mlflow.db") == {"made_by_1", "made_by_2"}
    assert tables(data / "mlflow.db.before-2") == {"made_by_1"}
    for name in ("mlflow.db", "mlflow.db.before-2"):
        with closing(sqlite3.connect(data / name)) as database:
            assert database.execute("SELECT word FROM made_by_1").fetchall() == [("kept",)]


@pytest.mark.parametrize("fails", ["tracking", "login"])
def test_a_migration_that_fails_changes_nothing(
    container: ModuleType, paths: Any, tmp_path: Path, fails: str
) -> None:
    prepare(container, paths)
    with pytest.raises(container.CannotStartError, match="are as they were: no such revision"):
        prepare(container, paths, "2", FAILS=fails)
    for name in ("mlflow.db", "mlflow_auth.db"):
        assert tables(tmp_path / "data" / name) == {"made_by_1"}
    prepare(container, paths, "2")
    assert tables(tmp_path / "data/mlflow.db") == {"made_by_1", "made_by_2"}


@pytest.mark.parametrize("at", range(1, 6))
def test_killed_while_the_new_ones_take_their_place_nothing_is_lost(
    container: ModuleType, paths: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    data = tmp_path / "data"
    prepare(container, paths)
    with monkeypatch.context() as patched:
        left = [at]
        replace = Path.replace

        def killed(self: Path, target: Path) -> Any:
            left[0] -= 1
            if not left[0]:
                raise KeyboardInterrupt
            return replace(self, target)

        patched.setattr(Path, "replace", killed)
        if at <= 4:
            with pytest.raises(KeyboardInterrupt):
                prepare(container, paths, "2")
    prepare(container, paths, "2")
    for name in ("mlflow.db", "mlflow_auth.db"):
        assert tables(data / name) == {"made_by_1", "made_by_2"}
        assert tables(data / f"{name}.before-2") == {"made_by_1"}


def test_a_server_that_does_not_answer_is_not_healthy(container: ModuleType) -> None:
    assert container.is_healthy("1") is False
