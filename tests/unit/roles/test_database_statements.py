"""The SQL that database_access writes, without a server."""

from __future__ import annotations

import pytest
from flowstead_database_access.logins import Login
from flowstead_database_access.statements import (
    APPLICATION_ATTRIBUTES,
    OWNER_ATTRIBUTES,
    Rights,
    database_corrections,
    password_correction,
    quoted,
    role_corrections,
)

ROLE = Login("mlflow_owner", "the-password")
RIGHT = {"rolcanlogin": True, "rolcreatedb": True, "rolcreaterole": False}


def sql(statements):
    return [statement.sql for statement in statements]


def test_a_missing_role_is_made_without_more_power_than_it_needs():
    assert sql(role_corrections(ROLE, OWNER_ATTRIBUTES, None)) == [
        'CREATE ROLE "mlflow_owner" CREATEDB NOCREATEROLE LOGIN'
    ]
    assert sql(role_corrections(ROLE, APPLICATION_ATTRIBUTES, None)) == [
        'CREATE ROLE "mlflow_owner" NOCREATEDB NOCREATEROLE LOGIN'
    ]


def test_a_right_role_is_left_alone():
    assert sql(role_corrections(ROLE, OWNER_ATTRIBUTES, RIGHT)) == []
    assert sql(role_corrections(ROLE, APPLICATION_ATTRIBUTES, RIGHT | {"rolcreatedb": False})) == []


@pytest.mark.parametrize(
    ("attribute", "word"),
    [("rolcreatedb", "CREATEDB"), ("rolcreaterole", "NOCREATEROLE"), ("rolcanlogin", "LOGIN")],
)
def test_a_drifted_attribute_is_set_right_and_no_other(attribute, word):
    drifted = RIGHT | {attribute: not RIGHT[attribute]}

    assert sql(role_corrections(ROLE, OWNER_ATTRIBUTES, drifted)) == [f'ALTER ROLE "mlflow_owner" {word}']


def test_the_application_makes_no_databases():
    drifted = RIGHT | {"rolcreatedb": True}

    assert sql(role_corrections(ROLE, APPLICATION_ATTRIBUTES, drifted)) == [
        'ALTER ROLE "mlflow_owner" NOCREATEDB'
    ]


def test_a_password_shows_nowhere():
    shown = repr(ROLE) + repr(password_correction(ROLE))

    assert "the-password" not in shown
    assert password_correction(ROLE).password_of.password == "the-password"


def test_a_missing_database_is_made_for_its_owner():
    [made] = sql(database_corrections("mlflow", "mlflow_owner", None))

    assert made.startswith('CREATE DATABASE "mlflow" OWNER "mlflow_owner"')


def test_somebody_elses_database_is_given_to_its_owner():
    assert sql(database_corrections("mlflow", "mlflow_owner", "master")) == [
        'ALTER DATABASE "mlflow" OWNER TO "mlflow_owner"'
    ]
    assert sql(database_corrections("mlflow", "mlflow_owner", "mlflow_owner")) == []


@pytest.mark.parametrize(
    ("held", "wanted", "statements"),
    [
        ({}, {"SELECT", "INSERT"}, ['GRANT INSERT, SELECT ON TABLE runs TO "app"']),
        ({"SELECT"}, {"SELECT", "INSERT"}, ['GRANT INSERT ON TABLE runs TO "app"']),
        ({"SELECT", "TRUNCATE"}, {"SELECT"}, ['REVOKE TRUNCATE ON TABLE runs FROM "app"']),
        (
            {"TRUNCATE"},
            {"SELECT"},
            ['REVOKE TRUNCATE ON TABLE runs FROM "app"', 'GRANT SELECT ON TABLE runs TO "app"'],
        ),
        ({"SELECT"}, {"SELECT"}, []),
    ],
)
def test_a_grantee_gets_exactly_what_is_wanted(held, wanted, statements):
    rights = Rights("TABLE runs", {"app": frozenset(held), "other": frozenset({"DELETE"})})

    assert sql(rights.corrections("app", wanted)) == statements


def test_everybody_is_written_public():
    rights = Rights("SCHEMA public", {"": frozenset({"USAGE", "CREATE"})})

    assert sql(rights.corrections("", {"USAGE"})) == ["REVOKE CREATE ON SCHEMA public FROM PUBLIC"]


def test_a_name_cannot_end_its_quotes():
    assert quoted('a"; DROP ROLE b; --') == '"a""; DROP ROLE b; --"'
