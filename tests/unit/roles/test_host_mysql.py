"""How the host's programs dump and switch databases on a real MySQL server, with their roles' rights."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pymysql
import pytest
from flowstead_host.engines import mysql as engine_module
from flowstead_host.engines import mysql_address, mysql_names, mysql_rows
from flowstead_host.errors import ChangeError
from mysql_kit import MysqlKit

# They may wait for an image that somebody else makes.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
NAMES = ("store", "other")
OLD, NEW = ("one", "rows"), ("two", "rows")


@pytest.fixture
def kit(mysql, tmp_path):
    """Two databases."""
    one = MysqlKit(mysql, NAMES, tmp_path)
    for name in NAMES:
        for each in (name, f"{name}_fresh", f"{name}_old", f"{name}_copy"):
            one.put(each, OLD if each == name else None)
        one.put(f"{name}_copy", ("", ""))
    yield one
    one.connection.close()


@pytest.fixture
def engine(kit, monkeypatch):
    """The engine on them."""
    monkeypatch.setattr(engine_module, "DATABASE_DEADLINE_S", 0)
    return engine_module.MySQL(SimpleNamespace(databases=tuple(kit.database(name) for name in NAMES)))


@pytest.fixture
def application(kit):
    """A session of the server."""
    options = mysql_address.options(kit.database("store").uri)
    connection = pymysql.connect(**options, database="store", autocommit=True)
    with contextlib.suppress(pymysql.Error), connection:
        yield connection.cursor()


def renew(kit):
    with kit.cursor() as cursor:
        for name in NAMES:
            cursor.execute(f"UPDATE {name}_fresh.content SET what = 'two'")  # noqa: S608 - of ours


def test_tables_are_switched_and_switched_back_with_what_belongs_to_them(engine, kit):
    engine.check()
    with kit.cursor() as cursor:
        cursor.execute("USE store")
        cursor.execute("SET SESSION sql_mode = 'ANSI_QUOTES'")
        cursor.execute('CREATE TRIGGER odd BEFORE DELETE ON child FOR EACH ROW SET @gone = OLD."id"')
        cursor.execute("SET SESSION sql_mode = DEFAULT")
    engine.make_fresh(copied=True)
    # As after a kill.
    engine.make_fresh(copied=True)
    renew(kit)
    assert engine.switch()
    assert not engine.switch()
    with kit.cursor() as cursor:
        assert cursor.execute("SHOW TRIGGERS IN store") == 2
        assert not cursor.execute("SHOW DATABASES LIKE '%_fresh'")
    assert {kit.look(name) for name in NAMES} == {NEW}
    assert engine.switch_back()
    assert not engine.switch_back()
    assert {kit.look(name) for name in NAMES} == {OLD}
    engine.drop_fresh()
    assert {kit.look(f"{name}_{end}") for name in NAMES for end in ("fresh", "old")} == {None}


def test_both_are_switched_or_none(engine, kit, monkeypatch):
    engine.make_fresh(copied=True)
    renew(kit)
    real = mysql_names.tables_in
    # One that is gone when it is to be given.
    gone = lambda cursor, name: [*real(cursor, name), *(["gone"] if name == "other_fresh" else [])]  # noqa: E731
    monkeypatch.setattr(mysql_names, "tables_in", gone)
    with pytest.raises(pymysql.Error, match="gone"):
        engine.switch()
    monkeypatch.setattr(mysql_names, "tables_in", real)
    assert not engine.switch_back()
    assert {kit.look(name) for name in NAMES} == {OLD}


def test_the_application_may_do_what_it_could_before_and_see_nothing_else(engine, kit):
    engine.make_fresh(copied=True)
    engine.switch()
    with pymysql.connect(**mysql_address.options(kit.database("store").uri)) as connection:
        cursor = connection.cursor()
        cursor.execute("INSERT INTO store.content VALUES (2, 'more', 'rows')")
        for sql in ("CREATE TABLE store.mine (i INT)", "SELECT * FROM store_old.content"):
            with pytest.raises(pymysql.Error, match="denied"):
                cursor.execute(sql)


def test_sessions_that_were_left_behind_are_ended(engine, application, kit):
    """Of a server whose host lost its power, in the middle of a transaction."""
    application.execute("BEGIN")
    application.execute("SELECT * FROM content")
    engine.make_fresh(copied=True)
    renew(kit)
    assert engine.switch()
    assert kit.look("store") == NEW


def test_somebody_else_in_the_tables_is_told_and_nothing_is_changed(
    engine, kit, mysql, monkeypatch, tmp_path
):
    file = mysql.make_user("somebody", "SELECT", NAMES, tmp_path)
    monkeypatch.setattr(engine_module, "LOCK_WAIT_S", 1)
    engine.make_fresh(copied=True)
    options = mysql_address.options(mysql.uri("store", "somebody", file))
    with pymysql.connect(**options, database="store") as connection:
        connection.cursor().execute("SELECT * FROM content")
        with pytest.raises(ChangeError, match=r"somebody else uses tables.* SHOW PROCESSLIST"):
            engine.switch()
    assert not engine.switch_back()
    assert {kit.look(name) for name in NAMES} == {OLD}


def test_a_dump_is_of_one_moment_and_has_what_is_odd(engine, kit, application, tmp_path, monkeypatch):
    odd = "it's \\ \"\n\r\t\x1a\0 \N{SNOWMAN}\N{GRINNING FACE} %s ;\n"
    with kit.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE store.odd (id INT AUTO_INCREMENT PRIMARY KEY, d DOUBLE, j JSON, b BLOB, t TEXT, "
            "n BIGINT AS (char_length(t)) STORED, w TIMESTAMP(6) NULL)"
        )
        for number in (0.1, 1 / 3, 1e308, 5e-324, "-0", None):
            cursor.execute(
                "INSERT INTO store.odd (d, j, b, t, w) VALUES (%s, %s, %s, %s, NOW(6))",
                (number, '{"a": [1, "ü"]}', bytes(range(256)), odd),
            )
        cursor.execute("DELETE FROM store.odd WHERE d IS NULL")
    count = mysql_rows.tables_in

    def and_write(cursor, name):
        found = count(cursor, name)
        application.execute("INSERT INTO content VALUES (9, 'later', 'later')")
        return found

    monkeypatch.setattr(mysql_rows, "tables_in", and_write)
    database, path = engine.databases[0], tmp_path / "dump"
    rows = engine.dump(database, path)
    monkeypatch.setattr(mysql_rows, "tables_in", count)
    assert rows == {"child": 1, "content": 1, "odd": 5, "version": 1}
    assert engine.verify(path) == rows

    everything = "SELECT *, @@session.time_zone FROM {}.odd ORDER BY id"
    with kit.cursor() as cursor:
        cursor.execute(everything.format("store"))
        before = str(cursor.fetchall())
    engine.make_fresh(copied=True)
    with kit.cursor() as cursor:
        cursor.execute("TRUNCATE store_fresh.odd")
    engine.restore(database, path)
    with kit.cursor() as cursor:
        cursor.execute(everything.format("store_fresh"))
        assert str(cursor.fetchall()) == before
        cursor.execute("INSERT INTO store_fresh.odd (d) VALUES (0)")
        # As in the original: what was the identifier of something that is gone is nobody else's.
        assert cursor.lastrowid == 7
        assert cursor.execute("SHOW TRIGGERS IN store_fresh") == 1
        assert mysql_names.ASIDE not in mysql_rows.tables_in(cursor, "store_fresh")


def test_a_backup_of_another_schema_is_not_put_into_tables_of_this_one(engine, kit, tmp_path):
    engine.dump(engine.databases[0], tmp_path / "dump")
    engine.make_fresh(copied=True)
    with kit.cursor() as cursor:
        cursor.execute("UPDATE store_fresh.version SET version_num = 'two'")
    with pytest.raises(ChangeError, match=r"the schema one, and this release makes two"):
        engine.restore(engine.databases[0], tmp_path / "dump")


def test_copies_for_rehearsals_stay_open_to_the_application(engine, kit, tmp_path):
    database = engine.databases[0]
    with pymysql.connect(**mysql_address.options(database.uri)) as connection:
        for depth, found in (("schema", 0), ("full", 1)):
            engine.copy(database, depth, tmp_path)
            with connection.cursor() as cursor:
                assert cursor.execute("SELECT * FROM store_copy.content") == found
                assert cursor.execute("SELECT * FROM store_copy.version") == 1
            connection.commit()
    engine.wipe(database)
    assert kit.look("store_copy") == ("", "")


def test_what_a_server_does_not_allow_is_told_before_anything_begins(engine, mysql):
    mysql.do("SET GLOBAL log_bin_trust_function_creators = 0")
    with pytest.raises(ChangeError, match="log_bin_trust_function_creators to 1 in its parameter group"):
        engine.check()
    mysql.do("SET GLOBAL log_bin_trust_function_creators = 1")
    engine.check()


def test_data_of_an_unknown_change_are_not_touched(engine, kit):
    kit.put("store_old", OLD)
    with pytest.raises(ChangeError, match="there is a database store_old"):
        engine.make_fresh(copied=True)
    assert kit.look("store_old") == OLD
    kit.put("store_old", None)


def test_a_release_that_makes_views_is_refused(engine, kit):
    engine.make_fresh(copied=True)
    with kit.cursor() as cursor:
        cursor.execute("CREATE VIEW store_fresh.seen AS SELECT 1")
    with pytest.raises(ChangeError, match="make seen, and views cannot be given"):
        engine.switch()
    assert {kit.look(name) for name in NAMES} == {OLD}


def test_a_server_with_another_certificate_is_not_asked(engine, tmp_path):
    from sandbox.real.certificates import Authority  # noqa: PLC0415 - for this alone

    another = Authority(tmp_path / "another")
    uri = engine.databases[0].uri.partition("&ssl_ca=")[0]
    with (
        pytest.raises(ChangeError, match="certificate verify failed"),
        engine.connection(f"{uri}&ssl_ca={another.ca_pem_path}"),
    ):
        pass


def test_triggers_are_put_aside_and_made_again_wherever_that_was_killed(kit):
    with kit.cursor() as cursor:
        triggers = list(mysql_names.triggers_in(cursor, "store"))
        mysql_names.put_aside(cursor, "store")
        # Put down, and not removed yet; then made again, and still put down.
        mysql_names.make_triggers(cursor, "store", triggers)
        mysql_names.put_aside(cursor, "store")
        mysql_names.make_triggers(cursor, "store", triggers)
        mysql_names.make_again(cursor, "store")
        assert list(mysql_names.triggers_in(cursor, "store")) == triggers
    assert kit.look("store") == OLD
