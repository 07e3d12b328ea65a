"""The deployment's own network."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from provisioner.aws import Aws, RetryOn
from provisioner.errors import FlowsteadError
from provisioner.resources.base import RESOURCE_TAG, Live
from provisioner.resources.ec2.key_pair import KeyPair
from provisioner.resources.ec2.kind import Description, Ec2Resource
from provisioner.resources.refusals import in_the_way
from provisioner.resources.setting import Setting
from provisioner.resources.state import State
from provisioner.resources.tags import as_tags

_NAMES = {"enableDnsSupport": "EnableDnsSupport", "enableDnsHostnames": "EnableDnsHostnames"}
"""A host finds the database by a name that only the VPC's resolver knows:
https://docs.aws.amazon.com/vpc/latest/userguide/vpc-dns.html"""


@dataclass(frozen=True)
class _Tenants:
    """A kind of thing that keeps a VPC from being deleted.

    Args:
        kind: as a person would say it.
        operation: boto3's name of the operation that describes it.
        items: where the answer holds them.
        id: where an item holds its id.
        filter: EC2's name of the filter by VPC.
        is_awss: tells by an item what comes and goes by itself.

    """

    kind: str
    operation: str
    items: str
    id: str
    filter: str = "vpc-id"
    is_awss: Callable[[dict[str, Any]], bool] = lambda _: False


_TENANTS = (
    _Tenants(
        "network interface",
        "describe_network_interfaces",
        "NetworkInterfaces",
        "NetworkInterfaceId",
        # A database's, and whose that is RDS tells; or of a host of ours, perhaps one that is going.
        is_awss=lambda item: (
            item.get("Description") == "RDSNetworkInterface"
            or RESOURCE_TAG in as_tags(item.get("TagSet", []))
        ),
    ),
    _Tenants("subnet", "describe_subnets", "Subnets", "SubnetId"),
    _Tenants(
        "security group",
        "describe_security_groups",
        "SecurityGroups",
        "GroupId",
        is_awss=lambda item: item["GroupName"] == "default",
    ),
    _Tenants(
        "route table",
        "describe_route_tables",
        "RouteTables",
        "RouteTableId",
        is_awss=lambda item: any(one.get("Main") for one in item["Associations"]),
    ),
    _Tenants(
        "network ACL",
        "describe_network_acls",
        "NetworkAcls",
        "NetworkAclId",
        is_awss=lambda item: bool(item["IsDefault"]),
    ),
    _Tenants(
        "endpoint",
        "describe_vpc_endpoints",
        "VpcEndpoints",
        "VpcEndpointId",
        is_awss=lambda item: item["State"].lower() in {"deleting", "deleted"},
    ),
    _Tenants(
        "internet gateway",
        "describe_internet_gateways",
        "InternetGateways",
        "InternetGatewayId",
        "attachment.vpc-id",
    ),
    _Tenants(
        "virtual private gateway",
        "describe_vpn_gateways",
        "VpnGateways",
        "VpnGatewayId",
        "attachment.vpc-id",
    ),
)
"""https://docs.aws.amazon.com/vpc/latest/userguide/delete-vpc.html"""


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
                RetryOn((self.description.absent,)),
                VpcId=live.id,
                Attribute=name,
            )[key]["Value"]
            for name, key in _NAMES.items()
        }
        return replace(live, facts={**live.facts, **dns})

    def settings(self, live: Live, state: State) -> Iterable[Setting]:
        """Addresses (for ever), the resolver, then names: AWS wants that order, one setting a call."""
        yield Setting("cidr", live.facts["CidrBlock"], self.cidr)
        for name, key in _NAMES.items():
            has = "on" if live.facts[name] else "off"
            yield Setting(name, has, "on", partial(self._turn_on, key))

    def _turn_on(self, key: str, aws: Aws, live: Live, _: Mapping[str, Any]) -> None:
        aws.call("ec2", "modify_vpc_attribute", VpcId=live.id, **{key: {"Value": True}})

    def create(self, aws: Aws, state: State) -> Live:
        """Make the VPC."""
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

    def obstacles(self, aws: Aws, live: Live, own: Collection[str]) -> Iterable[FlowsteadError]:
        """Find what others have put into it."""
        for one in _TENANTS:
            filters = [{"Name": one.filter, "Values": [live.id]}]
            for item in aws.page("ec2", one.operation, one.items, Filters=filters):
                if item[one.id] not in own and not one.is_awss(item):
                    what = f"the {one.kind} {item[one.id]} is in it, and is not the deployment's"
                    yield in_the_way(self, live, what, "Remove it, with what it belongs to")

    def remove(self, aws: Aws, live: Live) -> None:
        """Delete the VPC; interfaces of what was in it may take a moment to go."""
        aws.call("ec2", "delete_vpc", RetryOn(("DependencyViolation",), deadline_s=180), VpcId=live.id)
