"""What database_access makes of a real PostgreSQL server, one whose master is no superuser, as on RDS."""

from __future__ import annotations

import re
from dataclasses import replace

import psycopg2
import pytest
from flowstead_database_access.convergence import Convergence, Desired
from flowstead_database_access.errors import DatabaseAccessError
from flowstead_database_access.logins import Login
from postgresql_server import MASTER

# They may wait for images that somebody else makes.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

REFUSED = re.compile("permission denied|must be owner")
DEFAULTS = 'ALTER DEFAULT PRIVILEGES FOR ROLE "mlflow_owner" IN SCHEMA public'
DESIRED = Desired(
    databases=("mlflow", "mlflow_auth", "mlflow_rehearsal"),
    owner=Login("mlflow_owner", "the owner's: \\"),
    application=Login("mlflow_application", 'the "application\'s"'),
)


@pytest.fixture
def converged(server):
    """The server in the desired state."""
    converge(server)
    return server


def converge(server, desired=DESIRED, *, check=False, master=MASTER):
    """Bring the server to the desired state; return the statements, as `database: SQL`."""
    convergence = Convergence(server, desired, maintenance_database="postgres", check=check)
    convergence.run(lambda: master)
    return [f"{database}: {statement.sql}" for database, statement in convergence.statements]


def no_master():
    raise AssertionError("the master's secret was read")


def do(server, sql, *, login=DESIRED.owner, database="mlflow"):
    """Run SQL, each statement on its own; return the server's refusal, empty when it obeyed."""
    try:
        with (
            server.session(database, login, one_by_one=True) as session,
            session.connection.cursor() as cursor,
        ):
            for statement in sql.split(";"):
                cursor.execute(statement)
    except psycopg2.Error as error:
        return str(error)
    return ""


def as_application(server, sql, database="mlflow"):
    return do(server, sql, login=DESIRED.application, database=database)


def test_a_new_server_gets_everything_and_a_second_run_nothing(server):
    foretold = converge(server, check=True)
    first = converge(server)

    assert (
        foretold[: len(foretold) - len(DESIRED.databases)] == first[: len(foretold) - len(DESIRED.databases)]
    )
    assert sum("CREATE DATABASE" in statement for statement in first) == len(DESIRED.databases)
    assert converge(server) == []


def test_nothing_to_do_needs_no_master(converged):
    convergence = Convergence(converged, DESIRED, maintenance_database="postgres", check=False)

    convergence.run(no_master)

    assert convergence.statements == []


@pytest.mark.parametrize("place", DESIRED.databases)
def test_the_application_may_use_rows_and_nothing_else(converged, place):
    do(converged, "DROP TABLE IF EXISTS runs; CREATE TABLE runs (id serial, text text)", database=place)

    for allowed in (
        "INSERT INTO runs (text) VALUES ('a')",
        "SELECT * FROM runs",
        "UPDATE runs SET text = 'b'",
    ):
        assert as_application(converged, allowed, place) == ""
    for forbidden in (
        "TRUNCATE runs",
        "DROP TABLE runs",
        "CREATE TABLE t (i int)",
        "CREATE TEMP TABLE t (i int)",
    ):
        assert REFUSED.search(as_application(converged, forbidden, place)), forbidden
    do(converged, "DROP TABLE runs", database=place)


@pytest.mark.parametrize(
    ("drift", "healed"),
    [
        ("GRANT CREATE ON SCHEMA public TO PUBLIC", "REVOKE CREATE ON SCHEMA public FROM PUBLIC"),
        (
            "REVOKE USAGE ON SCHEMA public FROM mlflow_application",
            'GRANT USAGE ON SCHEMA public TO "mlflow_application"',
        ),
        ("GRANT CONNECT ON DATABASE mlflow TO PUBLIC", 'REVOKE CONNECT ON DATABASE "mlflow" FROM PUBLIC'),
        (
            "GRANT TRUNCATE ON kept TO mlflow_application",
            'REVOKE TRUNCATE ON TABLE kept FROM "mlflow_application"',
        ),
        (
            "REVOKE DELETE ON kept FROM mlflow_application",
            'GRANT DELETE ON TABLE kept TO "mlflow_application"',
        ),
        (
            "REVOKE USAGE ON SEQUENCE kept_id_seq FROM mlflow_application",
            'GRANT USAGE ON SEQUENCE kept_id_seq TO "mlflow_application"',
        ),
        (
            f"{DEFAULTS} REVOKE INSERT ON TABLES FROM mlflow_application",
            f'{DEFAULTS} GRANT INSERT ON TABLES TO "mlflow_application"',
        ),
    ],
)
def test_each_drifted_right_is_healed_by_the_owner_alone(converged, drift, healed):
    do(converged, "CREATE TABLE IF NOT EXISTS kept (id serial, text text)")
    assert converge(converged) == []
    assert do(converged, drift) == ""

    assert converge(converged, check=True) == [f"mlflow: {healed}"]
    assert converge(converged, master=Login("master", "wrong")) == [f"mlflow: {healed}"]
    assert converge(converged) == []


