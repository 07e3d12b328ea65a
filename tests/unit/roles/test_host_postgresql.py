"""How the host's programs switch databases on a real server, with the rights that database_access gives."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import psycopg2
import pytest
from flowstead_database_access.convergence import Convergence, Desired
from flowstead_database_access.logins import Login
from flowstead_host.engines import postgresql
from flowstead_host.errors import ChangeError
from flowstead_host.settings import Database
from postgresql_server import ENDPOINT, MASTER

# They may wait for images that somebody else makes.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.usefixtures("programs")]

OWNER = Login("host_owner", "the owner's")
APPLICATION = Login("host_application", "the application's")
NAMES = ("store", "store_auth")
COPIES = ("copy", "copy_auth")
SETTINGS = (
    "SELECT unnest(setconfig) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = setdatabase "
    "WHERE datname = 'store' ORDER BY 1"
)
RIGHTS = "SELECT datacl::text FROM pg_database WHERE datname = 'store'"


@pytest.fixture
def do(server):
    """Run SQL as somebody; return the rows of the last statement."""

    def run(sql, login=OWNER, database="store"):
        with (
            server.session(database, login, one_by_one=True) as session,
            session.connection.cursor() as cursor,
        ):
            for statement in sql.split(";"):
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    return run


@pytest.fixture
def engine(server, authority, do, tmp_path, monkeypatch):
    """The engine on two databases, each with a table with one row."""
    desired = Desired((*NAMES, *COPIES), OWNER, APPLICATION)
    Convergence(server, desired, maintenance_database="postgres", check=False).run(lambda: MASTER)
    for login in (OWNER, APPLICATION):
        file = tmp_path / login.username
        file.write_text(f"*:*:*:{login.username}:{login.password}\n")
        file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / APPLICATION.username))

    def uri(login, name):
        options = f"hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={authority.ca_pem_path}"
        return f"postgresql+psycopg2://{login.username}@{ENDPOINT}:5432/{name}?{options}"

    databases = tuple(
        Database(
            name=name,
            engine="postgresql",
            version_table="version",
            uri=uri(APPLICATION, name),
            owner_uri=uri(OWNER, name),
            copy_uri=uri(APPLICATION, copy),
            copy_owner_uri=uri(OWNER, copy),
        )
        for name, copy in zip(NAMES, COPIES, strict=True)
    )
    settings = SimpleNamespace(databases=databases, owner_passfile=str(tmp_path / OWNER.username))
    one = postgresql.PostgreSQL(settings)
    monkeypatch.setattr(one, "versions", lambda: {"server": 15, "pg_dump": 17})
    monkeypatch.setattr(postgresql, "LEAVE_DEADLINE_S", 0)
    one.switch_back()
    one.drop_fresh()
    for name in NAMES:
        do(
            "DROP TABLE IF EXISTS rows; CREATE TABLE rows (what text); INSERT INTO rows VALUES ('old')",
            database=name,
        )
    yield one
    one.switch_back()
    one.drop_fresh()


def names(do):
    return {
        name for (name,) in do("SELECT datname FROM pg_database", database="copy") if name.startswith("store")
    }


def rows(do, login=APPLICATION):
    return [[what for (what,) in do("SELECT what FROM rows", login, name)] for name in NAMES]


def change_fresh(do):
    for name in NAMES:
        do("UPDATE rows SET what = 'new'", database=f"{name}_fresh")


def test_names_are_switched_and_switched_back_and_nothing_is_lost(engine, do):
    engine.check()
    engine.make_fresh(copied=True)
    change_fresh(do)
    assert rows(do) == [["old"], ["old"]]
    assert engine.switch()
    assert rows(do) == [["new"], ["new"]]
    assert engine.switch_back()
    assert rows(do) == [["old"], ["old"]]
    assert not engine.switch_back()
    engine.drop_fresh()
    assert names(do) == set(NAMES)


def test_what_was_killed_after_a_switch_is_not_switched_again(engine, do):
    engine.make_fresh(copied=True)
    change_fresh(do)
    assert engine.switch()
    assert not engine.switch()
    assert rows(do) == [["new"], ["new"]]
    engine.drop_old()
    assert names(do) == set(NAMES)


def test_both_are_switched_or_none(engine, do):
    engine.make_fresh(copied=True)
    do("DROP DATABASE store_auth_fresh", database="copy")
    with pytest.raises(psycopg2.Error, match="store_auth_fresh"):
        engine.switch()
    assert names(do) == {*NAMES, "store_fresh"}


@pytest.mark.parametrize("copied", [True, False])
def test_a_fresh_database_has_the_rights_and_settings_of_the_other(engine, do, copied):
    """Also those that somebody gave who was not Flowstead."""
    do("ALTER DATABASE store SET search_path TO 'public', 'a b'; ALTER DATABASE store SET work_mem TO '5MB'")
    do("GRANT TEMPORARY ON DATABASE store TO pg_monitor")
    before = do(RIGHTS), do(SETTINGS)
    engine.make_fresh(copied=copied)
    engine.switch()
    assert (do(RIGHTS), do(SETTINGS)) == before
    with pytest.raises(psycopg2.Error, match="permission denied"):
        do("CREATE TEMPORARY TABLE mine (i int)", APPLICATION)
    engine.switch_back()
    do("ALTER DATABASE store RESET ALL; REVOKE TEMPORARY ON DATABASE store FROM pg_monitor")


def test_a_copy_reserves_numbers_of_its_own(engine, do):
    """Otherwise they are given a second time after a crash, or when a standby takes over."""
    do("CREATE SEQUENCE counted; SELECT nextval('counted')")
    assert do("SELECT log_cnt > 0 FROM counted") == [(True,)]
    engine.make_fresh(copied=True)
    assert do("SELECT last_value, is_called, log_cnt FROM counted", database="store_fresh") == [(1, True, 0)]
    assert do("SELECT nextval('counted')", database="store_fresh") == [(2,)]
    do("DROP SEQUENCE counted")


def test_an_empty_one_is_filled_by_a_script_and_open_to_the_application(engine, do, tmp_path):
    script = tmp_path / "all.sql"
    script.write_text(
        "CREATE TABLE public.rows (what text);\n"
        "COPY public.rows (what) FROM stdin;\nrestored\n\\.\n"
        "GRANT USAGE ON SCHEMA public TO host_application;\n"
        "GRANT SELECT ON public.rows TO host_application;\n"
    )
    engine.make_fresh(copied=False)
    for database in engine.databases:
        engine.replace(engine.fresh_uri(database), script)
    engine.switch()
    assert rows(do) == [["restored"], ["restored"]]


@pytest.mark.parametrize("depth", ["full", "schema"])
def test_copies_for_rehearsals_keep_their_rights_when_they_are_emptied(engine, do, server, tmp_path, depth):
    """Or the next run of database_access would change something after each rehearsal."""
    for name in NAMES:
        do("CREATE TABLE IF NOT EXISTS version (version_num text)", database=name)
    for database in engine.databases:
        engine.copy(database, depth, tmp_path)
    kept = [["old"], ["old"]] if depth == "full" else [[], []]
    assert [[what for (what,) in do("SELECT what FROM rows", OWNER, name)] for name in COPIES] == kept
    for database in engine.databases:
        engine.wipe(database)
    for name in COPIES:
        assert do("SELECT to_regclass('rows'), to_regclass('version')", database=name) == [(None, None)]
    desired = Desired((*NAMES, *COPIES), OWNER, APPLICATION)
    again = Convergence(server, desired, maintenance_database="postgres", check=True)
    again.run(lambda: MASTER)
    assert again.statements == []


def test_sessions_that_were_left_behind_are_ended(engine, server):
    """Of a server whose host lost its power, and of a migration that was killed."""
    with server.session("store", APPLICATION), server.session("store", OWNER):
        engine.make_fresh(copied=True)
    with contextlib.suppress(psycopg2.Error), server.session("store_fresh", OWNER):
        assert engine.switch()


def test_somebody_else_in_the_databases_is_named(engine, do, server):
    do("GRANT CONNECT ON DATABASE store TO master")
    with server.session("store", MASTER):
        for change in (engine.check, lambda: engine.make_fresh(copied=True)):
            with pytest.raises(
                ChangeError, match=r"connected to store or store_auth: master\. .* disconnect"
            ):
                change()
    do("REVOKE CONNECT ON DATABASE store FROM master")


def test_an_owner_who_may_make_no_database_is_told_before_anything_begins(engine, do):
    do("ALTER ROLE host_owner NOCREATEDB", MASTER, "postgres")
    with pytest.raises(ChangeError, match="ALTER ROLE host_owner CREATEDB"):
        engine.check()
    do("ALTER ROLE host_owner CREATEDB", MASTER, "postgres")


def test_data_of_an_unknown_change_are_not_touched(engine, do):
    do("CREATE DATABASE store_old TEMPLATE store", database="copy")
    with pytest.raises(ChangeError, match="there is a database store_old"):
        engine.check()
    do("DROP DATABASE store_old", database="copy")
