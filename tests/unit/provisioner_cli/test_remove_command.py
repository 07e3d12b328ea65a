"""What is no longer wanted and holds data, as a user meets it at the command line."""

from __future__ import annotations

import json

import pytest

from tests.unit.provisioner_cli.conftest import Machine


@pytest.fixture
def older(made: Machine) -> Machine:
    """The deployment, and a secret that an older version made."""
    of = {"flowstead:deployment": "flowstead", "flowstead:resource": "secret_older"}
    tags = [{"Key": key, "Value": value} for key, value in of.items()]
    made.account.call("secretsmanager", "create_secret", Name="older", SecretString="{}", Tags=tags)
    return made


def is_going(machine: Machine) -> bool:
    return "DeletedDate" in machine.account.call("secretsmanager", "describe_secret", SecretId="older")


def test_it_is_told_of_and_stays(older: Machine) -> None:
    for command in ("plan", "apply", "status"):
        done = older.run(command)
        assert done.code == 0
        assert "secret secret_older (older) is no longer wanted, and stays: it holds data." in done.out
        assert "provision.py --remove older" in done.out
    assert not is_going(older)


def test_the_plan_shows_what_apply_removes(older: Machine) -> None:
    shown = older.run("plan", "--remove", "older")
    assert shown.code == 3
    assert "- secret secret_older (older)" in shown.out
    assert "--remove older" in shown.out.splitlines()[-1]
    assert not is_going(older)


@pytest.mark.parametrize("words", [("--remove", "older"), ("apply", "--remove", "older")], ids=" ".join)
def test_it_goes_when_it_is_named(older: Machine, words: tuple[str, ...]) -> None:
    done = older.run(*words)
    assert done.code == 0, done.err
    assert "secret older, for 7 days" in done.err
    assert is_going(older)
    assert older.run("--json").data["changed"] is False


def test_destroy_keeps_it_unless_it_is_named(older: Machine) -> None:
    older.configure("database: {deletion_protection: false}\n")
    done = older.run("destroy", "--yes", "--json")
    assert done.code == 0, done.err
    assert [text for text in done.data["kept"] if "(older) is no longer wanted, and stays" in text]
    assert not is_going(older)
    assert older.run("destroy", "--yes", "--remove", "older").code == 0
    assert is_going(older)


def test_another_name_is_a_mistake(older: Machine) -> None:
    for words in (("--remove", "artifacts"), ("destroy", "--yes", "--remove", "artifacts")):
        done = older.run(*words)
        assert done.code == 2
        assert "--remove artifacts: there is no such thing" in done.err
        assert "(there is older)" in done.err
    assert older.run("--remove", "older", "plan").code == 2
    assert json.loads(older.run("plan", "--json").out)["nothing_to_do"] is True
