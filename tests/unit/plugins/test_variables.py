"""The task `flowstead_variables`: a name with a mistake in it is told with the right one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleActionFail

PROJECT = Path(__file__).resolve().parents[3]
ROLES = PROJECT / "roles"
RENAMED: dict[str, str] = yaml.safe_load((ROLES / "mlflow_release/vars/main.yml").read_text())[
    "__mlflow_release_renamed"
]


@pytest.fixture
def refuse(load: Any) -> Any:
    """What returns the complaint about variables, as mlflow_release's preflight asks."""
    plugin = load("flowstead_variables", "action")
    (task, *_) = yaml.safe_load((ROLES / "mlflow_release/tasks/preflight.yml").read_text())
    args = task["flowstead_variables"] | {
        "role": str(ROLES / "mlflow_release"),
        "family": [str(ROLES / "mlflow_server"), str(ROLES / "mlflow_data")],
        "renamed": RENAMED,
    }

    def refused(**variables: Any) -> str:
        action = object.__new__(plugin.ActionModule)
        action._task = SimpleNamespace(args=args, async_val=0, check_mode=False)
        action._connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None))
        action._play_context = None
        action.validate_argument_spec = lambda _options: (None, args)
        try:
            action.run(None, variables)
        except AnsibleActionFail as error:
            return str(error)
        return ""

    return refused


def test_the_variables_of_all_three_roles_and_their_facts_are_known(refuse: Any) -> None:
    known = {
        name: 1
        for role in ("mlflow_release", "mlflow_server", "mlflow_data")
        for part in yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())[
            "argument_specs"
        ].values()
        for name in part["options"]
    }
    assert refuse(**known, mlflow_release_facts={}, mlflow_server_facts={}, other=1) == ""


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_is_told_with_the_new_one(refuse: Any, old: str, new: str) -> None:
    assert f"{old} is {new} now: set that." in refuse(**{old: 1})


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
def test_a_mistake_is_told_with_the_name_that_may_be_meant(refuse: Any, name: str, meant: str) -> None:
    assert f"Did you mean {meant}?" in refuse(**{name: 1})


def test_every_new_name_is_a_variable_of_a_role(refuse: Any) -> None:
    assert refuse(**{name: 1 for name in RENAMED.values() if "." not in name}) == ""
