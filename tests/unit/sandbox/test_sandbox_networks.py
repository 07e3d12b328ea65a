from __future__ import annotations

import json
import socket
from dataclasses import replace

import pytest
from asking import code_of
from botocore.exceptions import ClientError

from sandbox import account, amis
from sandbox.mapping import names, topology
from sandbox.mapping.hosts import release_interfaces, set_state
from sandbox.real.firewall import Rule
from sandbox.web import Listener


@pytest.fixture
def online(client, network):
    """The network with a gateway and a route in the first subnet, and an instance that runs there."""
    ec2 = client("ec2")
    network.gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=network.gateway, VpcId=network.vpc)
    network.table = ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=network.table, DestinationCidrBlock="0.0.0.0/0", GatewayId=network.gateway)
    ec2.associate_route_table(RouteTableId=network.table, SubnetId=network.subnets[0])
    network.instance = ec2.run_instances(
        ImageId=amis.images()[0]["ami_id"],
        InstanceType="t3.small",
        MinCount=1,
        MaxCount=1,
        SubnetId=network.subnets[0],
        SecurityGroupIds=[network.group],
    )["Instances"][0]
    network.object = account.ec2("us-east-1").get_instance(network.instance["InstanceId"])
    return network


def test_public_addresses_are_the_sandboxs_own_and_not_reused_at_once(client):
    ec2 = client("ec2")
    first = ec2.allocate_address(Domain="vpc")
    assert first["PublicIp"].startswith("198.18.0.")
    ec2.release_address(AllocationId=first["AllocationId"])
    assert ec2.allocate_address(Domain="vpc")["PublicIp"] != first["PublicIp"]


def test_an_address_leads_to_its_instance_while_it_is_associated(client, online):
    ec2 = client("ec2")
    address = ec2.allocate_address(Domain="vpc")
    named = {"AllocationId": address["AllocationId"]}
    associate = {**named, "InstanceId": online.instance["InstanceId"]}
    assert code_of(ec2.associate_address, **associate) == "InvalidInstanceID"
    set_state(online.object, "running")
    ec2.associate_address(**associate)
    private = online.instance["PrivateIpAddress"]
    plan = topology.work_out("us-east-1", online.vpc)
    assert plan.public == {address["PublicIp"]: private}
    assert plan.internet == {private}
    assert code_of(ec2.release_address, **named) == "InvalidIPAddress.InUse"
    online.object.stop()
    online.object.start()
    assert topology.work_out("us-east-1", online.vpc).public == {address["PublicIp"]: private}
    detach = {"InternetGatewayId": online.gateway, "VpcId": online.vpc}
    assert code_of(ec2.detach_internet_gateway, **detach) == "DependencyViolation"
    association = ec2.describe_addresses(AllocationIds=[address["AllocationId"]])["Addresses"][0][
        "AssociationId"
    ]
    ec2.disassociate_address(AssociationId=association)
    assert topology.work_out("us-east-1", online.vpc).public == {}
    ec2.release_address(**named)


def test_without_a_route_there_is_no_way_out(client, online):
    client("ec2").delete_route(RouteTableId=online.table, DestinationCidrBlock="0.0.0.0/0")
    assert topology.work_out("us-east-1", online.vpc).internet == frozenset()


def test_groups_become_rules_and_follow_changes(client, online):
    ec2 = client("ec2")
    permission = {
        "IpProtocol": "tcp",
        "FromPort": 443,
        "ToPort": 443,
        "IpRanges": [{"CidrIp": "198.51.100.0/24"}],
    }
    ec2.authorize_security_group_ingress(GroupId=online.group, IpPermissions=[permission])
    from_itself = {
        "IpProtocol": "tcp",
        "FromPort": 5432,
        "ToPort": 5432,
        "UserIdGroupPairs": [{"GroupId": online.group}],
    }
    ec2.authorize_security_group_ingress(GroupId=online.group, IpPermissions=[from_itself])
    (rules,) = topology.work_out("us-east-1", online.vpc).rules.values()
    private = online.instance["PrivateIpAddress"]
    assert set(rules) == {
        Rule("in", "tcp", 443, 443, ("198.51.100.0/24",)),
        Rule("in", "tcp", 5432, 5432, (f"{private}/32",)),
        Rule("out", "-1", -1, -1, ("0.0.0.0/0",)),
    }
    ec2.revoke_security_group_ingress(GroupId=online.group, IpPermissions=[permission])
    (rules,) = topology.work_out("us-east-1", online.vpc).rules.values()
    assert Rule("in", "tcp", 443, 443, ("198.51.100.0/24",)) not in rules


