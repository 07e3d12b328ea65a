"""The task `flowstead_inputs`: all mistakes are told together, each with what would be right."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

PROJECT = Path(__file__).resolve().parents[3]
ROLES = PROJECT / "roles"
RENAMED: dict[str, str] = yaml.safe_load((ROLES / "mlflow_release/vars/main.yml").read_text())[
    "__mlflow_release_renamed"
]
Refuse = Callable[..., str]


def trusted(value: Any) -> Any:
    """Return it as Ansible reads it from a file of its own: texts may be templates."""
    if isinstance(value, dict):
        return {name: trusted(one) for name, one in value.items()}
    if isinstance(value, list):
        return [trusted(one) for one in value]
    return trust_as_template(value) if isinstance(value, str) else value


class Host:
    """What the task runs with.

    Args:
        plugin: the module of the action plugin.
        args: the task's arguments.

    """

    def __init__(self, plugin: Any, args: dict[str, Any]) -> None:
        self.plugin = plugin
        self.args = {name: option.get("default") for name, option in plugin.OPTIONS.items()} | args
        self.gathered: list[list[str]] = []
        self.release = ""

    def run(self, **variables: Any) -> dict[str, Any]:
        action = object.__new__(self.plugin.ActionModule)
        action._task = SimpleNamespace(args=self.args, async_val=0, check_mode=False)
        action._connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None))
        action._play_context = None
        action._templar = Templar(loader=DataLoader(), variables=trusted(variables))
        action.validate_argument_spec = lambda _options: (None, self.args)
        action._execute_module, action._low_level_execute_command = self.setup, self.look
        result: dict[str, Any] = action.run(None, trusted(variables))
        return result

    def look(self, command: str, **_: Any) -> dict[str, Any]:
        assert command.startswith("/usr/bin/python3 -I -c ")
        return {"rc": 0, "stdout": self.release}

    def setup(self, *, module_args: dict[str, Any], **_: Any) -> dict[str, Any]:
        self.gathered.append(module_args["gather_subset"])
        return {"ansible_facts": {"ansible_pkg_mgr": "apt"}}

    def refusal(self, **variables: Any) -> str:
        try:
            self.run(**variables)
        except AnsibleActionFail as error:
            return str(error)
        return ""


@pytest.fixture
def host(load: Any) -> Callable[..., Host]:
    """What makes a task of arguments."""
    return lambda **args: Host(load("flowstead_inputs", "action"), trusted(args))


@pytest.fixture
def refuse(host: Callable[..., Host]) -> Refuse:
    """What returns the complaint about variables, as mlflow_release's preflight asks."""
    (task, *_) = yaml.safe_load((ROLES / "mlflow_release/tasks/preflight.yml").read_text())
    asked = task["flowstead_inputs"] | {
        "role": str(ROLES / "mlflow_release"),
        "family": [str(ROLES / "mlflow_server"), str(ROLES / "mlflow_data")],
        "renamed": RENAMED,
        "facts": [],
        "checks": [],
    }
    return host(**asked).refusal


def test_the_variables_of_all_three_roles_and_their_facts_are_known(refuse: Refuse) -> None:
    known = {
        name
        for role in ("mlflow_release", "mlflow_server", "mlflow_data")
        for part in yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())[
            "argument_specs"
        ].values()
        for name in part["options"]
    }
    values = dict.fromkeys(known, "1") | {"mlflow_release_facts": {}, "mlflow_server_facts": {}}
    assert "not a variable" not in refuse(**values, other="1")


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_is_told_with_the_new_one(refuse: Refuse, old: str, new: str) -> None:
    assert f"{old} is {new} now: set that." in refuse(**{old: "1"})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("mlflow_server_worker", "mlflow_server_workers"),
        ("mlflow_data_backuptime", "mlflow_data_backup_time"),
        ("mlflow_relase_version", "mlflow_release_version"),
        ("mlflow_worker", "mlflow_server_workers"),
        ("mlflow_start_timeout", "mlflow_server_start_timeout_s"),
    ],
)
def test_a_mistake_is_told_with_the_name_that_may_be_meant(refuse: Refuse, name: str, meant: str) -> None:
    assert f"Did you mean {meant}?" in refuse(**{name: "1"})


