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
from day_two.import_files import REASON
from day_two.imports import checked_source
from day_two.sentences import sentences
from day_two.tracking import TrackingServer
from provisioner.aws import Aws
from provisioner.errors import UsageError

# Random bytes of a password; MLflow asks for 12 characters (mlflow/utils/validation.py).
PASSWORD_LENGTH = 18
DENY = "DENY"


@task(
    name="bring",
    help={
        "source": "The other server's database_uri in basic_auth.ini: sqlite:///PATH, postgresql://…",
        "also-existing": "Give permissions to users who are there already, too.",
    },
)
def bring_users(
    _context: Any,
    source: str,
    also_existing: bool = False,
    project: str = "",
    inventory: str = "inventory",
) -> None:
    """Bring another server's users and permissions, after an import; each gets a new password."""
    with sentences(), answers():
        server = tracking.find(inventory, project)
        if "://" not in source:
            raise UsageError(f"--source {source}: it must be a database, such as sqlite:///basic_auth.db.")
        source = checked_source(source)
        _check_imported(server)
        with server.connect() as connection:
            version = server.serving(connection)
        with tempfile.TemporaryDirectory() as folder:
            users, left_out = gather_users(version, source, Path(folder))
        there = {one["username"] for one in call(server, "2.0/mlflow/users/list")["users"]}
        for user in users:
            name = user["name"]
            if name not in there:
                _make(server, user)
            elif also_existing and name != server.project.admin.username:
                print(f"{name} is a user already, and keeps the password.")
                _give(server, user)
            else:
                print(f"{name} is a user already, and stays as is (--also-existing gives permissions).")
        if left_out:
            print(f"Not brought: {left_out} permissions on workspaces, or in others than the default one.")


def _check_imported(server: TrackingServer) -> None:
    """See that runs were imported there: permissions name experiments by numbers that others have, too.

    Raises:
        UsageError: none were.

    """
    folder = f"{server.project.backups_prefix}/"
    aws, bucket = Aws(server.outputs.region), server.outputs.bucket
    objects = aws.page("s3", "list_objects_v2", "Contents", Bucket=bucket, Prefix=folder)
    if not any(one["Key"].endswith(f"-{REASON}/manifest.json") for one in objects):
        raise UsageError(
            f"Nothing was imported into the project {server.project.name}, and its experiments are others.",
            next_step="Bring the other server's runs first: fab import",
        )


def made_up() -> str:
    """Make a password up."""
    return secrets.token_urlsafe(PASSWORD_LENGTH)


def _make(server: TrackingServer, user: dict[str, Any]) -> None:
    """Make a user with all permissions; not one of whom something that was denied cannot be denied here."""
    name, password = user["name"], made_up()
    call(server, "2.0/mlflow/users/create", "POST", username=name, password=password)
    if not _give(server, user):
        call(server, "2.0/mlflow/users/delete", "DELETE", username=name)
        print(f"{name} is not brought: what was denied there cannot be denied here.")
        return
    print(f"{name} is a user. Password: {password}", flush=True)


def _give(server: TrackingServer, user: dict[str, Any]) -> bool:
    """Give what a user may do, what is denied first; tell whether that could be denied."""
    name = user["name"]
    for kind, identifier, permission in sorted(user["permissions"], key=lambda one: one[2] != DENY):
        if not _grant(server, name, kind, identifier, permission) and permission == DENY:
            return False
    if user["is_admin"]:
        call(server, "2.0/mlflow/users/update-admin", "PATCH", username=name, is_admin=True)
    return True


def _grant(server: TrackingServer, name: str, kind: str, identifier: str, permission: str) -> bool:
    """Give a permission; what is decided already stays, and what cannot be given is named."""
    what = {"username": name, "resource_type": kind, "resource_id": identifier, "permission": permission}
    try:
        call(server, "3.0/mlflow/users/permissions/grant", "POST", **what)
    except AnswerError as error:
        if error.code == "RESOURCE_ALREADY_EXISTS":
            return True
        print(f"Not brought: {permission} of {name} on {kind.replace('_', ' ')} {identifier}: {error}.")
        return False
    return True
