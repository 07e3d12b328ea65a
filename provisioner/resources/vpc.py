"""The deployment's own network."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from provisioner.aws import Aws, Lag
from provisioner.resources.base import Live, Setting, State
from provisioner.resources.ec2 import Description, Ec2Resource
from provisioner.resources.key_pair import KeyPair

_NAMES = {"enableDnsSupport": "EnableDnsSupport", "enableDnsHostnames": "EnableDnsHostnames"}
"""A host finds the database by a name that only the VPC's resolver knows:
https://docs.aws.amazon.com/vpc/latest/userguide/vpc-dns.html"""


@dataclass(frozen=True, eq=False)
class Vpc(Ec2Resource):
    """A VPC with its resolver on.

    Args:
        cidr: its addresses.
        lock: a key pair that is there before the network is made and goes after it: only one caller can
            import a key pair of a name.

    """

    kind: ClassVar[str] = "VPC"
    description: ClassVar[Description] = Description(
        "describe_vpcs", "Vpcs", "VpcId", "VpcIds", "vpc", "InvalidVpcID.NotFound"
    )

    cidr: str
    lock: KeyPair | None = None

    def find(self, aws: Aws) -> Live | None:
        """Look it up by its tags, with its DNS settings."""
        live = super().find(aws)
        return self._with_dns(aws, live) if live else None

    def read(self, aws: Aws, id_: str) -> Live:
        """Look again, at its DNS settings too."""
        return self._with_dns(aws, super().read(aws, id_))

    def _with_dns(self, aws: Aws, live: Live) -> Live:
        dns = {
            name: aws.call(
                "ec2",
                "describe_vpc_attribute",
                Lag((self.description.absent,)),
                VpcId=live.id,
                Attribute=name,
            )[key]["Value"]
            for name, key in _NAMES.items()
        }
        return replace(live, facts={**live.facts, **dns})

    def settings(self, live: Live, state: State) -> Iterable[Setting]:
        """Addresses (for ever), the resolver, then names: AWS wants that order, one setting a call."""
        del state
        yield Setting("cidr", live.facts["CidrBlock"], self.cidr)
        for name, key in _NAMES.items():
            has = "on" if live.facts[name] else "off"
            yield Setting(name, has, "on", partial(self._turn_on, key))

    def _turn_on(self, key: str, aws: Aws, live: Live, _: Mapping[str, Any]) -> None:
        aws.call("ec2", "modify_vpc_attribute", VpcId=live.id, **{key: {"Value": True}})

    def create(self, aws: Aws, state: State) -> Live:
        """Make the VPC."""
        del state
        return self.make(aws, "create_vpc", CidrBlock=self.cidr)

    def uses(self, aws: Aws, live: Live) -> int:
        """Count the subnets and gateways in it."""
        return sum(
            len(aws.page("ec2", operation, key, Filters=[{"Name": name, "Values": [live.id]}]))
            for operation, key, name in (
                ("describe_subnets", "Subnets", "vpc-id"),
                ("describe_internet_gateways", "InternetGateways", "attachment.vpc-id"),
            )
        )

    def wait(self, aws: Aws, live: Live) -> Live:
        """Wait until it is available."""
        aws.wait("ec2", "vpc_available", deadline_s=120, VpcIds=[live.id])
        return self.read(aws, live.id)

    def remove(self, aws: Aws, live: Live) -> None:
        """Delete the VPC; interfaces of what was in it may take a moment to go."""
        aws.call("ec2", "delete_vpc", Lag(("DependencyViolation",), deadline_s=180), VpcId=live.id)