def test_every_new_name_is_a_variable_of_a_role(refuse: Refuse) -> None:
    names = {name: "1" for name in RENAMED.values() if "." not in name}
    assert "not a variable" not in refuse(**names)


def test_what_is_missing_or_of_a_wrong_type_is_told_as_ansible_tells_it(host: Callable[..., Host]) -> None:
    task = host(role=str(ROLES / "host_baseline"))
    assert "argument 'host_baseline_journal_mib' is of type str" in task.refusal(
        host_baseline_journal_mib="{{ many }}", many="a few"
    )
    assert task.refusal(host_baseline_journal_mib="{{ many }}", many="500") == ""
    required = host(role=str(ROLES / "gateway")).refusal()
    assert "missing required arguments: gateway_server_names" in required


def test_all_failing_checks_are_told_filled_in(host: Callable[..., Host]) -> None:
    task = host(
        role=str(ROLES / "python"),
        checks=[
            {"that": "number > 3", "fail_msg": "{{ number }} is too small."},
            {"that": ["number < 9", "number != 1"], "fail_msg": "{{ number }} is wrong."},
            # Never said, so what it names need not be there
            {"that": "number < 99", "fail_msg": "{{ absent }}"},
        ],
    )
    assert task.refusal(number=1) == "1 is too small.\n1 is wrong."
    assert task.refusal(number=5) == ""


def test_a_check_that_the_failure_before_makes_senseless_is_left_out(host: Callable[..., Host]) -> None:
    checks = [
        {"that": "what is match('[0-9]+$')", "fail_msg": "{{ what }} is no number."},
        {"that": "what | mandatory > absent", "fail_msg": "{{ what }} is too small."},
    ]
    assert host(role=str(ROLES / "python"), checks=checks).refusal(what="x") == "x is no number."
    with pytest.raises(AnsibleError, match="absent"):
        host(role=str(ROLES / "python"), checks=checks).run(what="7")


def test_facts_are_gathered_only_where_they_are_not_known_and_checks_see_them(
    host: Callable[..., Host],
) -> None:
    checks = [{"that": "ansible_facts['pkg_mgr'] == 'apt'", "fail_msg": "{{ ansible_facts['pkg_mgr'] }}"}]
    task = host(role=str(ROLES / "python"), facts=["pkg_mgr"], checks=checks)
    assert task.run(ansible_facts={})["ansible_facts"] == {"ansible_pkg_mgr": "apt"}
    assert task.gathered == [["!all", "!min", "pkg_mgr"]]
    assert task.refusal(ansible_facts={"pkg_mgr": "dnf"}) == "dnf"
    assert len(task.gathered) == 1


def test_the_mistakes_stand_in_the_sentence_that_is_given(host: Callable[..., Host]) -> None:
    options = {"place": {"type": "dict", "options": {"port": {"type": "int", "required": True}}}}
    task = host(options=options, fail_msg="The file is not right: MISTAKES. Write it again.")
    said = task.refusal(place={})
    assert said == "The file is not right: missing required arguments: port found in place. Write it again."
    assert task.refusal(place={"port": 1}) == ""


def test_debian_is_known_by_a_look_and_another_system_by_setup(host: Callable[..., Host]) -> None:
    checks = [
        {"that": "ansible_facts['distribution_major_version'] == '13'", "fail_msg": "another"},
        {"that": "ansible_facts['python']['version']['minor'] == 13", "fail_msg": "another"},
    ]
    task = host(role=str(ROLES / "python"), facts=["distribution", "pkg_mgr", "python"], checks=checks)
    release = {"ID": "debian", "VERSION_ID": '"13"', "VERSION_CODENAME": "trixie"}
    task.release = json.dumps([release, "/usr/bin/python3", [3, 13]])
    found = task.run(ansible_facts={})["ansible_facts"]
    assert (found["ansible_os_family"], found["discovered_interpreter_python"]) == (
        "Debian",
        "/usr/bin/python3",
    )
    assert task.gathered == []
    task.release = json.dumps([release | {"ID": "amzn"}, "/usr/bin/python3", [3, 9]])
    with pytest.raises(AnsibleError):
        task.run(ansible_facts={})
    assert task.gathered == [["!all", "!min", "distribution", "pkg_mgr", "python"]]
