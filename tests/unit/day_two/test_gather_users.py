"""Who another server's users are, and what each may do, as old servers and new ones keep it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from day_two import gathered
from provisioner.errors import FlowsteadError

# A release of MLflow reads and migrates.
pytestmark = pytest.mark.slow

VERSION = "3.17.2"
# Of a server of before MLflow 3.6, which noted no revision; and a table that is none of MLflow's.
LEGACY = """
CREATE TABLE users (
    id INTEGER PRIMARY KEY, username VARCHAR(255) UNIQUE, password_hash VARCHAR(255), is_admin BOOLEAN
);
CREATE TABLE experiment_permissions (
    id INTEGER PRIMARY KEY, experiment_id VARCHAR(255) NOT NULL, user_id INTEGER NOT NULL,
    permission VARCHAR(255), FOREIGN KEY(user_id) REFERENCES users (id), UNIQUE (experiment_id, user_id)
);
CREATE TABLE registered_model_permissions (
    id INTEGER PRIMARY KEY, name VARCHAR(255) NOT NULL, user_id INTEGER NOT NULL, permission VARCHAR(255),
    FOREIGN KEY(user_id) REFERENCES users (id), UNIQUE (name, user_id)
);
CREATE TABLE somebody_elses (id INTEGER PRIMARY KEY);
INSERT INTO users VALUES (1, 'admin', 'x', 1), (2, 'ada', 'y', 0), (3, 'eve', 'z', 0);
INSERT INTO experiment_permissions VALUES (1, '7', 2, 'EDIT'), (2, '7', 3, 'NO_PERMISSIONS');
INSERT INTO registered_model_permissions VALUES (1, 'a model', 2, 'READ');
"""
NEWER = """
CREATE TABLE alembic_version_auth (version_num VARCHAR(32) PRIMARY KEY);
INSERT INTO alembic_version_auth VALUES ('0123456789ab');
"""


def made(file: Path, script: str) -> str:
    with closing(sqlite3.connect(file)) as database:
        database.executescript(script)
    return f"sqlite:///{file}"


def test_users_of_an_old_server_and_their_permissions_are_told(tmp_path: Path) -> None:
    source = tmp_path / "auth.db"
    address = made(source, LEGACY)
    content = source.read_bytes()
    users, left_out = gathered.gather_users(VERSION, address, tmp_path)
    assert left_out == 0
    assert {one["name"]: one["is_admin"] for one in users} == {"ada": False, "admin": True, "eve": False}
    of = {one["name"]: one["permissions"] for one in users}
    assert of["ada"] == [["experiment", "7", "EDIT"], ["registered_model", "a model", "READ"]]
    assert of["eve"] == [["experiment", "7", "DENY"]]
    assert source.read_bytes() == content


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("CREATE TABLE runs (id INTEGER)", "has no users of MLflow"),
        (LEGACY + NEWER, "has logins of a newer release: upgrade the deployment first"),
    ],
)
def test_what_has_none_or_is_newer_is_refused(tmp_path: Path, script: str, why: str) -> None:
    source = made(tmp_path / "auth.db", script)
    with pytest.raises(FlowsteadError, match=why):
        gathered.gather_users(VERSION, source, tmp_path)
