"""Where packets of some subnets go."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from provisioner.aws import Aws, RetryOn
from provisioner.resources.base import Live
from provisioner.resources.ec2.internet_gateway import InternetGateway
from provisioner.resources.ec2.kind import Description, Ec2Resource
from provisioner.resources.ec2.subnet import Subnet
from provisioner.resources.ec2.vpc import Vpc
from provisioner.resources.setting import Setting
from provisioner.resources.state import State

_WORLD = "0.0.0.0/0"


@dataclass(frozen=True, eq=False)
class RouteTable(Ec2Resource):
    """A route table with its associations: the internet by a gateway, or nothing outside the network.

    Args:
        vpc: the network.
        subnets: whose packets it directs.
        gateway: the way to the internet; None for subnets without one.

    """

    kind: ClassVar[str] = "route table"
    description: ClassVar[Description] = Description(
        "describe_route_tables",
        "RouteTables",
        "RouteTableId",
        "RouteTableIds",
        "route-table",
        "InvalidRouteTableID.NotFound",
    )

    vpc: Vpc
    subnets: tuple[Subnet, ...]
    gateway: InternetGateway | None = None

    def settings(self, live: Live, state: State) -> Iterable[Setting]:
        """The network (for ever), the way to the internet, and the subnets."""
        yield Setting("vpc", live.facts["VpcId"], state.id(self.vpc))
        has, target = _target(_world_route(live)), state.id(self.gateway) if self.gateway else None
        yield Setting(f"route to {_WORLD}", has, target, self._set_route, {"GatewayId": target})
        missing = sorted({state.id(subnet) for subnet in self.subnets} - set(_associations(live)))
        yield Setting(
            "subnets without it", ", ".join(missing) or "none", "none", self._take_over, {"subnets": missing}
        )

    def notices(self, live: Live, state: State) -> tuple[str, ...]:
        """Tell of routes that others made: whether somebody needs them cannot be known here."""
        routes = [route for route in live.facts.get("Routes", []) if not _is_own(route)]
        return tuple(
            f"{self} ({live.id}) has a route to {_destination(route)} by {_target(route)} that is not ours"
            for route in routes
        )

    def create(self, aws: Aws, state: State) -> Live:
        """Make the table."""
        return self.make(
            aws,
            "create_route_table",
            RetryOn((Vpc.description.absent,)),
            ClientToken=aws.run_token(self.name),
            VpcId=state.id(self.vpc),
        )

    def _take_over(self, aws: Aws, live: Live, to: Mapping[str, Any]) -> None:
        elsewhere = self._elsewhere(aws, set(to["subnets"]))
        for subnet_id in to["subnets"]:
            self._associate(aws, live.id, subnet_id, elsewhere.get(subnet_id))

    def _set_route(self, aws: Aws, live: Live, to: Mapping[str, Any]) -> None:
        retry = (self.description.absent, InternetGateway.description.absent, "InvalidGatewayID.NotFound")
        where = {"RouteTableId": live.id, "DestinationCidrBlock": _WORLD}
        if to["GatewayId"] is None:
            aws.call("ec2", "delete_route", **where)
        else:
            operation = "replace_route" if _world_route(live) else "create_route"
            aws.call("ec2", operation, RetryOn(retry), **to, **where)

    def _elsewhere(self, aws: Aws, subnet_ids: set[str]) -> dict[str, str]:
        """Find the associations that subnets have with other tables, by subnet."""
        filters = [{"Name": "association.subnet-id", "Values": sorted(subnet_ids)}]
        tables = aws.page("ec2", self.description.operation, self.description.items, Filters=filters)
        return {
            item["SubnetId"]: item["RouteTableAssociationId"]
            for table in tables
            for item in table.get("Associations", [])
            if item.get("SubnetId") in subnet_ids
        }

    def _associate(self, aws: Aws, table_id: str, subnet_id: str, other: str | None) -> None:
        retry = (self.description.absent, Subnet.description.absent)
        if other:
            aws.call("ec2", "replace_route_table_association", AssociationId=other, RouteTableId=table_id)
        else:
            aws.call(
                "ec2", "associate_route_table", RetryOn(retry), RouteTableId=table_id, SubnetId=subnet_id
            )

    def uses(self, aws: Aws, live: Live) -> int:
        """Count the subnets whose packets it directs."""
        return len(_associations(live))

    def remove(self, aws: Aws, live: Live) -> None:
        """Give up its subnets and delete it."""
        for association_id in _associations(live).values():
            aws.call_or(
                ("InvalidAssociationID.NotFound",),
                "ec2",
                "disassociate_route_table",
                AssociationId=association_id,
            )
        aws.call(
            "ec2",
            "delete_route_table",
            RetryOn(("DependencyViolation",), deadline_s=120),
            RouteTableId=live.id,
        )


def _world_route(live: Live) -> dict[str, Any] | None:
    routes: list[dict[str, Any]] = live.facts.get("Routes", [])
    return next((route for route in routes if route.get("DestinationCidrBlock") == _WORLD), None)


def _destination(route: dict[str, Any]) -> str:
    keys = ("DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId")
    return next((str(route[key]) for key in keys if route.get(key)), "somewhere")


def _is_own(route: dict[str, Any]) -> bool:
    """Tell the network's own routes, those of a gateway endpoint, and the one that is a setting."""
    gateway = str(route.get("GatewayId", ""))
    return gateway == "local" or gateway.startswith("vpce-") or _destination(route) == _WORLD


def _target(route: dict[str, Any] | None) -> str | None:
    """Name what a route leads to, whatever sort of thing it is; one that leads nowhere is named as such."""
    if route is None:
        return None
    if route.get("State") == "blackhole":
        return "a gateway that is gone"
    keys = ("GatewayId", "NatGatewayId", "NetworkInterfaceId", "TransitGatewayId", "VpcPeeringConnectionId")
    return next((str(route[key]) for key in keys if route.get(key)), "something else")


def _associations(live: Live) -> dict[str, str]:
    return {
        item["SubnetId"]: item["RouteTableAssociationId"]
        for item in live.facts.get("Associations", [])
        if item.get("SubnetId")
        and item.get("AssociationState", {}).get("State", "associated") in {"associated", "associating"}
    }