@pytest.mark.parametrize(
    ("drift", "healed"),
    [
        ("mlflow_application CREATEDB", ['"mlflow_application" NOCREATEDB']),
        ("mlflow_owner NOCREATEDB", ['"mlflow_owner" CREATEDB']),
        # Nobody can see whether the password of a role that may not log in is right
        (
            "mlflow_application NOLOGIN",
            ['"mlflow_application" LOGIN', "\"mlflow_application\" PASSWORD '(from its secret)'"],
        ),
        ("mlflow_application PASSWORD 'other'", ["\"mlflow_application\" PASSWORD '(from its secret)'"]),
        ("mlflow_owner PASSWORD 'other'", ["\"mlflow_owner\" PASSWORD '(from its secret)'"]),
    ],
)
def test_each_drifted_role_is_healed_by_the_master(converged, drift, healed):
    assert do(converged, f"ALTER ROLE {drift}", login=MASTER, database="postgres") == ""
    statements = [f"postgres: ALTER ROLE {part}" for part in healed]

    assert converge(converged, check=True)[: len(statements)] == statements
    assert converge(converged) == statements
    assert converge(converged) == []


def test_a_database_that_is_gone_or_another_role_owns_comes_back(converged):
    do(converged, "DROP DATABASE mlflow_auth", database="mlflow")
    do(converged, "ALTER DATABASE mlflow_rehearsal OWNER TO master", login=MASTER, database="postgres")

    said = converge(converged)

    assert [line for line in said if " DATABASE " in line and line.startswith("postgres:")] == [
        'postgres: CREATE DATABASE "mlflow_auth" OWNER "mlflow_owner" TEMPLATE template0 ENCODING \'UTF8\'',
        'postgres: ALTER DATABASE "mlflow_rehearsal" OWNER TO "mlflow_owner"',
    ]
    assert converge(converged) == []


def test_what_a_restore_takes_away_comes_back(converged):
    do(converged, "DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TABLE restored (id serial)")
    do(converged, "DROP SCHEMA public CASCADE", database="mlflow_auth")

    said = converge(converged)

    assert "mlflow_auth: CREATE SCHEMA public" in said
    assert 'mlflow: GRANT DELETE, INSERT, SELECT, UPDATE ON TABLE restored TO "mlflow_application"' in said
    assert as_application(converged, "INSERT INTO restored DEFAULT VALUES") == ""
    assert converge(converged) == []


def test_a_rotated_password_is_taken_and_the_old_one_refused(converged):
    rotated = replace(DESIRED, application=Login("mlflow_application", "another"))

    assert converge(converged, rotated) == [
        "postgres: ALTER ROLE \"mlflow_application\" PASSWORD '(from its secret)'"
    ]
    assert "password authentication failed" in as_application(converged, "SELECT 1")
    converge(converged)
    assert as_application(converged, "SELECT 1") == ""


def test_the_server_is_sent_no_password(postgresql, converged):
    converge(converged, replace(DESIRED, application=Login("mlflow_application", "very-secret")))
    converge(converged)

    log = postgresql.log()

    assert 'ALTER ROLE "mlflow_application" PASSWORD \'SCRAM-SHA-256$' in log
    assert "very-secret" not in log
    assert "the owner's" not in log


def test_a_wrong_master_is_named(converged):
    do(converged, "ALTER ROLE mlflow_application NOLOGIN", login=MASTER, database="postgres")

    with pytest.raises(DatabaseAccessError, match="master user master cannot use"):
        converge(converged, master=Login("master", "wrong"))
    converge(converged)
