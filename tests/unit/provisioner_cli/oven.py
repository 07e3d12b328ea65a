"""A machine that bakes images, as far as a test without hosts can."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moto.ec2.models import ec2_backends

from provisioner import bake
from provisioner.host import Host
from provisioner.session import Options, Session
from tests.unit.provisioner.moto_account import PUBLIC_KEY, REGION

if TYPE_CHECKING:
    from tests.unit.provisioner_cli.conftest import Machine

TAG = "flowstead.bake"
_KINDS = {
    "describe_vpcs": "Vpcs",
    "describe_subnets": "Subnets",
    "describe_internet_gateways": "InternetGateways",
    "describe_route_tables": "RouteTables",
    "describe_security_groups": "SecurityGroups",
    "describe_addresses": "Addresses",
    "describe_key_pairs": "KeyPairs",
}


class Oven:
    """A machine that bakes: what a host would answer is answered here."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.account = machine.account
        self.workspace = machine.directory / "bake"
        self.status = 0
        self.report: object = {"releases": ["3.17.2", "3.16.1"], "packages": "2026-11-25"}
        self.plays: list[list[str]] = []
        self.met: list[Host] = []
        self.during: Callable[[], None] = lambda: None

    def play(self, arguments: Any) -> int:
        self.plays.append(list(arguments))
        self.during()
        values = dict(word.split("=", 1) for word in arguments if word.startswith("bake_report="))
        if self.report is not None:
            Path(values["bake_report"]).write_text(json.dumps(self.report))
        return self.status

    @property
    def hands(self) -> bake.Hands:
        return bake.Hands(self.play, lambda host, _: self.met.append(host), self.workspace)

    def bake(self, *extra_vars: str) -> bake.Baked:
        session = Session(Options(self.machine.directory / "deployment.yml", self.machine.inventory))
        # The account's own door, which calls the hooks and counts.
        session.__dict__["aws"] = self.account.open()
        return bake.bake(session, self.hands, extra_vars)

    def left(self) -> list[str]:
        """Name what a bake has left in the account, the images excepted."""
        filters = [{"Name": "tag:flowstead:deployment", "Values": [TAG]}]
        found = [
            f"{key} {item}"
            for operation, key in _KINDS.items()
            for item in self.account.call("ec2", operation, Filters=filters)[key]
        ]
        return found + [f"instance {one['InstanceId']}" for one in self.hosts()]

    def hosts(self) -> list[dict[str, Any]]:
        filters = [
            {"Name": "tag:flowstead:deployment", "Values": [TAG]},
            {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
        ]
        reservations = self.account.call("ec2", "describe_instances", Filters=filters)["Reservations"]
        return [one for reservation in reservations for one in reservation["Instances"]]

    def images(self) -> list[dict[str, Any]]:
        filters = [{"Name": "tag-key", "Values": ["flowstead:system"]}]
        images: list[dict[str, Any]] = self.account.call(
            "ec2", "describe_images", Owners=["self"], Filters=filters
        )["Images"]
        return images

    def files(self) -> set[str]:
        return {path.name for path in self.workspace.rglob("*") if not path.is_dir() or path.is_symlink()}

    def hold(self, public_key: str = PUBLIC_KEY, *, age: timedelta = timedelta()) -> None:
        """Let somebody else have begun to bake."""
        tags = {
            "flowstead:deployment": TAG,
            "flowstead:resource": "ssh_key",
            "Name": "flowstead.bake-ssh-key",
        }
        self.account.call(
            "ec2",
            "import_key_pair",
            KeyName="flowstead.bake-ssh-key",
            PublicKeyMaterial=public_key.encode(),
            TagSpecifications=[
                {
                    "ResourceType": "key-pair",
                    "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
                }
            ],
        )
        pair = ec2_backends["123456789012"][REGION].key_pairs["flowstead.bake-ssh-key"]
        pair.create_time = datetime.now(UTC) - age


def tags(items: list[dict[str, str]]) -> dict[str, str]:
    return {item["Key"]: item["Value"] for item in items}
