"""A deployment's life on an AWS whose lists, secrets, roles and disks are as slow as the real one's."""

from __future__ import annotations

from pathlib import Path

import pytest
from counting import ONE_OF_EACH, kill_at, things
from deployed import Deployment, Sandbox, copy_project, run

pytestmark = pytest.mark.timeout(1800)

NAME = "patient"


@pytest.fixture(scope="module")
def patient(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A deployment of its own; only the console, which takes minutes, is a little quicker."""
    sandbox = Sandbox.up(clone, "slow", "--as-slow-as-aws")
    run("python", "-m", "sandbox", "ways", "--name", "slow", "console-output=30", cwd=clone, env=sandbox.env)
    directory = tmp_path_factory.mktemp("patient")
    copy_project(directory)
    deployment = Deployment(sandbox, directory)
    configure(deployment, "name: flowstead", f"name: {NAME}")
    configure(deployment, "deletion_protection: true", "deletion_protection: false")
    return deployment


def configure(deployment: Deployment, old: str, new: str) -> None:
    """Edit deployment.yml as a user does."""
    config = deployment.clone / "deployment.yml"
    text = config.read_text(encoding="utf-8")
    assert old in text
    config.write_text(text.replace(old, new), encoding="utf-8")


def test_killed_and_run_again_at_once_it_makes_nothing_twice(patient: Deployment) -> None:
    for action in ("CreateVpc", "CreateInternetGateway", "CreateDBSubnetGroup", "RunInstances"):
        kill_at(patient, action)
    patient.provision()
    # What the killed runs made may be listed only now: the next run clears it up.
    patient.provision()
    assert things(patient.sandbox, NAME) == ONE_OF_EACH
    assert "nothing to do" in patient.provision().stdout.lower()


def test_a_disk_that_grows_is_not_waited_for_and_no_drift(patient: Deployment) -> None:
    configure(patient, "  storage_gib: 20", "  storage_gib: 40")
    patient.provision()
    database = patient.sandbox.client("rds").describe_db_instances()["DBInstances"][0]
    assert (database["DBInstanceStatus"], database["AllocatedStorage"]) == ("storage-optimization", 40)
    assert "nothing to do" in patient.provision().stdout.lower()


def test_destroyed_and_made_again_within_minutes(patient: Deployment) -> None:
    """The secrets are taken back: they wait for their deletion, and the list of them is minutes behind."""
    patient.provision("destroy", "--yes")
    patient.provision()
    assert things(patient.sandbox, NAME) == ONE_OF_EACH
    assert "nothing to do" in patient.provision().stdout.lower()
    patient.provision("destroy", "--yes", "--delete-data")
    assert things(patient.sandbox, NAME) == dict.fromkeys(ONE_OF_EACH, 0)
