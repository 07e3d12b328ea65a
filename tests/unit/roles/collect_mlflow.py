"""Have what was deleted in MLflow removed, with a bucket in memory: collect_mlflow.py HOST FOLDER URI.

While it looks whether something may go, somebody else restores it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mlflow import MlflowClient
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import create_engine, text

RESTORE = "UPDATE experiments SET lifecycle_stage = 'active' WHERE name = 'first'"
IMPATIENT = "SET innodb_lock_wait_timeout = 1"


def main(host: str, folder: str, uri: str) -> None:
    """Delete an experiment, and remove it."""
    sys.path.insert(0, host)
    import garbage  # noqa: PLC0415 - found only now

    garbage.PENDING = Path(folder) / "pending.json"
    client: Any = MlflowClient(uri)
    client.delete_experiment(client.get_experiment_by_name("first").experiment_id)
    patience = {"timeout": 0} if uri.startswith("sqlite") else {"init_command": IMPATIENT}
    other = create_engine(uri, connect_args=patience)
    bucket: Any = SimpleNamespace(
        folder=lambda place, _: place, files=lambda some: [(one, 1) for one in some]
    )
    removed: list[str] = []
    bucket.remove = removed.extend
    one = garbage.Garbage(SqlAlchemyStore(uri, "mlflow-artifacts:/"), bucket, 1 << 50, dry_run=False)
    look, refused = one.reason_to_stay, []

    def look_and_be_disturbed(*words: Any) -> str:
        try:
            with other.begin() as connection:
                connection.execute(text(RESTORE))
        except Exception as error:  # noqa: BLE001 - each engine has its own
            refused.append(type(error).__name__)
        return str(look(*words))

    one.reason_to_stay = look_and_be_disturbed
    one.collect()
    print(json.dumps({"counts": one.counts, "removed": len(removed), "refused": refused}))


if __name__ == "__main__":
    main(*sys.argv[1:])
