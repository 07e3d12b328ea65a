"""Networks: quotas, what is in use stays, addresses are the sandbox's own, packets follow every change."""

from __future__ import annotations

import itertools
import json
from typing import Any

from moto.ec2.models import elastic_ip_addresses, elastic_network_interfaces, flow_logs

from sandbox import account
from sandbox.api.call import Call
from sandbox.api.correction import Correction, substitute
from sandbox.api.refusal import Refusal
from sandbox.mapping.infrastructure import Infrastructure
from sandbox.mapping.topology import interfaces

correction = Correction()

_QUOTA = 5
"""VPCs, and Elastic IP addresses, of a region. Source: "Amazon VPC quotas", Amazon VPC User Guide."""


@correction.patch
def _patch(infrastructure: Infrastructure) -> None:
    """Give out addresses of the sandbox's own range, each as long after its last use as can be."""
    addresses = infrastructure.public_addresses()
    cycle = itertools.cycle(addresses)

    def take() -> str:
        taken = {
            address
            for region in account.ec2_regions()
            for item in (*account.ec2(region).addresses, *account.ec2(region).enis.values())
            if (address := item.public_ip)
        }
        for _ in addresses:
            address = next(cycle)
            if address not in taken:
                return address
        raise Refusal(
            "InsufficientAddressCapacity", "Not enough available addresses to satisfy your request."
        )

    def holds_elastic_address(nic: Any) -> bool:
        return any(
            address.eni is nic and address.public_ip == nic.public_ip for address in nic.ec2_backend.addresses
        )

    def stop(self: Any) -> None:
        if self.public_ip_auto_assign and not holds_elastic_address(self):
            self.public_ip = None

    def check_auto_public_ip(self: Any) -> None:
        if str(self.public_ip_auto_assign).lower() == "true" and not holds_elastic_address(self):
            self.public_ip = take()

    # moto takes an Elastic IP away from a host that is stopped and started.
    nic = elastic_network_interfaces.NetworkInterface
    substitute(nic, "stop", stop)
    substitute(nic, "check_auto_public_ip", check_auto_public_ip)
    substitute(elastic_ip_addresses, "random_ip", take)
    substitute(elastic_network_interfaces, "random_public_ip", take)
    backend = flow_logs.FlowLogsBackend
    substitute(backend, "create_flow_logs", _into_folders(backend.create_flow_logs))


def _into_folders(create: Any) -> Any:
    """Look for the bucket of flow logs; moto takes the folder for a part of its name."""

    def create_flow_logs(self: Any, *, log_destination: Any, **asked: Any) -> Any:
        bucket, slash, folder = str(log_destination or "").partition("/")
        made, errors = create(self, log_destination=bucket or None, **asked)
        for flow_log in made:
            flow_log.log_destination = f"{bucket}{slash}{folder}" or None
        return made, errors

    return create_flow_logs


def _groups(backend: Any) -> list[Any]:
    return [group for groups in backend.groups.values() for group in groups.values()]


@correction.refuses("ec2", "CreateVpc", "CreateDefaultVpc")
def _check_vpcs(call: Call) -> None:
    if len(account.ec2(call.region).vpcs) >= _QUOTA:
        raise Refusal("VpcLimitExceeded", "The maximum number of VPCs has been reached.")


@correction.refuses("ec2", "AllocateAddress")
def _check_addresses(call: Call) -> None:
    if len(account.ec2(call.region).addresses) >= _QUOTA:
        raise Refusal("AddressLimitExceeded", "The maximum number of addresses has been reached.")


@correction.refuses("ec2", "ModifyVpcAttribute")
def _check_dns(call: Call) -> None:
    """Refuse host names without a resolver. ModifyVpcAttribute's page has the rule, not the error's code."""
    vpc = account.ec2(call.region).vpcs.get(str(call.params.get("VpcId")))
    names, support = (call.params.get(f"EnableDns{kind}") for kind in ("Hostnames", "Support"))
    if names is not None and support is not None:
        raise Refusal(
            "InvalidParameterCombination",
            "Fields for multiple attribute types specified: enableDnsHostnames, enableDnsSupport",
        )
    if vpc is not None and _is_true(names) and not _is_true(vpc.enable_dns_support):
        raise Refusal(
            "InvalidParameterValue", "DNS hostnames cannot be enabled while DNS support is disabled"
        )


def _is_true(value: Any) -> bool:
    value = value.get("Value") if isinstance(value, dict) else value
    return str(value).lower() == "true"


@correction.refuses("ec2", "AttachInternetGateway")
def _check_attachment(call: Call) -> None:
    gateways, vpc_id = account.ec2(call.region).internet_gateways, call.params.get("VpcId")
    gateway = gateways.get(str(call.params.get("InternetGatewayId")))
    if gateway is not None and gateway.vpc is not None:
        raise Refusal(
            "Resource.AlreadyAssociated",
            f"resource {gateway.id} is already attached to network {gateway.vpc.id}",
        )
    if any(other.vpc is not None and other.vpc.id == vpc_id for other in gateways.values()):
        raise Refusal("InvalidParameterValue", f"Network {vpc_id} already has an internet gateway attached")


@correction.refuses("ec2", "CreateRoute", "ReplaceRoute")
def _check_route(call: Call) -> None:
    backend = account.ec2(call.region)
    gateway = backend.internet_gateways.get(str(call.params.get("GatewayId")))
    table = backend.route_tables.get(str(call.params.get("RouteTableId")))
    if gateway and table and (gateway.vpc is None or gateway.vpc.id != table.vpc_id):
        raise Refusal(
            "InvalidParameterValue",
            f"route table {table.id} and network gateway {gateway.id} belong to different networks",
        )


