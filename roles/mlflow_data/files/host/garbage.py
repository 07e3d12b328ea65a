#!/usr/bin/env python3
"""Remove for good what users deleted long enough ago: rows, and files in the bucket. Managed by Ansible.

Run as MLflow's user with the serving release's own Python, settings and credentials; prints JSON. Rows are
deleted by the functions of MLflow that `mlflow gc` calls. That command leaves the files of an experiment's
logged models and traces in the bucket, removes what versions of registered models are made of, and does not
notice what somebody restores while it works.

What goes is locked first, and goes in one transaction with all that belongs to it. Which files are its own is
written down before, and they are removed after: if this is killed in between, the next time begins with them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
import time
from typing import Any

import boto3
import botocore.exceptions
from flowstead_host.artifacts import Bucket
from flowstead_host.files import write_json
from flowstead_host.settings import GARBAGE
from mlflow.entities.lifecycle_stage import LifecycleStage
from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
from mlflow.store.tracking.dbmodels.models import SqlExperiment, SqlLoggedModel, SqlRun, SqlTraceInfo
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

# The files of one experiment, run or logged model whose rows are about to be gone, or are.
PENDING = GARBAGE / "pending.json"
WORDS = {
    "experiments": "experiment",
    "runs": "run",
    "models": "logged model",
    "traces": "trace",
    "files": "file",
}
# By kind: identifier, name, where its files are, and when it was deleted.
COLUMNS = {
    "experiments": (
        SqlExperiment.experiment_id,
        SqlExperiment.name,
        SqlExperiment.artifact_location,
        SqlExperiment.last_update_time,
    ),
    "runs": (SqlRun.run_uuid, SqlRun.name, SqlRun.artifact_uri, SqlRun.deleted_time),
    "models": (
        SqlLoggedModel.model_id,
        SqlLoggedModel.name,
        SqlLoggedModel.artifact_location,
        SqlLoggedModel.last_updated_timestamp_ms,
    ),
}
# How the sources of registered models name runs and logged models.
IDENTIFIER = re.compile(r"(?:m-)?[0-9a-f]{32}")
# MLflow's clients log there when they are told nothing, and its server asks for it.
DEFAULT_EXPERIMENT = 0
# So many of the things that are kept are named.
NAMED = 5
# By kind: where the files of each thing are.
Places = dict[str, dict[Any, str]]


class EveryWorkspace(SqlAlchemyStore):
    """MLflow's store, which looks at rows of all workspaces unless it is told of one."""

    def _initialize_store_state(self) -> None:
        """Do not refuse rows outside the default workspace, and make nothing."""


class Garbage:
    """What was deleted before a time, in milliseconds since 1970."""

    def __init__(self, store: Any, bucket: Bucket, before_ms: int, *, dry_run: bool) -> None:
        self.store = store
        self.bucket = bucket
        self.before_ms = before_ms
        self.dry_run = dry_run
        self.counts = dict.fromkeys([*WORDS, "bytes"], 0)
        self.kept: list[str] = []
        self.elsewhere = 0
        self.used: dict[str, str] = {}

    def collect(self) -> None:
        """Remove everything that is due, or only count it."""
        if not self.dry_run:
            self.finish()
        with Session(self.store.engine) as session:
            self.used = in_use(session)
            due = self.due(session)
        for kind, name in due:
            self.take(kind, name)

    def old(self, kind: str, query: Any) -> Any:
        """Narrow a query to what was deleted long enough ago."""
        key, *_, deleted_ms = COLUMNS[kind]
        is_deleted = key.class_.lifecycle_stage == LifecycleStage.DELETED
        return query.filter(is_deleted, deleted_ms <= self.before_ms).order_by(key)

    def due(self, session: Session) -> list[tuple[str, Any]]:
        """Return kind and identifier of all to look at; what is in a deleted experiment goes with that."""
        experiment = SqlExperiment.experiment_id
        found: list[tuple[str, Any]] = []
        for kind, (key, *_) in COLUMNS.items():
            query = self.old(kind, session.query(key))
            if kind == "experiments":
                query = query.filter(experiment != DEFAULT_EXPERIMENT)
            else:
                is_live = SqlExperiment.lifecycle_stage == LifecycleStage.ACTIVE
                query = query.join(SqlExperiment, experiment == key.class_.experiment_id)
                query = query.filter(is_live | (experiment == DEFAULT_EXPERIMENT))
            found += [(kind, name) for (name,) in query]
        return found

    def take(self, kind: str, name: Any) -> None:
        """Remove one thing and what belongs to it; nothing of it if somebody has restored it meanwhile."""
        with Session(self.store.engine) as session, session.begin():
            lock(session)
            key, title, place, _ = COLUMNS[kind]
            query = session.query(title, place).filter(key == name)
            row = self.old(kind, query).with_for_update().one_or_none()
            if row is None:
                return
            title, place = row
            places = contents(session, name, place) if kind == "experiments" else {kind: {name: place}}
            if why := self.reason_to_stay(session, kind, name, places):
                self.kept.append(f"{WORDS[kind]} {title} ({name}): {why}")
                return
            folders = [
                self.bucket.folder(uri, owner) for some in places.values() for owner, uri in some.items()
            ]
            if not self.dry_run:
                write_json(PENDING, {"kind": kind, "name": name, "folders": folders})
                self.delete_rows(session, kind, name, places)
        self.counts["experiments"] += kind == "experiments"
        for one, some in places.items():
            self.counts[one] += len(some)
        self.elsewhere += folders.count("")
        self.take_files(folders)

    def reason_to_stay(self, session: Session, kind: str, name: Any, places: Places) -> str:
        """Return why something is kept though it is old enough; empty if nothing speaks for it."""
        run = session.query(SqlRun.run_uuid).filter(SqlRun.experiment_id == name)
        if kind == "experiments" and self.old("runs", run).count() < len(places["runs"]):
            return "a run in it is in use, or was deleted later"
        return next((self.used[one] for some in places.values() for one in some if one in self.used), "")

    def delete_rows(self, session: Session, kind: str, name: Any, places: Places) -> None:
        """Delete with MLflow's own functions, in the transaction that holds the locks."""
        self.store.ManagedSessionMaker = lambda *_, **__: contextlib.nullcontext(session)
        # There are no other functions for it than those of `mlflow gc`.
        for model in places.get("models", ()):
            self.store._hard_delete_logged_model(model)  # noqa: SLF001
        for run in places.get("runs", ()):
            self.store._hard_delete_run(run)  # noqa: SLF001
        if kind == "experiments":
            # MLflow would read them all first, with everything in them.
            traces = session.query(SqlTraceInfo).filter(SqlTraceInfo.experiment_id == name)
            traces.delete(synchronize_session=False)
            self.store._hard_delete_experiment(str(name))  # noqa: SLF001

    def take_files(self, folders: list[str]) -> None:
        """Count the files in folders, and remove them."""
        files = list(self.bucket.files([folder for folder in folders if folder]))
        self.counts["files"] += len(files)
        self.counts["bytes"] += sum(size for _, size in files)
        if not self.dry_run:
            self.bucket.remove([key for key, _ in files])
            PENDING.unlink(missing_ok=True)

    def finish(self) -> None:
        """Remove files whose rows are gone, if the last time was killed before it did."""
        if not PENDING.exists():
            return
        pending = json.loads(PENDING.read_text())
        key = COLUMNS[pending["kind"]][0]
        with Session(self.store.engine) as session:
            is_there = session.query(key).filter(key == pending["name"]).first()
        self.take_files([] if is_there else pending["folders"])

    def report(self, age: str) -> dict[str, Any]:
        """Return the counts, and everything in sentences."""
        verb = "Would be removed" if self.dry_run else "Removed"
        found = ", ".join(
            f"{self.counts[one]} {word}{'' if self.counts[one] == 1 else 's'}" for one, word in WORDS.items()
        )
        size = f"{self.counts['bytes']:,} bytes"
        told = [f"{verb} for good, of what was deleted {age} ago or earlier: {found}, {size}."]
        told += [f"Kept: {one}." for one in self.kept[:NAMED]]
        if len(self.kept) > NAMED:
            told.append(f"Kept: {len(self.kept) - NAMED} more.")
        if self.elsewhere:
            told.append(f"Left alone, as they are not among the artifacts: {self.elsewhere} folders.")
        return {"counts": self.counts, "told": told}


