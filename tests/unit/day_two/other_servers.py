"""What other people have: a folder `mlruns`, and databases of other servers.

Run by a release, which makes both in a folder: other_servers.py FOLDER.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

OLD = "0584bdc529eb"  # of MLflow 2.22
RUN = "0123456789abcdef0123456789abcdef"
# Where artifacts were, below ROOT or not, and where they are then.
ROOT = "/srv/artifacts"
ADDRESSES = {
    "mlflow-artifacts:/1/a/artifacts": "mlflow-artifacts:/1/a/artifacts",
    "mlflow-artifacts://old.example.com:5000/1/b/artifacts": "mlflow-artifacts:/1/b/artifacts",
    "/srv/artifacts/1/c/artifacts": "mlflow-artifacts:/1/c/artifacts",
    "file:///srv/artifacts/1/d%20d/artifacts": "mlflow-artifacts:/1/d d/artifacts",
    "./artifacts/1/e/artifacts": "mlflow-artifacts:/1/e/artifacts",
    "/srv/artifacts": "mlflow-artifacts:/",
    "": "",
    # Elsewhere, some of it on purpose.
    "/srv/artifacts-of-another/1/f/artifacts": "",
    "/srv/artifacts/../../root/.ssh": "",
    "file:///srv/artifacts/%2e%2e/%2e%2e/root/.ssh": "",
    "mlflow-artifacts:/../../root/.ssh": "",
    "s3://another/1/g/artifacts": "",
    "s3://bucket/prefix/1/h/artifacts": "",
    "s3://bucket/prefixed/1/i/artifacts": "",
    "s3://bucket/prefix/../j": "",
    "dbfs:/databricks/mlflow/1/k/artifacts": "",
}
IN_BUCKET = {
    "mlflow-artifacts:/1/a/artifacts": "mlflow-artifacts:/1/a/artifacts",
    "s3://bucket/prefix/1/h/artifacts": "mlflow-artifacts:/1/h/artifacts",
}


def log_files(folder: Path) -> None:
    """Log to a folder `mlruns`, as a laptop does."""
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    import mlflow  # noqa: PLC0415 - only a release has all of it

    mlflow.set_tracking_uri(f"file://{folder}/mlruns")
    client = mlflow.MlflowClient()
    first = client.create_experiment("first")
    run = client.create_run(first, run_name="a run", tags={"of": "mine"}, start_time=1_700_000_000_000).info
    for step in range(3):
        client.log_metric(run.run_id, "loss", step / 10, timestamp=1_700_000_000_000, step=step)
    client.log_metric(run.run_id, "loss", 0.2, timestamp=1_700_000_000_000, step=2)
    client.log_text(run.run_id, "text", "notes/ä #1.txt")
    client.set_terminated(run.run_id, "FAILED", 1_700_000_001_000)
    client.create_registered_model("iris")
    client.create_model_version("iris", f"{run.artifact_uri}/model", run.run_id)
    client.set_registered_model_alias("iris", "champion", "1")
    client.create_run(client.create_experiment("second"))
    client.delete_experiment(client.create_experiment("deleted"))


def make_database(path: Path, revision: str, *statements: str) -> None:
    """Make a database of a server with MLflow's tables as they are in a revision."""
    import sqlalchemy as sa  # noqa: PLC0415 - as above
    from alembic import command  # noqa: PLC0415
    from mlflow.store.db.utils import _get_alembic_config  # noqa: PLC0415
    from mlflow.store.tracking.dbmodels.initial_models import Base  # noqa: PLC0415

    engine = sa.create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    config = _get_alembic_config(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage)"
            " VALUES (0, 'Default', '/srv/artifacts/0', 'active'), (7, 'of old', '/srv/artifacts', 'active')"
        )
        database.executemany(
            "INSERT INTO runs (run_uuid, name, experiment_id, artifact_uri, lifecycle_stage, status,"
            " source_type) VALUES (?, 'a run', 7, ?, 'active', 'FINISHED', 'LOCAL')",
            [(RUN, None), *((f"run {number}", one) for number, one in enumerate(ADDRESSES))],
        )
        database.execute("INSERT INTO params (key, value, run_uuid) VALUES ('rate', '0.1', ?)", (RUN,))
        for statement in statements:
            database.execute(statement)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    log_files(place)
    make_database(
        place / "old.db",
        OLD,
        # Its logins are in the same database, as MLflow allows; and something of somebody else's.
        "CREATE TABLE alembic_version_auth (version_num TEXT)",
        "INSERT INTO alembic_version_auth VALUES ('f1a2b3c4d5e6')",
        "CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT, password_hash TEXT)",
        "INSERT INTO users VALUES (1, 'me', 'hash')",
        "CREATE TABLE of_others (number INTEGER)",
    )
    make_database(
        place / "own.db",
        "head",
        "INSERT INTO webhooks (webhook_id, name, url, status, secret, workspace)"
        " VALUES ('w', 'w', 'https://example.com', 'ACTIVE', 'what another key made', 'default')",
        "UPDATE experiments SET experiment_id = 212221027661096413 WHERE experiment_id = 7",
        "UPDATE runs SET experiment_id = 212221027661096413",
        "INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, status)"
        " VALUES ('tr', 212221027661096413, 1, 'OK')",
        "INSERT INTO trace_tags (key, value, request_id) VALUES ('note', '/srv/artifacts/note', 'tr'),"
        " ('mlflow.artifactLocation', '/srv/artifacts/7/traces/tr/artifacts', 'tr')",
        "INSERT INTO evaluation_datasets (dataset_id, name, workspace) VALUES ('d', 'd', 'default')",
        "INSERT INTO entity_associations (association_id, source_type, source_id, destination_type,"
        " destination_id) VALUES ('a', 'evaluation_dataset', 'd', 'experiment', '212221027661096413')",
    )