@correction.refuses("ec2", "CreateVpcEndpoint", "ModifyVpcEndpoint")
def _check_endpoint(call: Call) -> None:
    """Let one gateway endpoint of a service be on a route table; its policy must be JSON."""
    backend, params = account.ec2(call.region), call.params
    try:
        json.loads(str(params.get("PolicyDocument") or "{}"))
    except ValueError as error:
        raise Refusal("InvalidPolicyDocument", "Policy document is not valid JSON") from error
    own = backend.vpc_end_points.get(str(params.get("VpcEndpointId")))
    service = own.service_name if own else params.get("ServiceName")
    wanted = {*(params.get("RouteTableIds") or ()), *(params.get("AddRouteTableIds") or ())}
    for other in backend.vpc_end_points.values():
        if other is own or other.state == "deleted" or other.service_name != service:
            continue
        for table_id in sorted(wanted & {*(other.route_table_ids or ())}):
            raise Refusal(
                "RouteAlreadyExists",
                f"route table {table_id} already has a route with destination-prefix-list-id "
                f"{other.destination_prefix_list_id}",
            )


@correction.follows("ec2", "CreateVpcEndpoint")
def _fill_in_kind(call: Call) -> None:
    """An endpoint is a gateway unless said otherwise. Source: CreateVpcEndpoint, Amazon EC2 API Reference."""
    for endpoint in account.ec2(call.region).vpc_end_points.values():
        endpoint.vpc_endpoint_type = endpoint.vpc_endpoint_type or "Gateway"


@correction.refuses("ec2", "DeleteSecurityGroup")
def _keep_used_group(call: Call) -> None:
    backend, params = account.ec2(call.region), call.params
    group_id = params.get("GroupId")
    group = next((g for g in _groups(backend) if g.id == group_id or g.name == params.get("GroupName")), None)
    if group is None:
        return
    if group.name == "default":
        raise Refusal(
            "CannotDelete", f'the specified group: "{group.id}" name: "default" cannot be deleted by a user'
        )
    in_use = any(group in nic.group_set for nic in backend.enis.values())
    named = any(
        rule.source_group and rule.source_group.get("GroupId") == group.id
        for other in _groups(backend)
        if other is not group
        for rule in (*other.ingress_rules, *other.egress_rules)
    )
    if in_use or named:
        raise Refusal("DependencyViolation", f"resource {group.id} has a dependent object")


@correction.refuses("ec2", "DeleteSubnet")
def _keep_used_subnet(call: Call) -> None:
    subnet_id = call.params.get("SubnetId")
    if any(nic.subnet.id == subnet_id for nic in account.ec2(call.region).enis.values()):
        raise Refusal(
            "DependencyViolation", f"The subnet '{subnet_id}' has dependencies and cannot be deleted."
        )


@correction.refuses("ec2", "DeleteVpc")
def _keep_used_vpc(call: Call) -> None:
    backend, vpc_id = account.ec2(call.region), call.params.get("VpcId")
    gateways = any(g.vpc is not None and g.vpc.id == vpc_id for g in backend.internet_gateways.values())
    groups = any(g.vpc_id == vpc_id and g.name != "default" for g in _groups(backend))
    endpoints = any(e.vpc_id == vpc_id and e.state != "deleted" for e in backend.vpc_end_points.values())
    if gateways or groups or endpoints or interfaces(backend, str(vpc_id)):
        raise Refusal("DependencyViolation", f"The vpc '{vpc_id}' has dependencies and cannot be deleted.")


@correction.refuses("ec2", "DetachInternetGateway")
def _keep_used_gateway(call: Call) -> None:
    vpc_id = str(call.params.get("VpcId"))
    if any(nic.public_ip for nic in interfaces(account.ec2(call.region), vpc_id)):
        raise Refusal(
            "DependencyViolation",
            f"Network {vpc_id} has some mapped public address(es). "
            "Please unmap those public address(es) before detaching the gateway.",
        )


@correction.refuses("ec2", "AssociateAddress")
def _check_association(call: Call) -> None:
    backend = account.ec2(call.region)
    instance = backend.get_instance_by_id(call.params.get("InstanceId"))
    if instance is None:
        return
    if instance.state not in {"running", "stopped"}:
        raise Refusal(
            "InvalidInstanceID",
            f"The {instance.state} instance '{instance.id}' is not in a valid state for this operation.",
        )
    vpc_id = instance.vpc_id
    if not any(g.vpc is not None and g.vpc.id == vpc_id for g in backend.internet_gateways.values()):
        raise Refusal("Gateway.NotAttached", f"Network {vpc_id} is not attached to any internet gateway")


@correction.refuses("ec2", "ReleaseAddress")
def _keep_used_address(call: Call) -> None:
    params = call.params
    for address in account.ec2(call.region).addresses:
        named = address.allocation_id == params.get("AllocationId") or address.public_ip == params.get(
            "PublicIp"
        )
        if named and address.association_id:
            raise Refusal("InvalidIPAddress.InUse", f"Address {address.public_ip} is in use.")


@correction.settles("ec2", "*")
def _follow(call: Call, infrastructure: Infrastructure) -> None:
    if not call.action.startswith(("Describe", "Get", "RunInstances")):
        infrastructure.networks.reconcile()
