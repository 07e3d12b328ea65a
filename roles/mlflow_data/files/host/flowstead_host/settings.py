"""What the roles tell the programs: change.json next to them, and where the data are. Managed by Ansible."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SETTINGS = Path(__file__).resolve().parents[1] / "change.json"
# What depends on where the data are, in the directory of the server's configuration.
STORE_FILE = "store.json"
# What the server is called, as its units, users and folders are: the programs lie in a folder of that name.
NAME = SETTINGS.parent.name
HOME = Path(f"/var/lib/{NAME}")
RUNTIME = Path(f"/run/{NAME}-change")
# The journal of a change, and dumps on their way.
STATE = Path(f"/var/lib/{NAME}-change")
SPOOL = STATE / "backups"
# Why a backup was made that was brought from another server (day_two/import_files.py).
IMPORT = "import"
# The experiment in which a change tries a release as a client does: deleted before and after.
CHECKS = "Flowstead checks"
# Which files are still to be removed of what users deleted.
GARBAGE = Path(f"/var/lib/{NAME}-garbage")


@dataclass(frozen=True)
class Gateway:
    """The gateway on this host: the program that switches it, and how clients reach the server there."""

    program: str
    name: str
    port: int
    ca_file: str
    path: str = ""

    @property
    def url(self) -> str:
        """The address of this server."""
        return f"https://{self.name}:{self.port}".removesuffix(":443") + self.path


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

    # Where the data are, by a name that no other place has.
    store: str
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


def read_settings(path: Path = SETTINGS, store: Path | None = None) -> Settings:
    """Return what the files say; `store`: the one about where the data are, if not of those that serve."""
    told: dict[str, Any] = json.loads(path.read_text())
    told |= json.loads((store or Path(told["config_dir"]) / STORE_FILE).read_text())
    parts = {
        "gateway": Gateway(**told["gateway"]),
        "databases": tuple(Database(**one) for one in told["databases"]),
        "backups": Backups(**told["backups"]),
    }
    return Settings(**{**told, **parts})


def with_passfile(uri: str, passfile: str) -> str:
    """Return an address with the file of its password; those of MySQL have it already."""
    return f"{uri}&passfile={passfile}" if uri.startswith("postgresql") else uri


def is_imported(backup: str) -> bool:
    """Tell by its name (TIME-RELEASE-REASON) whether a backup was brought from another server."""
    return backup.split("-", 2)[2:] == [IMPORT]
