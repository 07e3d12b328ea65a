"""The collection holds the roles and nothing of the project's own, and works where the project is not."""

from __future__ import annotations

import re
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.collection.collection import PROJECT, ROLES, build, install, run

GALAXY: dict[str, Any] = yaml.safe_load((PROJECT / "galaxy.yml").read_text())
OURS = re.compile(r"^(ansible\.builtin|ansible\.legacy|flowstead\.mlflow)\.")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the collection installed, and nothing else."""
    directory = tmp_path_factory.mktemp("elsewhere")
    install(build(directory), directory)
    return directory


def play(
    directory: Path, *roles: str, tasks_from: str = "preflight", facts: bool = False, **variables: object
) -> str:
    """Write a play for this machine; the file's name."""
    text = yaml.safe_dump(
        [
            {
                "hosts": "localhost",
                "connection": "local",
                "gather_facts": facts,
                "vars": variables,
                "tasks": [
                    {
                        "ansible.builtin.include_role": {
                            "name": f"flowstead.mlflow.{role}",
                            "tasks_from": tasks_from,
                        }
                    }
                    for role in roles
                ],
            }
        ]
    )
    (directory / "play.yml").write_text(text)
    return "play.yml"


def test_only_the_roles_go_in(tmp_path: Path) -> None:
    with tarfile.open(build(tmp_path)) as archive:
        names = {name.split("/")[0] for name in archive.getnames()}
        roles = {name.split("/")[1] for name in archive.getnames() if name.startswith("roles/")}
    kept = {"README.md", "CHANGELOG.md", "LICENSE", "meta", "plugins", "roles"}
    assert names == {"MANIFEST.json", "FILES.json"} | kept
    assert roles == set(ROLES)


def test_its_version_is_the_projects() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert GALAXY["version"] == project["version"]


def test_it_depends_on_the_collections_that_the_roles_use() -> None:
    named = r"\b((?:amazon|ansible|community|containers)\.\w+)\.\w+"
    texts = [
        path.read_text()
        for path in (PROJECT / "roles").rglob("*")
        if path.suffix in {".yml", ".j2"} and "meta" not in path.parts
    ]
    # A plugin names the modules that it sends in quotes; what it imports is Ansible's own.
    for path in (PROJECT / "plugins/action").glob("*.py"):
        texts += re.findall(r'"([a-z.]+)"', path.read_text())
    used = {name for text in texts for name in re.findall(named, text) if not OURS.match(f"{name}.")}
    assert used == set(GALAXY["dependencies"])


def test_the_roles_are_documented_where_it_is_installed(elsewhere: Path) -> None:
    listed = run(elsewhere, "ansible-doc", "-t", "role", "-l").stdout
    assert [role for role in ROLES if f"flowstead.mlflow.{role}:" not in listed] == []


def test_every_task_of_ours_is_documented_where_it_is_installed(elsewhere: Path) -> None:
    tasks = {path.stem for path in (PROJECT / "plugins/action").glob("*.py")}
    documented = {path.stem for path in (PROJECT / "plugins/modules").glob("*.py")}
    assert tasks <= documented
    shown = run(elsewhere, "ansible-doc", *(f"flowstead.mlflow.{name}" for name in sorted(documented))).stdout
    assert [name for name in documented if f"flowstead.mlflow.{name}" not in shown] == []


def test_the_page_says_how_a_roles_variables_are_shown(elsewhere: Path) -> None:
    page = (PROJECT / "docs/use_the_roles.md").read_text(encoding="utf-8")
    (documented,) = re.findall(r"^ansible-doc [^#\n]+", page, re.MULTILINE)
    # As there, nothing tells Ansible of the directory beforehand.
    command = ("env", "--unset=ANSIBLE_COLLECTIONS_PATH", *documented.split())
    assert "gateway_server_names" in run(elsewhere, *command).stdout


def test_a_playbook_names_the_roles_in_full(elsewhere: Path) -> None:
    text = yaml.safe_dump([{"hosts": "all", "roles": [f"flowstead.mlflow.{role}" for role in ROLES]}])
    (elsewhere / "site.yml").write_text(text)
    run(elsewhere, "ansible-playbook", "--syntax-check", "site.yml")


def test_a_missing_input_is_named(elsewhere: Path) -> None:
    done = run(elsewhere, "ansible-playbook", play(elsewhere, "iam_credentials"), check=False)
    assert done.returncode == 2
    assert re.search(r"missing required arguments: .*\biam_credentials_bucket\b", done.stdout)


def test_a_wrong_input_is_refused_before_anything_changes(elsewhere: Path) -> None:
    name = play(elsewhere, "python", python_uv_path="uv")
    done = run(elsewhere, "ansible-playbook", name, check=False)
    assert done.returncode == 2
    assert "python_uv_path" in done.stdout
    assert re.search(r"changed=0\s", done.stdout)


def test_variables_that_are_unknown_or_renamed_are_refused(elsewhere: Path) -> None:
    given = {
        "gateway_certifcate": "mine.pem",
        "gateway_login_attempts_burst": 5,
        "gateway_server_names": ["mlflow.example.com"],
        "gateway_upstream_port": 5001,
    }

    done = run(elsewhere, "ansible-playbook", play(elsewhere, "gateway", **given), check=False)
    assert done.returncode == 2
    assert re.search(r"changed=0\s", done.stdout)
    text = re.sub(r"\s+", " ", done.stdout)
    assert (
        "gateway_certifcate is not a variable of the role gateway. Did you mean gateway_certificate?" in text
    )
    assert "gateway_login_attempts_burst is mlflow_server_login_attempts_per_minute now: set that." in text
    # Ansible shows where it stands.
    assert re.search(r"play\.yml:\d+", text)


@pytest.mark.slow
def test_the_roles_find_the_plugin_that_writes_their_files(elsewhere: Path) -> None:
    name = play(elsewhere, "iam_credentials", tasks_from="configure", facts=True)
    done = run(elsewhere, "ansible-playbook", "--check", name)
    assert "The programs are in place" in done.stdout
    assert re.search(r"ok=[3-6]\s+changed=[1-5]\s.*failed=0", done.stdout), done.stdout