def test_networks_are_brought_in_line_after_each_change(cloud, client):
    asked = len(cloud.infrastructure.networks.asked)
    client("ec2").describe_vpcs()
    assert len(cloud.infrastructure.networks.asked) == asked
    client("ec2").create_internet_gateway()
    assert cloud.infrastructure.networks.names()[asked:] == ["reconcile"]


def test_what_is_in_use_cannot_be_deleted_until_it_is_not(client, online):
    ec2 = client("ec2")
    assert code_of(ec2.delete_security_group, GroupId=online.group) == "DependencyViolation"
    assert code_of(ec2.delete_subnet, SubnetId=online.subnets[0]) == "DependencyViolation"
    set_state(online.object, "running")
    ec2.terminate_instances(InstanceIds=[online.instance["InstanceId"]])
    release_interfaces(online.object)
    ec2.delete_security_group(GroupId=online.group)
    for association in ec2.describe_route_tables(RouteTableIds=[online.table])["RouteTables"][0][
        "Associations"
    ]:
        ec2.disassociate_route_table(AssociationId=association["RouteTableAssociationId"])
    for subnet in online.subnets:
        ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_route_table(RouteTableId=online.table)
    assert code_of(ec2.delete_vpc, VpcId=online.vpc) == "DependencyViolation"
    ec2.detach_internet_gateway(InternetGatewayId=online.gateway, VpcId=online.vpc)
    ec2.delete_vpc(VpcId=online.vpc)


def test_a_group_that_another_names_cannot_be_deleted(client, network):
    ec2 = client("ec2")
    other = ec2.create_security_group(GroupName="other", Description="o", VpcId=network.vpc)["GroupId"]
    pair = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "UserIdGroupPairs": [{"GroupId": network.group}]}
    ec2.authorize_security_group_ingress(GroupId=other, IpPermissions=[pair])
    assert code_of(ec2.delete_security_group, GroupId=network.group) == "DependencyViolation"
    ec2.delete_security_group(GroupId=other)
    ec2.delete_security_group(GroupId=network.group)


def test_what_is_gone_has_no_tags(client, network, unique):
    ec2 = client("ec2")

    def tagged(kind):
        return [{"ResourceType": kind, "Tags": [{"Key": unique, "Value": "tagged"}]}]

    def kinds():
        tags = ec2.describe_tags(Filters=[{"Name": "key", "Values": [unique]}])["Tags"]
        return {tag["ResourceId"]: tag["ResourceType"] for tag in tags}

    def named():
        return set(kinds())

    service = "com.amazonaws.us-east-1.s3"
    address = ec2.allocate_address(Domain="vpc", TagSpecifications=tagged("elastic-ip"))["AllocationId"]
    table = ec2.create_route_table(VpcId=network.vpc, TagSpecifications=tagged("route-table"))["RouteTable"]
    endpoint = ec2.create_vpc_endpoint(
        VpcId=network.vpc, ServiceName=service, TagSpecifications=tagged("vpc-endpoint")
    )["VpcEndpoint"]["VpcEndpointId"]
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, TagSpecifications=tagged("volume"))
    assert named() == {address, table["RouteTableId"], endpoint, volume["VolumeId"]}
    assert kinds()[address] == "elastic-ip"
    ec2.release_address(AllocationId=address)
    ec2.delete_route_table(RouteTableId=table["RouteTableId"])
    ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])
    ec2.delete_volume(VolumeId=volume["VolumeId"])
    assert named() == set()


def test_the_first_interface_goes_with_its_host(online):
    (interface,) = online.instance["NetworkInterfaces"]
    assert interface["Attachment"]["DeleteOnTermination"] is True


