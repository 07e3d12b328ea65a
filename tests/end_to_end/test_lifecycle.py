"""From killed in the middle to removed: a second deployment beside the first, in a directory of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError
from counting import ONE_OF_EACH, kill_at, tagged, things
from deployed import Deployment, Sandbox, copy_project, mutating, served

pytestmark = pytest.mark.timeout(1800)

NAME = "second"
KILLED_AT = ("CreateVpc", "CreateDBInstance", "RunInstances", "AllocateAddress")


@pytest.fixture(scope="module")
def second(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A copy of the project whose deployment.yml names another deployment."""
    directory = tmp_path_factory.mktemp("second")
    copy_project(directory)
    config = directory / "deployment.yml"
    text = config.read_text(encoding="utf-8")
    text = text.replace("name: flowstead", f"name: {NAME}").replace(
        "deletion_protection: true", "deletion_protection: false"
    )
    config.write_text(text, encoding="utf-8")
    return Deployment(sandbox, directory)


def test_killed_in_the_middle_it_goes_on_and_makes_nothing_twice(second: Deployment) -> None:
    for action in KILLED_AT:
        kill_at(second, action)
    second.provision()
    assert things(second.sandbox, NAME) == ONE_OF_EACH
    assert "nothing to do" in second.provision().stdout.lower()


def test_two_deployments_do_not_see_each_other(second: Deployment, deployment: Deployment) -> None:
    assert "nothing to do" in deployment.provision("plan").stdout.lower()
    assert second.provisioned["bucket"] != deployment.provisioned["bucket"]
    assert second.provisioned["public_address"] != deployment.provisioned["public_address"]
    hosts = second.playbook("site.yml", "--list-hosts").stdout
    assert second.instance_id in hosts
    assert deployment.instance_id not in hosts


def test_what_cannot_be_changed_is_an_error_that_shows_old_and_new(second: Deployment) -> None:
    config = second.clone / "deployment.yml"
    original = config.read_text(encoding="utf-8")
    values: dict[str, Any] = yaml.safe_load(original)
    values["network"] |= {"cidr": "10.90.0.0/16", "public_subnets": ["10.90.0.0/24", "10.90.1.0/24"]}
    values["network"]["private_subnets"] = ["10.90.10.0/24", "10.90.11.0/24"]
    before = len(second.sandbox.calls())
    config.write_text(yaml.safe_dump(values), encoding="utf-8")
    try:
        done = second.provision(check=False)
    finally:
        config.write_text(original, encoding="utf-8")
    assert done.returncode == 1
    assert "10.80.0.0/16" in done.stderr
    assert "10.90.0.0/16" in done.stderr
    assert mutating(second.sandbox.calls()[before:]) == []


def test_destroy_wants_a_yes(second: Deployment) -> None:
    before = len(second.sandbox.calls())
    done = second.provision("destroy", check=False)
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert mutating(second.sandbox.calls()[before:]) == []


def test_destroy_refuses_a_protected_database(deployment: Deployment) -> None:
    before = len(deployment.sandbox.calls())
    done = deployment.provision("destroy", "--yes", check=False)
    assert done.returncode == 2
    assert "deletion_protection" in done.stderr
    assert mutating(deployment.sandbox.calls()[before:]) == []


def test_destroy_leaves_what_it_says_and_nothing_else(
    second: Deployment, deployment: Deployment, client_environment: dict[str, str]
) -> None:
    sandbox, bucket = second.sandbox, second.provisioned["bucket"]
    sandbox.client("s3").put_object(Bucket=bucket, Key="artifacts/kept", Body=b"data")
    said = second.provision("destroy", "--yes").stdout
    assert things(sandbox, NAME) == dict.fromkeys(ONE_OF_EACH, 0) | {"buckets": 1}
    assert bucket in said
    snapshots = sandbox.client("rds").describe_db_snapshots()["DBSnapshots"]
    ours = [one["DBSnapshotIdentifier"] for one in snapshots if NAME in one["DBSnapshotIdentifier"]]
    assert len(ours) == 1
    assert ours[0] in said
    assert not list((second.clone / "inventory").glob(f"{NAME}.*"))
    assert not (second.clone / "inventory" / "ssh").exists()
    assert served(client_environment), "the first deployment was hurt"
    assert "nothing to do" in deployment.provision("plan").stdout.lower()


def test_destroy_of_nothing_says_so_and_delete_data_takes_the_bucket(second: Deployment) -> None:
    second.provision("destroy", "--yes", "--delete-data")
    assert things(second.sandbox, NAME) == dict.fromkeys(ONE_OF_EACH, 0)
    assert "nothing to remove" in second.provision("destroy", "--yes").stdout.lower()


def test_host_and_role_are_gone_for_good(second: Deployment) -> None:
    with pytest.raises(ClientError, match="NoSuchEntity"):
        second.sandbox.client("iam").get_role(RoleName=f"flowstead-{NAME}-us-east-1-server")
    listed = subprocess.run(
        ["podman", "ps", "--all", "--format", "{{.Names}}"], capture_output=True, text=True, check=True
    )
    instances = second.sandbox.client("ec2").describe_instances(Filters=tagged(NAME))["Reservations"]
    for reservation in instances:
        assert reservation["Instances"][0]["InstanceId"] not in listed.stdout


def test_nothing_was_written_outside_the_copy(second: Deployment) -> None:
    assert Path(second.clone / "deployment.yml").exists()
    assert not (second.clone / "inventory" / "group_vars" / "all" / "provisioned.yml").exists()
