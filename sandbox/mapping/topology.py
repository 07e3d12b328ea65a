"""What the account's network objects mean for packets: who may reach whom, who has a way to the internet."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox import account
from sandbox.real.firewall import Rule
from sandbox.real.vpc import API_ADDRESS

_EVERYWHERE = "0.0.0.0/0"


@dataclass(frozen=True)
class Topology:
    """What one VPC should look like.

    ``public`` maps public to private addresses; ``translated`` maps the public addresses of NAT gateways to
    the private ones behind them; ``internet`` holds the private addresses with a route out; ``rules`` maps
    network interfaces to what their groups let through; ``dns`` says whether the VPC's resolver answers.
    """

    cidr: str
    subnets: tuple[str, ...]
    public: dict[str, str] = field(default_factory=dict)
    translated: dict[str, frozenset[str]] = field(default_factory=dict)
    internet: frozenset[str] = frozenset()
    dns: bool = True
    rules: dict[str, tuple[Rule, ...]] = field(default_factory=dict)


def interfaces(backend: Any, vpc_id: str) -> list[Any]:
    """List the network interfaces in a VPC.

    Args:
        backend: EC2's backend of the region.
        vpc_id: the VPC.

    Returns:
        moto's interfaces.
    """
    return [nic for nic in backend.enis.values() if nic.subnet.vpc_id == vpc_id]


def _route_table(backend: Any, subnet: Any) -> Any:
    tables = [table for table in backend.route_tables.values() if table.vpc_id == subnet.vpc_id]
    for table in tables:
        if any(item.get("SubnetId") == subnet.id for item in table.associations):
            return table
    return next((table for table in tables if table.main_association_id), None)


def way_out(backend: Any, subnet: Any) -> str:
    """Say how a subnet reaches the internet.

    Args:
        backend: EC2's backend of the region.
        subnet: moto's subnet.

    Returns:
        ``internet-gateway`` if its route table leads to one that is attached, the public address of the NAT
        gateway that it leads to, or nothing.
    """
    table = _route_table(backend, subnet)
    for route in table.routes if table is not None else []:
        if route.destination_cidr_block != _EVERYWHERE:
            continue
        gateway, nat = route.gateway, route.nat_gateway
        if gateway is not None and gateway.id.startswith("igw-"):
            return "internet-gateway" if gateway.vpc is not None and gateway.vpc.id == subnet.vpc_id else ""
        if nat is not None and nat.state == "available":
            return next((str(a["publicIp"]) for a in nat.address_set if a.get("publicIp")), "")
    return ""


def s3_endpoint(backend: Any, vpc_id: str, address: str) -> Any:
    """Find the gateway endpoint that an address's packets for S3 take.

    Args:
        backend: EC2's backend of the region.
        vpc_id: the VPC.
        address: a private address in it.

    Returns:
        moto's endpoint, or None: they take the way to the internet.
    """
    subnets = [s for zone in backend.subnets.values() for s in zone.values() if s.vpc_id == vpc_id]
    inside = (s for s in subnets if ipaddress.ip_address(address) in ipaddress.ip_network(s.cidr_block))
    table = next((_route_table(backend, subnet) for subnet in inside), None)
    table_id = table.id if table is not None else ""
    return next(
        (
            endpoint
            for endpoint in backend.vpc_end_points.values()
            if endpoint.service_name.endswith(".s3")
            and endpoint.state != "deleted"
            and table_id in (endpoint.route_table_ids or ())
        ),
        None,
    )


def _ranges(rule: Any, members: dict[str, list[str]]) -> Iterator[str]:
    cidr = rule.ip_range.get("CidrIp")
    if cidr:
        yield cidr
    group = rule.source_group.get("GroupId") if rule.source_group else None
    if group:
        yield from (f"{address}/32" for address in members.get(group, []))
    if rule.prefix_list_id:
        # The only lists a VPC of ours knows are those of gateway endpoints, which all stand behind one
        # address.
        yield f"{API_ADDRESS}/32"


def _rules(groups: list[Any], members: dict[str, list[str]]) -> Iterator[Rule]:
    for group in groups:
        both: tuple[tuple[Literal["in", "out"], Any], ...] = (
            ("in", group.ingress_rules),
            ("out", group.egress_rules),
        )
        for direction, rules in both:
            for rule in rules:
                cidrs = tuple(sorted(_ranges(rule, members)))
                if cidrs:
                    yield Rule(
                        direction=direction,
                        protocol=str(rule.ip_protocol),
                        from_port=-1 if rule.from_port is None else int(rule.from_port),
                        to_port=-1 if rule.to_port is None else int(rule.to_port),
                        cidrs=cidrs,
                    )


def work_out(region: str, vpc_id: str) -> Topology | None:
    """Work out what a VPC should look like; the account's lock must be held.

    Args:
        region: the region.
        vpc_id: the VPC.

    Returns:
        What it should look like, or nothing if it is gone.
    """
    backend = account.ec2(region)
    vpc = backend.vpcs.get(vpc_id)
    if vpc is None:
        return None
    nics = interfaces(backend, vpc_id)
    members: dict[str, list[str]] = {}
    for nic in nics:
        for group in nic.group_set:
            members.setdefault(group.id, []).append(nic.private_ip_address)
    ways = {nic.id: way_out(backend, nic.subnet) for nic in nics}
    translated: dict[str, set[str]] = {}
    for nic in nics:
        if ways[nic.id] not in {"", "internet-gateway"}:
            translated.setdefault(ways[nic.id], set()).add(nic.private_ip_address)
    subnets = [s for zone in backend.subnets.values() for s in zone.values() if s.vpc_id == vpc_id]
    return Topology(
        cidr=vpc.cidr_block,
        subnets=tuple(sorted(s.cidr_block for s in subnets)),
        public={nic.public_ip: nic.private_ip_address for nic in nics if nic.public_ip},
        translated={public: frozenset(private) for public, private in translated.items()},
        internet=frozenset(nic.private_ip_address for nic in nics if ways[nic.id]),
        dns=str(vpc.enable_dns_support).lower() == "true",
        rules={nic.id: tuple(_rules(list(nic.group_set), members)) for nic in nics},
    )
