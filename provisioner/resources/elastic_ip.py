"""The address that clients know: it survives the host's stop and start."""

from dataclasses import dataclass
from typing import ClassVar

from provisioner.aws import Aws, Lag
from provisioner.resources.base import Difference, Live, State
from provisioner.resources.ec2 import Description, Ec2Resource
from provisioner.resources.instance import Instance
from provisioner.resources.internet_gateway import InternetGateway


@dataclass(frozen=True, eq=False)
class ElasticIp(Ec2Resource):
    """A public address that stays the same.

    Args:
        gateway: the internet gateway without which AWS refuses to use it.
        instance: whose address it is.

    """

    kind: ClassVar[str] = "elastic IP"
    description: ClassVar[Description] = Description(
        "describe_addresses",
        "Addresses",
        "AllocationId",
        "AllocationIds",
        "elastic-ip",
        "InvalidAllocationID.NotFound",
    )

    gateway: InternetGateway
    instance: Instance

    def diff(self, live: Live, state: State) -> tuple[Difference, ...]:
        """Compare whose address it is."""
        has = live.facts.get("InstanceId") or "none"
        wanted = state.id(self.instance)
        return () if has == wanted else (Difference("instance", has, wanted),)

    def create(self, aws: Aws, state: State) -> Live:
        """Take an address."""
        del state
        answer = aws.call(
            "ec2", "allocate_address", Domain="vpc", TagSpecifications=self.tag_specifications()
        )
        return self.read(aws, answer["AllocationId"])

    def update(self, aws: Aws, state: State, live: Live, differences: tuple[Difference, ...]) -> Live:
        """Give it to the instance."""
        del differences
        aws.call(
            "ec2",
            "associate_address",
            Lag((self.description.absent, Instance.description.absent)),
            AllocationId=live.id,
            InstanceId=state.id(self.instance),
            AllowReassociation=True,
        )
        return self.read(aws, live.id)

    def remove(self, aws: Aws, live: Live) -> None:
        """Take it from the instance and give it back."""
        association_id = live.facts.get("AssociationId")
        if association_id:
            aws.call_or(
                ("InvalidAssociationID.NotFound",),
                "ec2",
                "disassociate_address",
                AssociationId=association_id,
            )
        aws.call("ec2", "release_address", Lag(("InvalidIPAddress.InUse",)), AllocationId=live.id)
