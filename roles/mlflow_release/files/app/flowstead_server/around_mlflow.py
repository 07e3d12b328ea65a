"""The one part that knows MLflow: what is taken from it, and the app around its own."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import secrets
import tempfile
from functools import reduce
from importlib.metadata import version
from typing import Any

from flowstead_server.answers import Answers
from flowstead_server.asgi import App, Refusals
from flowstead_server.bodies import Bodies
from flowstead_server.contents import Contents
from flowstead_server.downloads import Downloads
from flowstead_server.logins import Check, Logins
from flowstead_server.origins import Origins, from_elsewhere
from flowstead_server.places import Places
from flowstead_server.readers import Readers
from flowstead_server.settings import CHANGES, Settings

# What this app calls, and with how many arguments. `create_app` makes the app with its login; the next is
# what `mlflow server` does before it has workers for the name basic-auth, and no other; the next three look a
# login up, and remember it for MLflow's own check; then how workers are started (start.py); the last ones are
# about the bucket (artifacts.py), and what changes tables.
_S3 = "mlflow.store.artifact.s3_artifact_repo"
# What MLflow changes tables with when a server starts, where it looks it up.
MIGRATIONS: tuple[tuple[str, str, int], ...] = (
    ("mlflow.store.db.utils", "_initialize_tables", 1),
    ("mlflow.store.model_registry.sqlalchemy_store", "_initialize_tables", 1),
    ("mlflow.server.auth.db.utils", "upgrade", 2),
)
CALLS: tuple[tuple[str, str, int], ...] = (
    ("mlflow.server.auth", "create_app", 0),
    ("mlflow.server", "_bootstrap_basic_auth", 0),
    ("mlflow.server.auth", "_authenticate_cached", 2),
    ("mlflow.server.auth", "_invalidate_user_auth_cache", 1),
    ("mlflow.server.auth.sqlalchemy_store", "SqlAlchemyStore.has_user", 2),
    ("mlflow.server", "_exec_cmd", 1),
    ("sqlalchemy", "Engine.dispose", 1),
    ("uvicorn._subprocess", "subprocess_started", 4),
    ("uvicorn.supervisors.multiprocess", "get_subprocess", 3),
    (_S3, "S3ArtifactRepository._download_file", 3),
    (_S3, "S3ArtifactRepository.get_local_path", 2),
    (_S3, "S3ArtifactRepository.get_download_presigned_url", 3),
    (_S3, "S3ArtifactRepository.parse_s3_compliant_uri", 2),
    (_S3, "S3ArtifactRepository._get_s3_client", 1),
    ("mlflow.utils.mime_type_utils", "_guess_mime_type", 1),
    *MIGRATIONS,
)
# What the server needs in addition to MLflow: a lock of one's own may lack it.
NEEDED = ("boto3", "uvicorn")
# By the address of the store, its driver.
DRIVERS = {"postgresql": "psycopg2", "mysql": "pymysql"}
STORE = "MLFLOW_BACKEND_STORE_URI"
# What such a server tells its workers (mlflow/environment_variables.py).
BOOTSTRAPPED = "_MLFLOW_AUTH_ADMIN_BOOTSTRAPPED"
INTERNAL_TOKEN = "_MLFLOW_INTERNAL_GATEWAY_AUTH_TOKEN"  # noqa: S105 - a name


class AnotherSchemaError(Exception):
    """The databases have another schema than the release that is to serve them."""


class AnotherMlflowError(Exception):
    """MLflow has changed where this app touches it."""


def taken(module: str, name: str) -> Any:
    """Return something of MLflow's; importing it takes seconds, and the other parts do without."""
    return reduce(getattr, name.split("."), importlib.import_module(module))


def differences() -> list[str]:
    """Say where this MLflow is not as this app knows it."""
    found = []
    # Where a release is installed, no store is known yet.
    engine = re.split("[+:]", os.environ.get(STORE, "postgresql:"))[0]
    for module in (*NEEDED, *filter(None, [DRIVERS.get(engine)])):
        try:
            importlib.import_module(module)
        except ImportError as error:
            found.append(f"{module}: {error}")
    for module, name, arguments in CALLS:
        try:
            inspect.signature(taken(module, name)).bind(*[None] * arguments)
        except (AttributeError, ImportError, TypeError) as error:
            found.append(f"{module}.{name}: {error}")
    for name in (BOOTSTRAPPED, INTERNAL_TOKEN):
        try:
            taken("mlflow.environment_variables", name)
        except AttributeError as error:
            found.append(str(error))
    return found


def check() -> None:
    """See that MLflow is one that this app knows.

    Raises:
        AnotherMlflowError: it is not.

    """
    if found := differences():
        raise AnotherMlflowError(
            f"Flowstead's server app does not know MLflow {version('mlflow')}: {'; '.join(found)}."
            " Stay with the release that serves until there is a Flowstead for this one."
        )


def never_migrate(*_: Any) -> None:
    """Be called in place of what changes tables: a server's rights may not prevent it, as a file knows none.

    Raises:
        AnotherSchemaError: always.

    """
    raise AnotherSchemaError(
        f"The databases have another schema than MLflow {version('mlflow')}, which must not change it while"
        " it starts. Run site.yml: it migrates a copy of them, with a way back."
    )


def prepare() -> None:
    """Do what `mlflow server` does before it has workers, for basic-auth alone (mlflow/server/__init__.py).

    Raises:
        AnotherMlflowError: MLflow is none that this app knows.

    """
    check()
    taken("mlflow.server", "_bootstrap_basic_auth")()
    os.environ[BOOTSTRAPPED] = "true"
    # By it MLflow knows its own jobs.
    os.environ[INTERNAL_TOKEN] = secrets.token_hex(32)
    handle, os.environ[CHANGES] = tempfile.mkstemp(prefix="logins-changed-")
    os.close(handle)


def create_app() -> App:
    """Make the app of a worker: MLflow calls it by its entry point.

    Raises:
        AnotherMlflowError: MLflow is none that this app knows.

    """
    check()
    return around(
        taken("mlflow.server.auth", "create_app")(),
        login_check(),
        Settings.from_environment(),
        internal_token=os.environ.get(INTERNAL_TOKEN, ""),
    )


def login_check() -> Check:
    """Make what looks a login up, in the same time whether there is such a user or not."""
    look_up = taken("mlflow.server.auth", "_authenticate_cached")
    forget = taken("mlflow.server.auth", "_invalidate_user_auth_cache")
    is_hash_of = taken("werkzeug.security", "check_password_hash")
    # As MLflow makes them (mlflow/server/auth/sqlalchemy_store.py).
    nobodys = taken("werkzeug.security", "generate_password_hash")(secrets.token_hex())

    def is_right(name: str, password: str) -> bool:
        # What MLflow remembers may be older than a change that another worker made.
        forget(name)
        if look_up(name, password) is not None:
            return True
        if not taken("mlflow.server.auth", "store").has_user(name):
            is_hash_of(nobodys, password)
        return False

    return is_right


def around(mlflow: App, is_right: Check, settings: Settings, *, internal_token: str = "") -> App:
    """Put the parts around MLflow's app, in their order."""
    places = Places(Downloads(from_elsewhere(mlflow)), settings.requests_at_once)
    bodies = Bodies(Contents(places), most=settings.body_bytes, most_together=settings.bodies_bytes)
    logins = Logins(
        Readers(bodies),
        is_right,
        attempts=settings.login_attempts,
        check_again_s=settings.check_again_s,
        changes=settings.changes,
        internal_token=internal_token,
    )
    return Answers(Refusals(Origins(logins, settings.origins)), settings.destination)