def test_names_of_hosts(online):
    resolve = names.resolve
    private = online.instance["PrivateIpAddress"]
    assert resolve("us-east-1", online.vpc, online.instance["PrivateDnsName"]) == private
    assert resolve("us-east-1", online.vpc, "ip-10-80-0-250.ec2.internal") is None
    assert resolve("us-east-1", online.vpc, "example.org.") is None


@pytest.mark.parametrize(
    ("kind", "wanted", "other"),
    [
        (
            "route-table",
            {},
            {"TagSpecifications": [{"ResourceType": "route-table", "Tags": [{"Key": "a", "Value": "b"}]}]},
        ),
        (
            "vpc-endpoint",
            {"ServiceName": "com.amazonaws.us-east-1.s3"},
            {"ServiceName": "com.amazonaws.us-east-1.dynamodb"},
        ),
    ],
)
def test_a_repeated_token_makes_no_second_one(client, network, kind, wanted, other):
    ec2 = client("ec2")

    def make(**changes):
        parameters = {"VpcId": network.vpc, "ClientToken": "mine", **wanted, **changes}
        made = getattr(ec2, f"create_{kind.replace('-', '_')}")(**parameters)
        name = kind.title().replace("-", "")
        return made[name][f"{name}Id"]

    first = make()
    assert make() == first
    with pytest.raises(ClientError, match="IdempotentParameterMismatch"):
        make(**other)
    assert make(ClientToken="another") != first


def test_what_comes_by_an_endpoint_is_let_through_by_its_policy(client, cloud, network, unique):
    ec2, s3 = client("ec2"), client("s3")
    for name in (unique, f"{unique}-other"):
        s3.create_bucket(Bucket=name)
    own = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{unique}"}
    table = ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=network.subnets[0])
    ec2.create_vpc_endpoint(
        VpcId=network.vpc,
        ServiceName="com.amazonaws.us-east-1.s3",
        RouteTableIds=[table],
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [own]}),
    )

    def seen(bucket, peer):
        """Ask as a host at that address does."""
        listener = Listener(
            socket.create_server(("127.0.0.1", 0)),
            lambda request: cloud.front(replace(request, peer=peer, origin=network.vpc)),
        )
        listener.start()
        from_host = client("s3", endpoint=f"http://127.0.0.1:{listener.server_address[1]}")
        try:
            return from_host.list_objects_v2(Bucket=bucket)["KeyCount"]
        except ClientError as error:
            return error.response["Error"]["Code"]
        finally:
            listener.stop()

    assert seen(unique, "10.80.0.7") == 0
    assert seen(f"{unique}-other", "10.80.0.7") == "AccessDenied"
    # The other subnet's packets take another way.
    assert seen(f"{unique}-other", "10.80.1.7") == 0


def test_an_endpoints_policy_is_json(client, network):
    with pytest.raises(ClientError, match="InvalidPolicyDocument"):
        client("ec2").create_vpc_endpoint(
            VpcId=network.vpc, ServiceName="com.amazonaws.us-east-1.s3", PolicyDocument="{"
        )


def test_flow_logs_go_to_a_folder_of_a_bucket_that_is_there(client, network, unique):
    ec2 = client("ec2")
    asked = {
        "ResourceIds": [network.vpc],
        "ResourceType": "VPC",
        "TrafficType": "ALL",
        "LogDestinationType": "s3",
        "LogDestination": f"arn:aws:s3:::{unique}/folder/",
    }
    assert len(ec2.create_flow_logs(**asked)["Unsuccessful"]) == 1
    client("s3").create_bucket(Bucket=unique)
    ids = ec2.create_flow_logs(**asked)["FlowLogIds"]
    (made,) = ec2.describe_flow_logs(FlowLogIds=ids)["FlowLogs"]
    assert made["LogDestination"] == asked["LogDestination"]
    ec2.create_tags(Resources=ids, Tags=[{"Key": "a", "Value": "b"}])
    filters = [{"Name": "resource-id", "Values": ids}]
    (tag,) = ec2.describe_tags(Filters=filters)["Tags"]
    assert tag["ResourceType"] == "vpc-flow-log"
    ec2.delete_flow_logs(FlowLogIds=ids)
    assert ec2.describe_tags(Filters=filters)["Tags"] == []
