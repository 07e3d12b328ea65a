"""The control plane in this process: the real front and moto, and a stand-in for the machine.

What is real about them is proved in tests/end_to_end; here only what the control plane asks of them.
"""

from __future__ import annotations

import importlib
import itertools
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from asking import IMAGE
from botocore.config import Config

from sandbox import account, amis
from sandbox.api.call_log import CallLog
from sandbox.api.faults import Faults
from sandbox.real import disks
from sandbox.ways import ways
from sandbox.web import Listener

# moto reads its environment when it is imported, and some tests' modules import it.
_images = tempfile.TemporaryDirectory()
amis.write(Path(_images.name) / "amis.json")
account.prepare(str(Path(_images.name) / "amis.json"))

OPERATOR = ("AKIAOPERATOROPERATOR", "operator-secret-operator-secret-operator")


class Recorder:
    """Notes every call of a method that it has not."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def note(*args: Any, **kwargs: Any) -> str:
            self.asked.append((name, (*args, *kwargs.values())))
            return ""

        return note

    def names(self) -> list[str]:
        return [name for name, _ in self.asked]


class Shelf:
    """Stands for a registry: keeps manifests by their path, and says yes to all else."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.asked: list[str] = []

    def names(self) -> list[str]:
        return self.asked

    def start(self) -> None:
        self.asked.append("start")

    def ask(
        self, method: str, target: str, _: Any = None, body: bytes = b""
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        self.asked.append(f"{method} {target}")
        if method == "PUT":
            self.kept[target] = body
            return 201, [("Location", target)], b""
        if method == "DELETE":
            self.kept.pop(target, None)
            return 202, [], b""
        if method == "POST":
            return 202, [("Location", f"{target}1?_state=x")], b""
        return (200, [], self.kept[target]) if target in self.kept else (404, [], b"")


class Infrastructure:
    """Stands for the networks, hosts and databases of a machine."""

    def __init__(self) -> None:
        self.site = SimpleNamespace(name="test", clone="test")
        self.hosts, self.databases, self.clusters = (Recorder() for _ in range(3))
        self.networks, self.images, self.volumes = (Recorder() for _ in range(3))
        # moto reads its environment when it is imported.
        policies = importlib.import_module("sandbox.mapping.lifecycle_policies")
        self.lifecycle_policies = policies.LifecyclePolicies(self.volumes)
        registry = importlib.import_module("sandbox.mapping.registry")
        self.registry = registry.Registry(Shelf(), "198.18.0.1:4568")

    def public_addresses(self) -> list[str]:
        return [f"198.18.0.{last}" for last in range(10, 251)]


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A running front; ``endpoint``, ``log`` (its file), ``faults`` and ``infrastructure``."""
    directory = tmp_path_factory.mktemp("cloud")
    corrections_class = importlib.import_module("sandbox.api.correction").Corrections
    declared = importlib.import_module("sandbox.corrections.registry").CORRECTIONS
    front_class = importlib.import_module("sandbox.api.front").Front

    account.create_administrator(*OPERATOR)
    infrastructure = Infrastructure()
    corrections = corrections_class(declared, infrastructure)
    faults = Faults()
    front = front_class(CallLog(directory / "calls.jsonl"), faults, corrections, lambda _: "test")
    sock = socket.create_server(("127.0.0.1", 0))
    listener = Listener(sock, front)
    listener.start()
    yield SimpleNamespace(
        endpoint=f"http://127.0.0.1:{sock.getsockname()[1]}",
        log=directory / "calls.jsonl",
        faults=faults,
        infrastructure=infrastructure,
        front=front,
    )
    listener.stop()


@pytest.fixture
def client(cloud: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Make boto3 clients of the front: the operator's, or those of other credentials.

    What other tests made does not count towards the quotas.
    """
    with account.lock:
        for backend in map(account.ec2, account.ec2_regions()):
            backend.vpcs = {name: vpc for name, vpc in backend.vpcs.items() if vpc.is_default}
            backend.addresses.clear()
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")

    def make(service: str, credentials: tuple[str, ...] = OPERATOR, endpoint: str = "") -> Any:
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=endpoint or cloud.endpoint,
            aws_access_key_id=credentials[0],
            aws_secret_access_key=credentials[1],
            aws_session_token=credentials[2] if len(credentials) > 2 else None,
            config=Config(
                signature_version="s3v4" if service == "s3" else None, retries={"total_max_attempts": 1}
            ),
        )

    return make


class Pace:
    """How slow the account is, and its clock, which goes on when told to."""

    def __init__(self) -> None:
        self.set, self.slow_down = ways.set, ways.slow_down
        self._now = 0.0

    def clock(self) -> float:
        return self._now

    def go_on(self, seconds: float) -> None:
        self._now += seconds


@pytest.fixture
def pace() -> Iterator[Pace]:
    """What the account is slow at; the usual again afterwards."""
    made, real = Pace(), ways.clock
    ways.clock = made.clock
    yield made
    ways.clock = real
    ways.reset()


