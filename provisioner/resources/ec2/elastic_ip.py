"""The address that clients know: it survives the host's stop and start."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from provisioner.aws import Aws, RetryOn
from provisioner.resources.base import Live
from provisioner.resources.ec2.instance import Instance
from provisioner.resources.ec2.internet_gateway import InternetGateway
from provisioner.resources.ec2.kind import Description, Ec2Resource
from provisioner.resources.setting import Setting
from provisioner.resources.state import State


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

    def settings(self, live: Live, state: State) -> Iterable[Setting]:
        """Whose address it is."""
        wanted = state.id(self.instance)
        yield Setting(
            "instance", live.facts.get("InstanceId") or "none", wanted, self._give, {"InstanceId": wanted}
        )

    def _give(self, aws: Aws, live: Live, to: Mapping[str, Any]) -> None:
        retry = RetryOn((self.description.absent, Instance.description.absent))
        aws.call("ec2", "associate_address", retry, AllocationId=live.id, AllowReassociation=True, **to)

    def create(self, aws: Aws, state: State) -> Live:
        """Take an address."""
        return self.make(aws, "allocate_address", Domain="vpc")

    def uses(self, aws: Aws, live: Live) -> int:
        """Count what has it."""
        return int("AssociationId" in live.facts)

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
        aws.call("ec2", "release_address", RetryOn(("InvalidIPAddress.InUse",)), AllocationId=live.id)
