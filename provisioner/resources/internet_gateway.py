"""The network's door to the internet."""

from dataclasses import dataclass
from typing import ClassVar

from provisioner.aws import Aws, Lag
from provisioner.resources.base import Difference, Live, State
from provisioner.resources.ec2 import Description, Ec2Resource
from provisioner.resources.vpc import Vpc


@dataclass(frozen=True, eq=False)
class InternetGateway(Ec2Resource):
    """An internet gateway, attached to a VPC.

    Args:
        vpc: the network.

    """

    kind: ClassVar[str] = "internet gateway"
    description: ClassVar[Description] = Description(
        "describe_internet_gateways",
        "InternetGateways",
        "InternetGatewayId",
        "InternetGatewayIds",
        "internet-gateway",
        "InvalidInternetGatewayID.NotFound",
    )

    vpc: Vpc

    def diff(self, live: Live, state: State) -> tuple[Difference, ...]:
        """Compare what it is attached to; an attachment to another network is not ours to undo."""
        attached = [item["VpcId"] for item in live.facts.get("Attachments", [])]
        wanted = state.id(self.vpc)
        if wanted in attached:
            return ()
        return (
            Difference("attached to", ", ".join(attached) or "nothing", wanted, immutable=bool(attached)),
        )

    def create(self, aws: Aws, state: State) -> Live:
        """Make the gateway."""
        del state
        answer = aws.call("ec2", "create_internet_gateway", TagSpecifications=self.tag_specifications())
        return self.read(aws, answer["InternetGateway"]["InternetGatewayId"])

    def update(self, aws: Aws, state: State, live: Live, differences: tuple[Difference, ...]) -> Live:
        """Attach it."""
        del differences
        aws.call(
            "ec2",
            "attach_internet_gateway",
            Lag((self.description.absent, Vpc.description.absent)),
            InternetGatewayId=live.id,
            VpcId=state.id(self.vpc),
        )
        return self.read(aws, live.id)

    def remove(self, aws: Aws, live: Live) -> None:
        """Detach it, which public addresses in the network put off, and delete it."""
        for attachment in live.facts.get("Attachments", []):
            aws.call_or(
                ("Gateway.NotAttached", self.description.absent),
                "ec2",
                "detach_internet_gateway",
                Lag(("DependencyViolation",), deadline_s=300),
                InternetGatewayId=live.id,
                VpcId=attachment["VpcId"],
            )
        aws.call("ec2", "delete_internet_gateway", InternetGatewayId=live.id)
