"""`projects` in deployment.yml: what cannot be, with file, line and key; and what a client of one is told."""

import importlib.util
import re
from pathlib import Path

import pytest

from provisioner.config import database, project_rules
from tests.unit.provisioner_cli.conftest import secret

TWO = "projects:\n  - name: default\n  - name: churn\n"


def named(*names):
    return "projects:\n  - name: default\n" + "".join(f"  - name: {name}\n" for name in names)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (
            named("churn", "churn"),
            4,
            "projects.2.name: the text 'churn' is the name of two projects, first of",
        ),
        (named("default"), 3, "projects.1.name: the text 'default' is the name of two projects"),
        (named("api"), 3, "projects.1.name: 'api' cannot be a project: MLflow itself answers at /api"),
        (named("static-files"), 3, "MLflow itself answers at /static-files"),
        (named("health"), 3, "MLflow itself answers at /health"),
        (named("auth"), 3, "'auth' cannot be a project: what ends in auth are databases and units of others"),
        (named("x-rehearsal"), 3, "what ends in rehearsal are databases and units of others"),
        (named("artifacts"), 3, "'artifacts' and artifacts.prefix 'artifacts' share a folder of the bucket"),
        (named("backups"), 3, "'backups' and backups.prefix 'backups' share a folder of the bucket"),
        (
            "artifacts: {prefix: churn/all}\n" + named("churn"),
            0,
            "",
        ),
        (
            "backups: {prefix: churn}\n" + named("churn"),
            4,
            "'churn' and backups.prefix 'churn' share a folder",
        ),
        (named("Churn"), 3, "'Churn' is not a name for URL, database and folder; allowed are 2 to 13"),
        (named("a--b"), 3, "no hyphen at the end and no two in a row"),
        (named("a" * 14), 3, "allowed are 2 to 13 characters"),
        (named("7up"), 3, "a small letter first"),
        (named("x_y"), 3, "is not a name for URL, database and folder"),
        (named(12), 3, "projects.1.name: must be text, is the number 12; put it in quotes"),
        ("projects: [{name: churn}]\n", 1, "projects: default is always there"),
        ("projects: []\n", 1, "projects: default is always there"),
        ("projects: churn\n", 1, "projects: must be a list, is the text 'churn'"),
        (
            "projects: [default]\n",
            1,
            "projects.0: must be a section with indented keys, is the text 'default'",
        ),
        ("projects: [{name: default}, {}]\n", 1, "projects.1.name: is missing"),
        (
            "projects: [{name: default}, {nmae: x}]\n",
            1,
            "projects.1.nmae: is not a key Flowstead knows; did you mean `name`?",
        ),
        (named(*(f"p{n}" for n in range(8))), 10, "projects.8: AWS has room for 8 projects in a deployment"),
    ],
)
def test_a_mistake_is_named_with_file_line_key_and_what_is_allowed(refused, accepted, text, line, words):
    if not words:
        assert accepted(text)
        return
    lines = refused(text)
    assert any(one.startswith(f"deployment.yml:{line}: ") and words in one for one in lines), lines


def test_projects_are_told_together_with_other_mistakes(refused):
    keys = [line.split(": ")[1] for line in refused("name: A\n" + named("churn", "churn", "api"))]
    assert keys == ["name", "projects.2.name", "projects.3.name"]


def test_servers_on_a_volume_have_no_further_project_so_far(refused, monkeypatch):
    monkeypatch.setitem(database.ENGINES, "none", database.Sqlite)
    (line,) = refused("database: {engine: none}\n" + TWO)
    assert line.startswith(
        "deployment.yml:4: projects.1: database.engine none has room for the default project"
    )


def test_the_reserved_names_are_those_of_mlflows_paths():
    """A project at one of them would take it away from the default project's clients."""
    (server,) = importlib.util.find_spec("mlflow").submodule_search_locations
    texts = [path.read_text() for path in Path(server, "server").rglob("*.py")]
    # A mount is a place in a container, and no path of a URL.
    path = re.compile(r'(?:_add_static_prefix\(\s*|prefix=|(?<!_MOUNT )= )f?"/([a-z0-9-]+)')
    firsts = {found for text in texts for found in path.findall(text)}
    assert {"api", "ajax-api", "graphql", "signup"} <= firsts
    assert firsts - project_rules.reserved_paths == set()


def test_a_client_of_a_project_gets_its_address_and_its_login(made):
    made.configure(TWO)
    assert made.run().code == 0
    default, churn = made.run("client", "--json").data, made.run("client", "--project=churn", "--json").data
    assert churn["tracking_uri"] == default["tracking_uri"] + "/churn"
    assert churn["ca_file"] == default["ca_file"]
    assert churn["password_command"].endswith("password --project=churn")
    assert (
        f"export MLFLOW_TRACKING_URI={churn['tracking_uri']}\n" in made.run("client", "--project=churn").out
    )
    password = made.run("password", "--project", "churn").out
    assert password == secret(made, "churn-admin")["password"] + "\n"
    assert password != made.run("password").out
    assert "projects.churn.admin.username: admin\n" in made.run("outputs").out


@pytest.mark.parametrize("command", ["client", "password"])
def test_a_project_that_is_not_there_is_a_mistake(made, command):
    result = made.run(command, "--project=chrun")
    assert result.code == 2
    assert "There is no project 'chrun' (there is default)." in result.err