def lock(session: Session) -> None:
    """Lock everything where no row can be locked: in SQLite one writes at a time, from the first look on."""
    if session.get_bind().dialect.name == "sqlite":
        # With what MLflow's own sessions begin with (mlflow/store/db/utils.py).
        for statement in ("PRAGMA foreign_keys = ON", "PRAGMA busy_timeout = 20000", "BEGIN IMMEDIATE"):
            session.execute(text(statement))


def in_use(session: Session) -> dict[str, str]:
    """Return the runs and logged models that registered models are made of, each with the first of these."""
    rows = (
        session.query(
            SqlModelVersion.name,
            SqlModelVersion.version,
            SqlModelVersion.source,
            SqlModelVersion.storage_location,
        )
        .filter(SqlModelVersion.current_stage != STAGE_DELETED_INTERNAL)
        .order_by(SqlModelVersion.name.desc(), SqlModelVersion.version.desc())
    )
    return {
        found: f"version {version} of the registered model {name} is made of it"
        for name, version, *places in rows
        for found in IDENTIFIER.findall(" ".join(filter(None, places)))
    }


def contents(session: Session, experiment: int, location: str) -> Places:
    """Lock an experiment's runs and logged models; return where their files are, and its traces'."""
    places: Places = {}
    for kind in ("runs", "models"):
        key, _, place, _ = COLUMNS[kind]
        rows = session.query(key, place).filter(key.class_.experiment_id == experiment).with_for_update()
        places[kind] = dict(tuple(row) for row in rows)
    # Not by the tag that says where a trace's files are: users may write it.
    traces = session.query(SqlTraceInfo.request_id).filter(SqlTraceInfo.experiment_id == experiment)
    places["traces"] = {trace: f"{location.rstrip('/')}/traces/{trace}/artifacts" for (trace,) in traces}
    return places


def main() -> None:
    """Do what was asked, and print the answer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("age", help="how long ago it was deleted at least, for people")
    parser.add_argument("age_s", type=int, help="the same, in seconds")
    parser.add_argument("--dry-run", action="store_true", help="only count")
    arguments = parser.parse_args()
    before_ms = int((time.time() - arguments.age_s) * 1000)
    bucket = Bucket(boto3.client("s3"), os.environ["MLFLOW_ARTIFACTS_DESTINATION"])
    make_store: Any = EveryWorkspace
    store = make_store(os.environ["MLFLOW_BACKEND_STORE_URI"], "mlflow-artifacts:/")
    garbage = Garbage(store, bucket, before_ms, dry_run=arguments.dry_run)
    garbage.collect()
    print(json.dumps(garbage.report(arguments.age)))


if __name__ == "__main__":
    try:
        main()
    except (
        MlflowException,
        SQLAlchemyError,
        botocore.exceptions.BotoCoreError,
        botocore.exceptions.ClientError,
    ) as problem:
        sys.exit(f"{type(problem).__name__}: {str(problem).partition(chr(10))[0]}")
