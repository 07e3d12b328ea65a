"""A deployment's data, moved from engine to engine while a client logs; killed, undone, moved after all."""

from __future__ import annotations

import json
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from deployed import Deployment, Sandbox, ask, changes, until
from upgrading import CUT_POWER, JOURNAL, KILL, NEWEST, Logging, serves, settled, without_loss

pytestmark = pytest.mark.timeout(2400)

PLAYBOOK = "playbooks/move_data.yml"
API = "/api/2.0/mlflow"
PASSWORD = "analytical 1843"


@pytest.fixture(scope="module")
def deployment(sandbox: Sandbox, clone: Path) -> Deployment:
    """The default deployment, after the two commands; not protected."""
    path = clone / "deployment.yml"
    wanted: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    wanted.setdefault("database", {})["deletion_protection"] = False
    wanted.setdefault("server", {})["image"] = "baked-debian-13"
    path.write_text(yaml.safe_dump(wanted), encoding="utf-8")
    made = Deployment(sandbox, clone)
    made.provision("bake", "--unless-current")
    made.provision()
    made.playbook("site.yml")
    return made


@dataclass
class Team:
    """A deployment, and a client that can log to it without a pause."""

    deployment: Deployment
    client: dict[str, str]
    logging: Logging
    capsys: pytest.CaptureFixture[str]

    def logs(self, what: str, *, undone: bool = False) -> AbstractContextManager[None]:
        """Log all the while: no call fails, and nothing is lost."""
        return without_loss(self.logging, self.capsys, what, undone=undone)

    def serves(self) -> bool:
        """Whether the release serves, and a user of before finds what there was."""
        if not serves(self.deployment, self.client, NEWEST):
            return False
        ada = self.client | {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": PASSWORD}
        status, body = ask(ada, f"{API}/experiments/get-by-name?experiment_name=engines")
        return status == 200 and bool(json.loads(body)["experiment"]["experiment_id"])


@pytest.fixture(scope="module")
def client(deployment: Deployment) -> dict[str, str]:
    """What a data scientist is given; another user and an experiment are there already."""
    client = deployment.client_environment
    for what, body in (
        ("users/create", {"username": "ada", "password": PASSWORD}),
        ("experiments/create", {"name": "engines"}),
    ):
        status, said = ask(client, f"{API}/{what}", method="POST", body=body)
        assert status == 200 or b"RESOURCE_ALREADY_EXISTS" in said, said
    return client


@pytest.fixture
def team(
    deployment: Deployment, client: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Team:
    """A deployment, and a client with its own retries and nothing else."""
    logging = Logging(client, tmp_path / "record.jsonl", tmp_path / "stop", deployment.clone)
    return Team(deployment, client, logging, capsys)


def tell(deployment: Deployment, **stores: Any) -> None:
    """Have the inventory name these stores."""
    path = deployment.clone / "inventory" / "group_vars" / "all" / "provisioned.yml"
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    told["flowstead"] |= stores
    path.write_text(yaml.safe_dump(told), encoding="utf-8")


def another_postgresql(deployment: Deployment) -> dict[str, Any]:
    """Make a server like the one that there is."""
    rds, now = deployment.sandbox.client("rds"), deployment.provisioned["database"]
    (one,) = rds.describe_db_instances(DBInstanceIdentifier=now["identifier"])["DBInstances"]
    name = f"{now['identifier']}-2"
    rds.create_db_instance(
        DBInstanceIdentifier=name,
        **{key: one[key] for key in ("Engine", "EngineVersion", "DBInstanceClass", "AllocatedStorage")},
        **{key: one[key] for key in ("MasterUsername", "StorageType", "StorageEncrypted", "MultiAZ")},
        ManageMasterUserPassword=True,
        DBSubnetGroupName=one["DBSubnetGroup"]["DBSubnetGroupName"],
        DBParameterGroupName=one["DBParameterGroups"][0]["DBParameterGroupName"],
        VpcSecurityGroupIds=[group["VpcSecurityGroupId"] for group in one["VpcSecurityGroups"]],
        BackupRetentionPeriod=0,
    )
    rds.get_waiter("db_instance_available").wait(DBInstanceIdentifier=name)
    (two,) = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
    return now | {
        "engine": "aurora-postgresql",
        "identifier": name,
        "endpoint": two["Endpoint"]["Address"],
        "port": two["Endpoint"]["Port"],
        "master_secret_arn": two["MasterUserSecret"]["SecretArn"],
    }


def volume(deployment: Deployment) -> dict[str, Any]:
    """Attach a volume to the server."""
    ec2, instance = deployment.sandbox.client("ec2"), deployment.instances()[0]
    zone = instance["Placement"]["AvailabilityZone"]
    made = ec2.create_volume(AvailabilityZone=zone, Size=4, VolumeType="gp3", Encrypted=True)["VolumeId"]
    ec2.get_waiter("volume_available").wait(VolumeIds=[made])
    ec2.attach_volume(VolumeId=made, InstanceId=instance["InstanceId"], Device="/dev/sdf")
    until(
        lambda: ec2.describe_volumes(VolumeIds=[made])["Volumes"][0]["Attachments"][0]["State"] == "attached",
        "an attached volume",
    )
    return {"engine": "none", "volume_id": made, "device": "/dev/sdf"}


def said_by(done: Any) -> str:
    """What a playbook said, on one line."""
    return " ".join(done.stdout.split())


def test_without_a_store_to_move_to_nothing_is_moved(deployment: Deployment) -> None:
    done = deployment.playbook(PLAYBOOK, check=False)
    assert done.returncode != 0
    assert "There is nothing to move" in said_by(done)


def test_what_it_would_do_is_said_and_not_done(team: Team) -> None:
    deployment = team.deployment
    tell(deployment, moving_to=another_postgresql(deployment))
    assert changes(deployment.playbook(PLAYBOOK, "--check").stdout)
    assert team.serves()
    assert changes(deployment.playbook("site.yml").stdout) == []


def interrupt(deployment: Deployment, step: str, how: str) -> subprocess.CompletedProcess[str]:
    """Begin to move the data, and end it on the host as soon as it is at a step."""
    there = f'grep -q \'"step": "{step}"\' {JOURNAL} 2>/dev/null'
    script = f"for i in $(seq 20000); do {there} && break; sleep 0.02; done; "
    with ThreadPoolExecutor(1) as pool:
        moving = pool.submit(deployment.playbook, PLAYBOOK, check=False)
        deployment.host(script + how.format(unit="'mlflow-change-*.service'"), check=False, timeout_s=600)
        return moving.result()


@pytest.mark.parametrize(
    ("how", "step"),
    [
        (KILL, "make the tables"),
        (KILL, "copy the data"),
        (CUT_POWER, "copy the data"),
        (KILL, "switch the store"),
        (CUT_POWER, "start the release"),
    ],
)
def test_killed_anywhere_a_move_is_undone(team: Team, how: str, step: str) -> None:
    with team.logs(f"a move that is ended at: {step}", undone=True):
        done = interrupt(team.deployment, step, how)
        assert done.returncode != 0
        until(
            lambda: team.serves() and settled(team.deployment) == NEWEST,
            "a server that serves",
            timeout_s=300,
        )


def move(team: Team, store: dict[str, Any]) -> None:
    """Move the data to a store while a client logs."""
    deployment = team.deployment
    old = deployment.provisioned["database"]
    tell(deployment, moving_to=store)
    with team.logs(f"{old['engine']} to {store['engine']}"):
        said = said_by(deployment.playbook(PLAYBOOK))
    with team.capsys.disabled():
        print(*re.findall(r"mlflow on [^:]*: [^\"]*", said), sep="\n")
    assert re.search(
        r"\d+ rows, [0-9.]+ MiB, rehearsed in [0-9.]+ s. Clients will be asked to wait about", said
    )
    assert re.search(r"moved from .* to .*rows of the tracking store \(checksum [0-9a-f]+, equal\)", said)
    assert team.serves()
    again = deployment.playbook(PLAYBOOK)
    assert changes(again.stdout) == []
    assert "the data are in" in said_by(again)
    refused = deployment.playbook("site.yml", check=False)
    assert refused.returncode != 0
    assert "nothing has been changed. Have the settings name the store" in said_by(refused)
    tell(deployment, database=store, moving_to=None)
    assert changes(deployment.playbook("site.yml").stdout) == []


def test_it_moves_to_another_server(team: Team) -> None:
    move(team, team.deployment.provisioned["moving_to"])


def test_it_moves_to_files(team: Team) -> None:
    move(team, volume(team.deployment))
