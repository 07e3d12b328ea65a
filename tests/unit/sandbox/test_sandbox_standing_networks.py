"""What of a network is real, accepted without effect, or refused: as docs/sandbox.md says."""

from __future__ import annotations

from pathlib import Path

import pytest
from standings import NO_EFFECT, REAL, REFUSED, Proofs, listed, prove, proving, standing_of

from sandbox.mapping import topology

PAGE = Path(__file__).parents[3] / "docs/sandbox.md"
PROOFS: Proofs = {}
proves = proving(PROOFS)


def plan(here):
    return topology.work_out("us-east-1", here.network.vpc)


def online(here):
    """Let the first subnet out by an internet gateway; returns its route table."""
    ec2 = here.client("ec2")
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=here.network.vpc)
    table = ec2.create_route_table(VpcId=here.network.vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    ec2.associate_route_table(RouteTableId=table, SubnetId=here.network.subnets[0])
    return table


@proves(REAL, "VPCs, subnets")
def _(here):
    here.client("ec2").create_subnet(VpcId=here.network.vpc, CidrBlock="10.80.2.0/24")
    return "10.80.2.0/24" in plan(here).subnets and here.asked() == ["reconcile"]


@proves(REAL, "internet gateways, route tables")
def _(here):
    here.launch()
    before = plan(here).internet
    online(here)
    return not before and plan(here).internet


@proves(REAL, "Elastic IPs")
def _(here):
    ec2 = here.client("ec2")
    online(here)
    (instance,) = here.launch()
    nic = instance["NetworkInterfaces"][0]["NetworkInterfaceId"]
    address = ec2.allocate_address(Domain="vpc")
    ec2.associate_address(AllocationId=address["AllocationId"], NetworkInterfaceId=nic)
    return address["PublicIp"] in plan(here).public


@proves(REAL, "NAT gateways")
def _(here):
    ec2 = here.client("ec2")
    online(here)
    address = ec2.allocate_address(Domain="vpc")
    nat = ec2.create_nat_gateway(SubnetId=here.network.subnets[0], AllocationId=address["AllocationId"])
    table = ec2.create_route_table(VpcId=here.network.vpc)["RouteTable"]["RouteTableId"]
    gateway = nat["NatGateway"]["NatGatewayId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=gateway)
    ec2.associate_route_table(RouteTableId=table, SubnetId=here.network.subnets[1])
    here.launch(SubnetId=here.network.subnets[1])
    return plan(here).translated.get(address["PublicIp"])


@proves(REAL, "gateway endpoints of S3")
def _(here):
    ec2 = here.client("ec2")
    (instance,) = here.launch()
    service, address = "com.amazonaws.us-east-1.s3", instance["PrivateIpAddress"]
    ec2.create_vpc_endpoint(VpcId=here.network.vpc, ServiceName=service, RouteTableIds=[online(here)])
    backend = topology.account.ec2("us-east-1")
    return topology.s3_endpoint(backend, here.network.vpc, address)


@proves(REAL, "security groups")
def _(here):
    here.launch()
    before = plan(here).rules
    permission = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    here.client("ec2").authorize_security_group_ingress(
        GroupId=here.network.group, IpPermissions=[permission]
    )
    return plan(here).rules != before


@proves(REAL, "DNS of a VPC, on or off")
def _(here):
    before = plan(here).dns
    here.client("ec2").modify_vpc_attribute(VpcId=here.network.vpc, EnableDnsSupport={"Value": False})
    return before and not plan(here).dns


@proves(NO_EFFECT, "rules of security groups with IPv6 ranges")
def _(here):
    here.launch()
    here.forget()
    before = plan(here)
    permission = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}
    here.client("ec2").authorize_security_group_ingress(
        GroupId=here.network.group, IpPermissions=[permission]
    )
    assert plan(here) == before


@proves(NO_EFFECT, "flow logs")
def _(here):
    here.client("s3").create_bucket(Bucket=here.name)
    asked = {"ResourceType": "VPC", "ResourceIds": [here.network.vpc], "TrafficType": "ALL"}
    bucket = {"LogDestinationType": "s3", "LogDestination": f"arn:aws:s3:::{here.name}"}
    made = here.client("ec2").create_flow_logs(**asked, **bucket)
    assert made["FlowLogIds"]


@proves(REFUSED, "other VPC endpoints")
def _(here):
    create, vpc = here.client("ec2").create_vpc_endpoint, here.network.vpc
    interface = {"VpcEndpointType": "Interface", "ServiceName": "com.amazonaws.us-east-1.secretsmanager"}
    return [
        (create, {"VpcId": vpc, **interface}),
        (create, {"VpcId": vpc, "ServiceName": "com.amazonaws.us-east-1.dynamodb"}),
    ]


@proves(REFUSED, "rules of network ACLs")
def _(here):
    ec2 = here.client("ec2")
    (acl,) = ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [here.network.vpc]}])[
        "NetworkAcls"
    ]
    entry = {"NetworkAclId": acl["NetworkAclId"], "RuleNumber": 5, "Egress": False}
    rule = {**entry, "Protocol": "-1", "RuleAction": "deny", "CidrBlock": "0.0.0.0/0"}
    moved = {"AssociationId": acl["Associations"][0]["NetworkAclAssociationId"], "NetworkAclId": "acl-1"}
    return [
        (ec2.create_network_acl_entry, rule),
        (ec2.replace_network_acl_entry, rule),
        (ec2.delete_network_acl_entry, entry),
        (ec2.replace_network_acl_association, moved),
    ]


@proves(REFUSED, "IPv6, second ranges, peering, transit and VPN gateways")
def _(here):
    ec2, vpc = here.client("ec2"), here.network.vpc
    return [
        (ec2.create_vpc, {"CidrBlock": "10.9.0.0/16", "AmazonProvidedIpv6CidrBlock": True}),
        (ec2.create_subnet, {"VpcId": vpc, "CidrBlock": "10.80.9.0/24", "Ipv6CidrBlock": "2001:db8::/64"}),
        (ec2.associate_vpc_cidr_block, {"VpcId": vpc, "CidrBlock": "10.81.0.0/16"}),
        (ec2.associate_subnet_cidr_block, {"SubnetId": here.network.subnets[0], "Ipv6CidrBlock": "::/64"}),
        (ec2.create_egress_only_internet_gateway, {"VpcId": vpc}),
        (ec2.create_vpc_peering_connection, {"VpcId": vpc, "PeerVpcId": vpc}),
        (ec2.create_transit_gateway, {}),
        (ec2.create_vpn_gateway, {"Type": "ipsec.1"}),
    ]


@pytest.mark.parametrize("kind", PROOFS)
def test_it_is_what_the_page_says(here, kind):
    prove(PROOFS, kind, here)


def test_the_page_lists_each_kind():
    assert listed(PAGE.read_text(encoding="utf-8"), "Networks") == standing_of(PROOFS)
