"""What other people have is gathered in one file for the server to come, whole, and theirs is left alone."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow_server
import pytest
from other_servers import ADDRESSES, IN_BUCKET, OLD, ROOT, RUN

from day_two import gathered
from day_two.gathered import PASSWORD, Gathered
from provisioner.errors import FlowsteadError

# A release of MLflow reads and migrates.
pytestmark = pytest.mark.slow

VERSION, SCHEMA = "3.17.2", "dc11669786a5"
BIG = 212221027661096413


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `mlruns`, and with databases of a 2.x server and of one like ours."""
    folder = tmp_path_factory.mktemp("others")
    env = {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
    program = Path(__file__).with_name("other_servers.py")
    argv = (mlflow_server.release(VERSION), program, folder)
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def gather(source: Path | str, artifacts: Path | str, target: Path) -> Gathered:
    return gathered.gather(VERSION, str(source), str(artifacts), target / "gathered.db")


def rows(file: Path, query: str) -> Sequence[Any]:
    with closing(sqlite3.connect(file)) as database:
        return database.execute(query).fetchall()


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_all_of_a_folder_mlruns_comes_along(others: Path, tmp_path: Path) -> None:
    mlruns = others / "mlruns"
    before = contents(mlruns)
    found = gather(others, mlruns, tmp_path)
    assert contents(mlruns) == before
    assert (found.schema, found.elsewhere) == (SCHEMA, ())
    experiments = rows(found.file, "SELECT experiment_id, name, lifecycle_stage FROM experiments ORDER BY 2")
    assert [(name, stage) for _, name, stage in experiments] == [
        ("Default", "active"),
        ("deleted", "deleted"),
        ("first", "active"),
        ("second", "active"),
    ]
    numbers = {name: number for number, name, _ in experiments}
    # The numbers of 18 digits are small ones then, and each is named.
    assert numbers["Default"] == 0
    assert sorted(numbers.values()) == [0, 1, 2, 3]
    assert set(found.renumbered.values()) == {"1", "2", "3"}
    first = next(old for old, new in found.renumbered.items() if new == str(numbers["first"]))
    assert (mlruns / first / "meta.yaml").is_file()
    (run,) = rows(
        found.file,
        "SELECT run_uuid, status, start_time, end_time, artifact_uri FROM runs NATURAL JOIN"
        " (SELECT experiment_id FROM experiments WHERE name = 'first')",
    )
    folder = f"{first}/{run[0]}/artifacts"
    assert run[1:] == ("FAILED", 1_700_000_000_000, 1_700_000_001_000, f"mlflow-artifacts:/{folder}")
    assert folder in found.folders
    # The last of them is in the file twice, and once in a database.
    assert rows(found.file, "SELECT step, value FROM metrics ORDER BY step") == [(0, 0), (1, 0.1), (2, 0.2)]
    assert rows(found.file, "SELECT name, alias, version FROM registered_model_aliases") == [
        ("iris", "champion", 1)
    ]
    assert rows(found.file, "SELECT source FROM model_versions") == [(f"mlflow-artifacts:/{folder}/model",)]
    assert {name: found.rows[name] for name in ("runs", "metrics", "model_versions")} == {
        "runs": 2,
        "metrics": 3,
        "model_versions": 1,
    }


def test_a_folder_with_files_that_cannot_be_read_is_refused(others: Path, tmp_path: Path) -> None:
    shutil.copytree(others / "mlruns", tmp_path / "mlruns")
    (meta,) = tmp_path.glob("mlruns/models/iris/version-1/meta.yaml")
    meta.write_text("")
    with pytest.raises(FlowsteadError, match=f"1 files in .* cannot be read; .*\n  {meta}: is empty"):
        gather(tmp_path, tmp_path / "mlruns", tmp_path)
    with pytest.raises(FlowsteadError, match="Cannot find mlruns directory"):
        gather(tmp_path / "mlruns" / "models", tmp_path, tmp_path)


@pytest.fixture(scope="module")
def old(others: Path, tmp_path_factory: pytest.TempPathFactory) -> Gathered:
    """What the 2.x server has; its own database is as it was."""
    before = contents(others)
    found = gather(f"sqlite:///{others}/old.db", ROOT, tmp_path_factory.mktemp("old"))
    assert contents(others) == before
    return found


def test_the_database_of_an_older_server_is_migrated_and_only_read(others: Path, old: Gathered) -> None:
    assert rows(others / "old.db", "SELECT version_num FROM alembic_version") == [(OLD,)]
    assert (old.schema, old.renumbered, old.left_out) == (SCHEMA, {}, {})
    assert rows(old.file, "SELECT key, value, run_uuid FROM params") == [("rate", "0.1", RUN)]
    assert old.rows["runs"] == len(ADDRESSES) + 1
    assert {"users", "of_others", "alembic_version_auth"}.isdisjoint(old.rows)
    # Such tables it did not have.
    assert rows(old.file, "SELECT count(*) FROM logged_models") == [(0,)]


def addresses(found: Gathered) -> dict[str, str]:
    """Return where artifacts are, by where they were."""
    places = dict(rows(found.file, "SELECT run_uuid, artifact_uri FROM runs"))
    return {one: places[f"run {number}"] for number, one in enumerate(ADDRESSES)}


def test_addresses_below_the_root_are_corrected_and_no_others(old: Gathered) -> None:
    for address, place in addresses(old).items():
        assert place == (ADDRESSES[address] or address), address
    assert set(old.elsewhere) == {one for one, place in ADDRESSES.items() if one and not place}
    # One run has the root itself, and everything is below it.
    assert old.folders == (".",)
    experiments = dict(rows(old.file, "SELECT name, artifact_location FROM experiments"))
    assert experiments == {"Default": "mlflow-artifacts:/0", "of old": "mlflow-artifacts:/"}


def test_addresses_in_a_bucket_are_corrected(others: Path, tmp_path: Path) -> None:
    found = gather(f"sqlite:///{others}/old.db", "s3://bucket/prefix", tmp_path)
    places = addresses(found)
    # The other server's own, and those below the prefix.
    assert {one: places[one] for one in IN_BUCKET} == IN_BUCKET
    assert set(found.folders) == {"1/a/artifacts", "1/b/artifacts", "1/h/artifacts"}
    assert "s3://bucket/prefix/../j" in found.elsewhere


def test_what_only_the_other_server_can_use_is_left_there(others: Path, tmp_path: Path) -> None:
    found = gather(f"sqlite:///{others}/own.db", ROOT, tmp_path)
    assert found.left_out == {"webhooks": 1}
    assert (found.rows["webhooks"], found.rows["runs"]) == (0, len(ADDRESSES) + 1)
    # Of tags, only what MLflow looks up is corrected.
    assert dict(rows(found.file, "SELECT key, value FROM trace_tags")) == {
        "note": "/srv/artifacts/note",
        "mlflow.artifactLocation": "mlflow-artifacts:/7/traces/tr/artifacts",
    }
    # Everything that has an experiment's number has the new one.
    assert rows(found.file, "SELECT experiment_id FROM trace_info") == [(1,)]
    assert found.renumbered == {str(BIG): "1"}
    assert rows(found.file, "SELECT DISTINCT experiment_id FROM runs") == [(1,)]
    assert rows(found.file, "SELECT destination_id FROM entity_associations") == [("1",)]


def test_a_newer_server_is_refused_with_both_revisions(others: Path, tmp_path: Path) -> None:
    newer = tmp_path / "newer.db"
    shutil.copy(others / "own.db", newer)
    with closing(sqlite3.connect(newer)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'f00d'")
    said = f"has the schema f00d, which this release of MLflow does not know .its own is {SCHEMA}.*Upgrade"
    with pytest.raises(FlowsteadError, match=said):
        gather(f"sqlite:///{newer}", ROOT, tmp_path)


def test_what_cannot_be_read_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.db").write_text("no database" * 100)
    sqlite3.connect(tmp_path / "empty.db").close()
    for name, said in (("text", "file is not a database"), ("empty", "has no tables of MLflow")):
        with pytest.raises(FlowsteadError, match=f"{name}.db cannot be imported: .*{said}"):
            gather(f"sqlite:///{tmp_path}/{name}.db", ROOT, tmp_path)
    monkeypatch.setenv(PASSWORD, "sesame")
    with pytest.raises(FlowsteadError, match=r"Connection refused") as refused:
        gather("postgresql://me@127.0.0.1:1/mlflow", ROOT, tmp_path)
    assert "sesame" not in str(refused.value)
    assert "Traceback" not in str(refused.value)
