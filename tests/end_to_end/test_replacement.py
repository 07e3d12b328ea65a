"""A host that AWS takes away: the same two commands make another, and nobody has to change anything."""

from __future__ import annotations

import json
import re

import pytest
from deployed import Deployment, ask, changes, run, served, until

pytestmark = pytest.mark.timeout(1800)


def pinned(deployment: Deployment) -> list[str]:
    """The instances whose host keys are pinned, once each."""
    text = (deployment.clone / "inventory" / "known_hosts").read_text(encoding="utf-8")
    return sorted(set(re.findall(r"instance=(i-[0-9a-f]+)$", text, re.MULTILINE)))


@pytest.fixture(scope="module")
def lost(deployment: Deployment, run_ids: dict[str, str]) -> str:
    """The id of an instance that served runs, and that AWS has just begun to terminate."""
    assert run_ids
    instance = deployment.instance_id
    deployment.sandbox.client("ec2").terminate_instances(InstanceIds=[instance])
    return instance


def test_the_plan_shows_the_new_host_and_the_address_that_moves(deployment: Deployment, lost: str) -> None:
    planned = json.loads(deployment.provision("plan", "--json", check=False).stdout)
    wanted = {change["resource"]: change["action"] for change in planned["changes"]}
    assert {name: action for name, action in wanted.items() if action != "none"} == {
        "server": "create",
        "server_address": "update",
    }
    assert pinned(deployment) == [lost]


def test_the_two_commands_make_a_new_host_at_the_old_address(
    deployment: Deployment, client_environment: dict[str, str], lost: str
) -> None:
    address = deployment.provisioned["public_address"]
    deployment.provision()
    assert deployment.instance_id != lost
    assert deployment.provisioned["public_address"] == address
    addresses = deployment.sandbox.client("ec2").describe_addresses(PublicIps=[address])["Addresses"]
    assert [one["InstanceId"] for one in addresses] == [deployment.instance_id]
    assert pinned(deployment) == [deployment.instance_id]
    assert changes(deployment.playbook("site.yml").stdout)
    until(lambda: served(client_environment), "served at the same URL, to the same login and CA")


@pytest.mark.usefixtures("lost")
def test_it_serves_every_run_model_and_artifact(
    deployment: Deployment, client_environment: dict[str, str], run_ids: dict[str, str]
) -> None:
    for run_id in run_ids.values():
        status, body = ask(client_environment, f"/api/2.0/mlflow/runs/get?run_id={run_id}")
        assert status == 200
        assert json.loads(body)["run"]["info"]["status"] == "FINISHED"
    # It loads the model that was logged through the host that is gone, and predicts with it.
    run("python", "examples/find_register_and_load.py", cwd=deployment.clone, env=client_environment)


@pytest.mark.usefixtures("lost")
def test_a_further_run_changes_nothing(deployment: Deployment) -> None:
    assert "nothing to do" in deployment.provision().stdout.lower()
    assert changes(deployment.playbook("site.yml").stdout) == []
