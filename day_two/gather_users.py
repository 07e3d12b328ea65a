"""Tell who the users of another server of MLflow are, and what each may do.

Run with the Python of an MLflow release, and with the hosts' programs on PYTHONPATH (flowstead_host). On
standard input comes JSON: `source`, the URL of the other server's logins, and `folder`, a directory for a
copy of them; the password of the URL is in FLOWSTEAD_IMPORT_PASSWORD. Out: `users`, each with `name`,
`is_admin` and `permissions`: kind, identifier or "*", and the strongest permission; and how many are
`left_out`, as they are about workspaces. Their passwords stay where they are.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from flowstead_host import transfer
from flowstead_host.errors import ChangeError
from mlflow.server.auth.db.utils import INITIAL_REVISION, _get_alembic_config, migrate

from day_two.gather import database_url

# Where MLflow notes the revision of its logins.
VERSIONS = sa.table("alembic_version_auth", sa.column("version_num"))
DENIALS = (
    ("experiment_permissions", "experiment", "experiment_id"),
    ("registered_model_permissions", "registered_model", "name"),
)
ADMINS = "SELECT username, is_admin FROM users ORDER BY username"
# What a user may do is what the user's roles may; one of them is the user's own.
PERMISSIONS = (
    "SELECT users.username, workspace, resource_type, resource_pattern, permission FROM users "
    "JOIN user_role_assignments ON user_id = users.id JOIN roles ON roles.id = user_role_assignments.role_id "
    "JOIN role_permissions ON role_permissions.role_id = roles.id"
)
# The weakest first; what is denied counts for more than all.
STRENGTH = ("READ", "USE", "EDIT", "MANAGE", "DENY")


def copy(source: sa.URL, target: str) -> tuple[sa.Engine, list[Any]]:
    """Have a copy of logins of whatever revision the release knows, brought to the release's.

    Returns:
        it, and what was denied in a way that MLflow's migration leaves out: name, kind, identifier.

    """
    engine, shown = sa.create_engine(target), source.render_as_string()
    config = _get_alembic_config(target)
    with transfer.opened(source, reads=True) as connection:
        inspector = sa.inspect(connection)
        if not inspector.has_table("users"):
            raise ChangeError(f"{shown} has no users of MLflow")
        # Servers of before MLflow 3.6.0 noted none.
        is_noted = inspector.has_table(VERSIONS.name)
        noted = connection.execute(sa.select(VERSIONS)).scalar() if is_noted else INITIAL_REVISION
        try:
            ScriptDirectory.from_config(config).get_revision(noted)
        except CommandError:
            raise ChangeError(
                f"{shown} has logins of a newer release: upgrade the deployment first"
            ) from None
        migrate(engine, str(noted))
        metadata = sa.MetaData()
        metadata.reflect(engine)
        with engine.begin() as own:
            for table in metadata.sorted_tables:
                if table.name != VERSIONS.name and (rows := connection.execute(sa.select(table)).all()):
                    own.execute(sa.insert(table), [dict(row._mapping) for row in rows])  # noqa: SLF001 - SQLAlchemy's own name for it
        denied = denials(engine)
    migrate(engine, "head")
    return engine, denied


def denials(engine: sa.Engine) -> list[Any]:
    """Tell what old servers denied: NO_PERMISSIONS, for which newer ones have DENY."""
    found = []
    with engine.connect() as connection:
        for table, kind, column in DENIALS:
            if sa.inspect(connection).has_table(table):
                query = f"SELECT username, {column} FROM {table} JOIN users ON users.id = user_id "  # noqa: S608 - our own words
                rows = connection.exec_driver_sql(f"{query}WHERE permission = 'NO_PERMISSIONS'")
                found += [(name, kind, identifier) for name, identifier in rows]
    return found


def main() -> None:
    """Gather."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    asked = json.load(sys.stdin)
    source = database_url(asked["source"], os.environ.get("FLOWSTEAD_IMPORT_PASSWORD", ""))
    engine, denied = copy(source, f"sqlite:///{Path(asked['folder']) / 'logins.db'}")
    users: dict[str, dict[str, Any]] = {}
    strongest: dict[tuple[str, str, str], str] = {}
    left_out = 0

    def note(permission: str, on: tuple[str, str, str]) -> None:
        strongest[on] = max(strongest.get(on, STRENGTH[0]), permission, key=STRENGTH.index)

    with engine.connect() as connection:
        for name, is_admin in connection.exec_driver_sql(ADMINS):
            users[name] = {"name": name, "is_admin": bool(is_admin), "permissions": []}
        for name, workspace, kind, identifier, permission in connection.exec_driver_sql(PERMISSIONS):
            if workspace == "default" and kind != "workspace" and permission in STRENGTH:
                note(permission, (name, kind, identifier))
            else:
                left_out += 1
    for on in denied:
        note("DENY", on)
    for (name, kind, identifier), permission in sorted(strongest.items()):
        users[name]["permissions"].append([kind, identifier, permission])
    engine.dispose()
    print(json.dumps({"users": list(users.values()), "left_out": left_out}))


if __name__ == "__main__":
    try:
        main()
    except (ChangeError, sa.exc.SQLAlchemyError) as problem:
        sys.exit(str(problem).partition("\n")[0])
