"""Bring the users of another server of MLflow, and what they may do, into a project: fab user.bring."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path
from typing import Any

from fabric import task

from day_two import tracking
from day_two.api import AnswerError, answers, call
from day_two.gathered import gather_users
from day_two.imports import checked_source
from day_two.sentences import sentences
from day_two.tracking import TrackingServer
from provisioner.errors import UsageError

# Random bytes of a password; MLflow asks for 12 characters (mlflow/utils/validation.py).
PASSWORD_LENGTH = 18


@task(
    name="bring",
    help={"source": "The other server's database_uri in basic_auth.ini: sqlite:///PATH, postgresql://…"},
)
def bring_users(_context: Any, source: str, project: str = "", inventory: str = "inventory") -> None:
    """Bring another server's users and permissions, after an import; each gets a new password."""
    with sentences(), answers():
        server = tracking.find(inventory, project)
        if "://" not in source:
            raise UsageError(f"--source {source}: it must be a database, such as sqlite:///basic_auth.db.")
        source = checked_source(source)
        with server.connect() as connection:
            version = server.serving(connection)
        with tempfile.TemporaryDirectory() as folder:
            users = gather_users(version, source, Path(folder))
        there = {one["username"] for one in call(server, "2.0/mlflow/users/list")["users"]}
        for user in users:
            _bring(server, user, is_there=user["name"] in there)


def made_up() -> str:
    """Make a password up."""
    return secrets.token_urlsafe(PASSWORD_LENGTH)


def _bring(server: TrackingServer, user: dict[str, Any], *, is_there: bool) -> None:
    """Make a user who is not there, and give every permission that is not given otherwise."""
    name = user["name"]
    if is_there:
        print(f"{name} is a user already, and keeps the password.")
    else:
        password = made_up()
        call(server, "2.0/mlflow/users/create", "POST", username=name, password=password)
        print(f"{name} is a user. Password: {password}", flush=True)
        if user["is_admin"]:
            call(server, "2.0/mlflow/users/update-admin", "PATCH", username=name, is_admin=True)
    given = sum(_grant(server, name, *permission) for permission in user["permissions"])
    if given:
        print(f"  {given} permissions given.")


def _grant(server: TrackingServer, name: str, kind: str, identifier: str, permission: str) -> bool:
    """Give a permission; what is decided already stays, and what cannot be given is named."""
    what = {"username": name, "resource_type": kind, "resource_id": identifier, "permission": permission}
    try:
        call(server, "3.0/mlflow/users/permissions/grant", "POST", **what)
    except AnswerError as error:
        if error.code != "RESOURCE_ALREADY_EXISTS":
            print(f"  Not brought: {permission} on {kind.replace('_', ' ')} {identifier}: {error}.")
        return False
    return True
