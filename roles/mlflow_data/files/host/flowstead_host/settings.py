"""What the role tells the programs: the file change.json next to them. Managed by Ansible."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SETTINGS = Path(__file__).resolve().parents[1] / "change.json"
# The journal of a change, and dumps on their way.
STATE = Path("/var/lib/mlflow-change")
SPOOL = STATE / "backups"


@dataclass(frozen=True)
class Gateway:
    """The gateway on this host: the program that switches it, and how clients reach it."""

    program: str
    name: str
    port: int
    ca_file: str


@dataclass(frozen=True)
class Database:
    """One of MLflow's databases: its addresses for the server and for the owner, and those of its copy.

    `engine` is a module in engines/; `version_table` is where Alembic notes the revision of its schema.
    """

    name: str
    engine: str
    version_table: str
    uri: str
    owner_uri: str
    copy_uri: str
    copy_owner_uri: str


@dataclass(frozen=True)
class Backups:
    """Where the backups are."""

    bucket: str
    prefix: str
    region: str


@dataclass(frozen=True)
class Settings:
    """Everything that the role tells the programs; no secret is among it.

    The files of the owner's password are empty names where no database has an owner of its own.
    """

    home: str
    config_dir: str
    user: str
    group: str
    admin: str
    secrets_file: str
    passfile: str
    owner_passfile: str
    owner_passfile_unit: str
    start_timeout_s: int
    migration_timeout_s: int
    room_for_two: bool
    garbage_age: str
    rehearsal_port: int
    gateway: Gateway
    databases: tuple[Database, ...]
    backups: Backups


def read_settings(path: Path = SETTINGS) -> Settings:
    """Return what the file says."""
    told: dict[str, Any] = json.loads(path.read_text())
    parts = {
        "gateway": Gateway(**told["gateway"]),
        "databases": tuple(Database(**one) for one in told["databases"]),
        "backups": Backups(**told["backups"]),
    }
    return Settings(**{**told, **parts})
