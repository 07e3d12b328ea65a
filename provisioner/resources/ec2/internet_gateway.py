"""The network's door to the internet."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from provisioner.aws import Aws, RetryOn
from provisioner.resources.base import Live
from provisioner.resources.ec2.kind import Description, Ec2Resource
from provisioner.resources.ec2.vpc import Vpc
from provisioner.resources.setting import Setting
from provisioner.resources.state import State

_DELETE_S = 1800
"""A database with a public address takes its last snapshot before it goes."""


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

    def settings(self, live: Live, state: State) -> Iterable[Setting]:
        """What it is attached to; an attachment to another network is not ours to undo."""
        attached = ", ".join(item["VpcId"] for item in live.facts.get("Attachments", []))
        wanted = state.id(self.vpc)
        set_ = None if attached else self._attach
        yield Setting("attached to", attached or "nothing", wanted, set_, {"VpcId": wanted})

    def _attach(self, aws: Aws, live: Live, to: Mapping[str, Any]) -> None:
        retry = RetryOn((self.description.absent, Vpc.description.absent))
        aws.call("ec2", "attach_internet_gateway", retry, InternetGatewayId=live.id, **to)

    def create(self, aws: Aws, state: State) -> Live:
        """Make the gateway."""
        return self.make(aws, "create_internet_gateway")

    def uses(self, aws: Aws, live: Live) -> int:
        """Count the networks that it is attached to."""
        return len(live.facts.get("Attachments", []))

    def remove(self, aws: Aws, live: Live) -> None:
        """Detach it, which public addresses in the network put off, and delete it."""
        for attachment in live.facts.get("Attachments", []):
            aws.call_or(
                ("Gateway.NotAttached", self.description.absent),
                "ec2",
                "detach_internet_gateway",
                RetryOn(("DependencyViolation",), deadline_s=_DELETE_S),
                InternetGatewayId=live.id,
                VpcId=attachment["VpcId"],
            )
        aws.call("ec2", "delete_internet_gateway", InternetGatewayId=live.id)
