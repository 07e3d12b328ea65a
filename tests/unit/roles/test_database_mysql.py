"""What database_access makes of a real MySQL server, one whose master is no superuser, as on Aurora."""

from __future__ import annotations

from dataclasses import replace

import pymysql
import pytest
from flowstead_database_access.convergence import Desired
from flowstead_database_access.errors import DatabaseAccessError
from flowstead_database_access.logins import Login
from flowstead_database_access.mysql import MysqlConvergence, MysqlServer
from mysql_server import ENDPOINT, MASTER, PORT

# They may wait for images that somebody else makes.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

DESIRED = Desired(
    databases=("team", "team_auth", "team_rehearsal"),
    owner=Login("team_owner", "the owner's: \\"),
    application=Login("team_application", 'the "application\'s" %s'),
)


@pytest.fixture
def server(mysql):
    return MysqlServer(endpoint=ENDPOINT, at=("127.0.0.1", PORT), ca_path=mysql.ca)


@pytest.fixture
def converged(server):
    """The server in the desired state."""
    converge(server)
    return server


def converge(server, desired=DESIRED, *, check=False, master=MASTER):
    """Bring the server to the desired state; return the statements."""
    convergence = MysqlConvergence(server, desired, check=check)
    convergence.run(lambda: master)
    return [statement.sql for _, statement in convergence.statements]


def do(server, login, sql):
    """Run SQL; return the server's refusal, empty when it obeyed."""
    try:
        with server.session(login) as session, session.connection.cursor() as cursor:
            for statement in sql.split(";"):
                cursor.execute(statement)
    except pymysql.MySQLError as error:
        return str(error)
    return ""


def test_a_new_server_gets_everything_and_a_second_run_nothing(server):
    foretold = converge(server, check=True)
    first = converge(server)
    assert foretold == first
    assert sum("CREATE DATABASE" in statement for statement in first) == len(DESIRED.databases)
    convergence = MysqlConvergence(server, DESIRED, check=False)
    # The master's secret is not asked for.
    convergence.run(lambda: pytest.fail("the master's secret was read"))
    assert convergence.statements == []


def test_the_application_may_use_rows_and_nothing_else(converged):
    owner, application = DESIRED.owner, DESIRED.application
    assert not do(converged, owner, "CREATE TABLE IF NOT EXISTS team.rows_of (what TEXT)")
    assert not do(converged, application, "INSERT INTO team.rows_of VALUES ('x'); DELETE FROM team.rows_of")
    for sql in ("CREATE TABLE team.mine (i INT)", "DROP TABLE team.rows_of", "SELECT 1 FROM mysql.user"):
        assert "denied" in do(converged, application, sql)


def test_the_owner_may_make_what_takes_a_databases_place_and_no_others(converged):
    """Nor what a letter in the place of an underscore would let it."""
    owner = DESIRED.owner
    assert not do(converged, owner, "CREATE DATABASE team_auth_fresh; DROP DATABASE team_auth_fresh")
    for name in ("teamXauth", "team_other", "others"):
        assert "denied" in do(converged, owner, f"CREATE DATABASE {name}")
    assert "denied" in do(converged, owner, "CREATE USER stranger")


@pytest.mark.parametrize(
    ("drift", "healed"),
    [
        ("DROP DATABASE team_rehearsal", "CREATE DATABASE `team_rehearsal`"),
        ("GRANT DROP ON team.* TO team_application", "REVOKE DROP ON `team`.*"),
        ("REVOKE DELETE ON team.* FROM team_application", "GRANT DELETE ON `team`.*"),
        ("GRANT PROCESS ON *.* TO team_owner", "REVOKE PROCESS ON *.*"),
        ("GRANT SELECT ON mysql.* TO team_application", "REVOKE SELECT ON `mysql`.*"),
        ("ALTER USER team_owner IDENTIFIED BY 'another'", "ALTER USER `team_owner`"),
        ("ALTER USER team_owner ACCOUNT LOCK", "ALTER USER `team_owner`"),
        ("DROP USER team_application", "CREATE USER `team_application`"),
    ],
)
def test_each_drift_is_healed_by_the_master(mysql, converged, drift, healed):
    mysql.do(drift)
    assert converge(converged)[0].startswith(healed)
    assert converge(converged) == []


def test_a_rotated_password_is_taken_and_the_old_one_refused(converged):
    rotated = replace(DESIRED, application=Login(DESIRED.application.username, "another"))
    assert len(converge(converged, rotated)) == 1
    assert converged.password_is_right(rotated.application)
    assert not converged.password_is_right(DESIRED.application)


def test_a_wrong_master_is_named(mysql, converged):
    mysql.do("DROP DATABASE team_rehearsal")
    with pytest.raises(DatabaseAccessError, match="The master user master cannot use the database server"):
        converge(converged, master=Login("master", "wrong"))


def test_another_servers_certificate_is_refused(mysql):
    other = MysqlServer(endpoint="db.example.com", at=("127.0.0.1", PORT), ca_path=mysql.ca)
    with pytest.raises(pymysql.err.OperationalError, match="certificate"), other.session(MASTER):
        pass


def test_a_server_that_does_not_answer_is_named(mysql):
    other = MysqlServer(endpoint=ENDPOINT, at=("127.0.0.1", 1), ca_path=mysql.ca)
    with pytest.raises(DatabaseAccessError, match="localhost does not answer"), other.session(MASTER):
        pass
