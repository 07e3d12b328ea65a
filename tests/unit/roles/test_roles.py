"""What holds for every role: its documented inputs are its real ones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts import role_readmes

PROJECT = Path(__file__).resolve().parents[3]
ROLES = (
    "host_baseline",
    "python",
    "iam_credentials",
    "mlflow_release",
    "database_access",
    "data_volume",
    "mlflow_server",
    "mlflow_data",
    "gateway",
    "model_server",
)
# A list for the roles model_server and gateway, under the name that people look for.
LISTS = {"mlflow_models"}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) if path.exists() else None


def options(role: str) -> dict[str, dict[str, Any]]:
    return load(PROJECT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]


def every_option() -> set[str]:
    """Return the variables of all roles, those of each entry point."""
    known = set()
    for role in ROLES:
        parts = load(PROJECT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]
        known |= {name for part in parts.values() for name in part["options"]}
    return known


def defaults(role: str) -> dict[str, Any]:
    return load(PROJECT / "roles" / role / "defaults" / "main.yml") or {}


@pytest.mark.parametrize("role", ROLES)
def test_specified_defaults_are_the_real_defaults(role: str) -> None:
    specified = {name: option["default"] for name, option in options(role).items() if "default" in option}

    assert specified == defaults(role)


@pytest.mark.parametrize("role", ROLES)
def test_a_required_input_has_no_default(role: str) -> None:
    required = {name for name, option in options(role).items() if option.get("required")}

    assert not required & set(defaults(role))


@pytest.mark.parametrize("role", ROLES)
def test_every_input_is_typed_described_and_named_after_the_role(role: str) -> None:
    for name, option in options(role).items():
        assert name.startswith(f"{role}_"), name
        assert option.get("type"), name
        assert option.get("description"), name


def test_every_variable_that_a_page_or_playbook_names_is_one_that_the_role_knows() -> None:
    """Another would be refused (flowstead_inputs)."""
    known = every_option()
    pages = [*PROJECT.glob("playbooks/*.yml"), *PROJECT.glob("docs/*.md"), *PROJECT.glob("roles/*/README.md")]
    named = {name for page in pages for name in re.findall(r"-e ([a-z_]+)=", page.read_text())}
    assert "mlflow_data_backup" in named
    assert {name for name in named if name.startswith(tuple(f"{role}_" for role in ROLES))} <= known


@pytest.mark.parametrize("role", ROLES)
def test_every_default_has_a_comment(role: str) -> None:
    path = PROJECT / "roles" / role / "defaults" / "main.yml"
    previous = ""
    for line in path.read_text().splitlines() if path.exists() else ():
        if re.match(r"[a-z]", line):
            assert previous.startswith("#") or re.match(r"[a-z]", previous), f"{role}: {line}"
        previous = line


@pytest.mark.parametrize("role", ROLES)
def test_the_readme_has_the_variables_of_the_specification(role: str) -> None:
    """`make readmes` writes them."""
    assert (PROJECT / "roles" / role / "README.md").read_text() == role_readmes.readme(role)


@pytest.mark.parametrize("role", ROLES)
def test_the_readme_says_what_a_second_run_does_and_how_to_go_back(role: str) -> None:
    headings = set(
        re.findall(r"^## (.+)$", (PROJECT / "roles" / role / "README.md").read_text(), re.MULTILINE)
    )

    assert {"Idempotence", "Rollback", "Files managed", "Variables"} <= headings


@pytest.mark.parametrize("role", ROLES)
def test_roles_know_neither_the_provisioner_nor_the_local_aws(role: str) -> None:
    for path in (PROJECT / "roles" / role).rglob("*"):
        if path.is_file() and path.suffix in {".yml", ".j2", ".py", ""}:
            text = path.read_text()
            assert "sandbox" not in text.lower(), path
            assert "AWS_ENDPOINT_URL" not in text, path
            assert not re.search(r"\{\{[^}]*\bflowstead[._]\w+", text), path


def test_the_options_of_the_tracking_servers_are_inputs_of_the_roles() -> None:
    known = every_option()
    given = set(load(PROJECT / "inventory" / "group_vars" / "tracking_servers.yml"))

    assert {name for name in given - known - LISTS if not name.startswith("tracking_server_")} == set()


def test_the_tracking_servers_give_every_required_input() -> None:
    required = {name for role in ROLES for name, option in options(role).items() if option.get("required")}

    assert required - set(load(PROJECT / "inventory" / "group_vars" / "tracking_servers.yml")) == set()


@pytest.mark.parametrize(
    "path", [*PROJECT.glob("roles/*/tasks/*.yml"), *PROJECT.glob("playbooks/*.yml")], ids=str
)
def test_no_answer_is_mixed_with_what_sudo_says(path: Path) -> None:
    """Over SSH `script` and `raw` run on a terminal: there is no standard error, all stands in the answer."""
    assert not re.search(r"^ *(- )?(ansible\.builtin\.)?(script|raw):", path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", sorted(PROJECT.glob("roles/*/tasks/install*.yml")), ids=str)
def test_packages_are_waited_for_while_a_new_host_updates_itself(path: Path) -> None:
    text = path.read_text()
    installs = re.findall(
        r"ansible\.builtin\.(?:apt|dnf|package): (?!\*)|ansible\.builtin\.(?:apt|dnf|package):\n", text
    )
    assert text.count("lock_timeout: 300") == len(installs)
