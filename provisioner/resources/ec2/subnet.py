"""A part of the network in one availability zone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from provisioner.aws import Aws, RetryOn
from provisioner.resources.base import Live
from provisioner.resources.ec2.kind import Description, Ec2Resource
from provisioner.resources.ec2.vpc import Vpc
from provisioner.resources.ec2.zones import SUBNETS, Zones
from provisioner.resources.setting import Setting
from provisioner.resources.state import State


@dataclass(frozen=True, eq=False)
class Subnet(Ec2Resource):
    """A subnet; public or private by its route table.

    Args:
        vpc: the network it is part of.
        cidr: its addresses.
        zones: the zones to choose from.
        zone: which of them, 0 or 1.

    """

    kind: ClassVar[str] = "subnet"
    description: ClassVar[Description] = SUBNETS

    vpc: Vpc
    cidr: str
    zones: Zones
    zone: int

    def settings(self, live: Live, state: State) -> Iterable[Setting]:
        """Network, addresses and zone (for ever), and that no host is given a public address unasked."""
        yield Setting("vpc", live.facts["VpcId"], state.id(self.vpc))
        yield Setting("cidr", live.facts["CidrBlock"], self.cidr)
        yield Setting("zone", live.facts["AvailabilityZone"], self.zones.pick(state, self.zone))
        has = "for each new host" if live.facts["MapPublicIpOnLaunch"] else "none"
        yield Setting("public addresses", has, "none", self._keep_private)

    def _keep_private(self, aws: Aws, live: Live, _: Mapping[str, Any]) -> None:
        aws.call("ec2", "modify_subnet_attribute", SubnetId=live.id, MapPublicIpOnLaunch={"Value": False})

    def create(self, aws: Aws, state: State) -> Live:
        """Make the subnet."""
        return self.make(
            aws,
            "create_subnet",
            RetryOn((Vpc.description.absent,)),
            taken=("InvalidSubnet.Conflict",),
            VpcId=state.id(self.vpc),
            CidrBlock=self.cidr,
            AvailabilityZone=self.zones.pick(state, self.zone),
        )

    def wait(self, aws: Aws, live: Live) -> Live:
        """Wait until it is available."""
        aws.wait("ec2", "subnet_available", deadline_s=120, SubnetIds=[live.id])
        return self.read(aws, live.id)

    def remove(self, aws: Aws, live: Live) -> None:
        """Delete the subnet; interfaces of what was in it may take a moment to go."""
        aws.call("ec2", "delete_subnet", RetryOn(("DependencyViolation",), deadline_s=300), SubnetId=live.id)