_numbers = itertools.count(1)


@pytest.fixture
def unique() -> str:
    """A name nothing else has."""
    return f"thing-{next(_numbers)}"


@pytest.fixture
def network(client: Callable[..., Any]) -> SimpleNamespace:
    """A VPC with two subnets in two zones and a group."""
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.80.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.80.{n}.0/24", AvailabilityZone=f"us-east-1{zone}")[
            "Subnet"
        ]["SubnetId"]
        for n, zone in enumerate("ab")
    ]
    group = ec2.create_security_group(GroupName="group", Description="group", VpcId=vpc)["GroupId"]
    return SimpleNamespace(vpc=vpc, subnets=subnets, group=group)


@pytest.fixture
def launch(client, network):
    """Launch with what the test says otherwise."""

    def run(**changed):
        arguments = {
            "ImageId": IMAGE,
            "InstanceType": "t3.small",
            "MinCount": 1,
            "MaxCount": 1,
            "SubnetId": network.subnets[0],
            "SecurityGroupIds": [network.group],
        }
        return client("ec2").run_instances(**arguments | changed)["Instances"]

    return run


@pytest.fixture
def subnet_group(client, network, unique):
    """A group of subnets of the name ``unique``."""
    client("rds").create_db_subnet_group(
        DBSubnetGroupName=unique, DBSubnetGroupDescription="d", SubnetIds=network.subnets
    )
    return unique


@pytest.fixture
def create_database(client, network, unique, subnet_group):
    """Create an instance with what the test says otherwise."""
    rds = client("rds")

    def run(**changed):
        arguments = {
            "DBInstanceIdentifier": unique,
            "Engine": "postgres",
            "EngineVersion": "17",
            "DBInstanceClass": "db.t4g.micro",
            "AllocatedStorage": 20,
            "MasterUsername": "flowstead",
            "ManageMasterUserPassword": True,
            "DBSubnetGroupName": subnet_group,
            "VpcSecurityGroupIds": [network.group],
        }
        given = {name: value for name, value in (arguments | changed).items() if value is not None}
        return rds.create_db_instance(**given)["DBInstance"]

    return run


@pytest.fixture
def create_cluster(client, network, unique, subnet_group):
    """Create a cluster with what the test says otherwise."""
    rds = client("rds")

    def run(**changed):
        arguments = {
            "DBClusterIdentifier": unique,
            "Engine": "aurora-postgresql",
            "EngineVersion": "17",
            "ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "MaxCapacity": 2},
            "MasterUsername": "flowstead",
            "ManageMasterUserPassword": True,
            "DBSubnetGroupName": subnet_group,
            "VpcSecurityGroupIds": [network.group],
        }
        given = {name: value for name, value in (arguments | changed).items() if value is not None}
        made = rds.create_db_cluster(**given)["DBCluster"]
        # Where nothing real stands for it, it would be made for ever.
        account.rds("us-east-1").clusters[made["DBClusterIdentifier"]].status = "available"
        return made

    return run


@pytest.fixture
def add_member(client, unique):
    """Add a member to the cluster with what the test says otherwise."""

    def run(**changed):
        arguments = {
            "DBInstanceIdentifier": f"{unique}-1",
            "DBClusterIdentifier": unique,
            "DBInstanceClass": "db.serverless",
            "Engine": "aurora-postgresql",
        }
        given = {name: value for name, value in (arguments | changed).items() if value is not None}
        return client("rds").create_db_instance(**given)["DBInstance"]

    return run


@pytest.fixture
def images(monkeypatch):
    """The images of a sandbox on a machine that keeps nothing; `disks` is what podman has."""
    kept_images = importlib.import_module("sandbox.mapping.images")
    made = kept_images.Images("clone", None)
    made.forgotten, made.disks = [], []
    monkeypatch.setattr(disks, "forget", lambda clone, name: made.forgotten.append((clone, name)))
    monkeypatch.setattr(disks, "kept", lambda _: made.disks)
    return made


@pytest.fixture
def here(cloud, client, network, unique, launch, create_database, create_cluster, add_member):  # noqa: PLR0917 - fixtures
    """What a proof needs; ``asked`` names what was asked of real things since then, or since ``forget``."""
    real = cloud.infrastructure
    parts = (real.networks, real.hosts, real.images, real.databases, real.clusters, real.volumes)
    parts += (real.registry.real,)
    began = []

    def forget():
        began[:] = [len(part.asked) for part in parts]

    def asked():
        return [name for part, first in zip(parts, began, strict=True) for name in part.names()[first:]]

    forget()
    made = {"network": network, "launch": launch, "create": create_database, "infrastructure": real}
    made |= {"create_cluster": create_cluster, "add_member": add_member}
    return SimpleNamespace(client=client, name=unique, asked=asked, forget=forget, **made)
