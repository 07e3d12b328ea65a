"""What AWS refuses of networks, volumes, buckets and secrets, moto does not."""

from __future__ import annotations

import pytest
from asking import code_of, error_of, instance_of, policy

from sandbox.api.policy import is_public
from sandbox.mapping.hosts import set_state

ROLE = "arn:aws:iam::123456789012:role/none"


def test_a_region_has_five_vpcs_and_five_addresses(client):
    ec2 = client("ec2")
    while len(ec2.describe_vpcs()["Vpcs"]) < 5:
        ec2.create_vpc(CidrBlock="10.90.0.0/16")
    assert error_of(ec2.create_vpc, CidrBlock="10.90.0.0/16") == ("VpcLimitExceeded", 400)
    addresses = [ec2.allocate_address(Domain="vpc")["AllocationId"] for _ in range(5)]
    assert error_of(ec2.allocate_address, Domain="vpc") == ("AddressLimitExceeded", 400)
    ec2.release_address(AllocationId=addresses[0])
    ec2.allocate_address(Domain="vpc")


def test_host_names_need_a_resolver(client, network):
    def modify(**attributes):
        values = {f"EnableDns{name}": {"Value": value} for name, value in attributes.items()}
        client("ec2").modify_vpc_attribute(VpcId=network.vpc, **values)

    assert code_of(modify, Support=True, Hostnames=True) == "InvalidParameterCombination"
    modify(Support=False)
    assert code_of(modify, Hostnames=True) == "InvalidParameterValue"
    modify(Support=True)
    modify(Hostnames=True)


def test_a_vpc_has_one_gateway_and_routes_to_no_other(client, network):
    ec2 = client("ec2")
    first, second = (ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"] for _ in range(2))
    table = ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    route = {"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0"}
    assert code_of(ec2.create_route, **route, GatewayId=first) == "InvalidParameterValue"
    ec2.attach_internet_gateway(InternetGatewayId=first, VpcId=network.vpc)
    again = {"InternetGatewayId": first, "VpcId": network.vpc}
    assert code_of(ec2.attach_internet_gateway, **again) == "Resource.AlreadyAssociated"
    again["InternetGatewayId"] = second
    assert code_of(ec2.attach_internet_gateway, **again) == "InvalidParameterValue"
    ec2.create_route(**route, GatewayId=first)
    assert code_of(ec2.replace_route, **route, GatewayId=second) == "InvalidParameterValue"


def test_a_route_table_has_one_gateway_endpoint_of_a_service(client, network):
    ec2 = client("ec2")
    tables = [ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"] for _ in range(2)]
    wanted = {"VpcId": network.vpc, "ServiceName": "com.amazonaws.us-east-1.s3"}
    first = ec2.create_vpc_endpoint(**wanted, RouteTableIds=tables[:1])["VpcEndpoint"]["VpcEndpointId"]
    assert code_of(ec2.create_vpc_endpoint, **wanted, RouteTableIds=tables) == "RouteAlreadyExists"
    second = ec2.create_vpc_endpoint(**wanted, RouteTableIds=tables[1:])["VpcEndpoint"]["VpcEndpointId"]
    change = {"VpcEndpointId": second, "AddRouteTableIds": tables[:1]}
    assert code_of(ec2.modify_vpc_endpoint, **change) == "RouteAlreadyExists"
    ec2.delete_vpc_endpoints(VpcEndpointIds=[first])
    ec2.modify_vpc_endpoint(**change)


def test_a_group_has_sixty_rules(client, network):
    ranges = [{"CidrIp": f"198.51.100.{last}/32"} for last in range(61)]
    rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}
    add = client("ec2").authorize_security_group_ingress
    add(GroupId=network.group, IpPermissions=[{**rule, "IpRanges": ranges[:60]}])
    more = {"GroupId": network.group, "IpPermissions": [{**rule, "IpRanges": ranges[60:]}]}
    assert code_of(add, **more) == "RulesPerSecurityGroupLimitExceeded"


@pytest.mark.parametrize("kind", ["t4g.small", "t9.huge"])
def test_a_stopped_host_keeps_its_architecture(client, launch, kind):
    (instance,) = launch()
    set_state(instance_of(instance), "stopped")
    modify, named = client("ec2").modify_instance_attribute, {"InstanceId": instance["InstanceId"]}
    assert code_of(modify, **named, InstanceType={"Value": kind}) == "InvalidInstanceAttributeValue"
    old_form = {"Attribute": "instanceType", "Value": kind}
    assert code_of(modify, **named, **old_form) == "InvalidInstanceAttributeValue"
    modify(**named, InstanceType={"Value": "t3.medium"})


def test_a_volume_never_shrinks_and_changes_one_at_a_time_four_times_a_day(client, pace):
    ec2 = client("ec2")
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=10, VolumeType="gp3")["VolumeId"]
    assert code_of(ec2.modify_volume, VolumeId=volume, Size=9) == "InvalidParameterValue"

    def state():
        found = ec2.describe_volumes_modifications(VolumeIds=[volume])["VolumesModifications"]
        return found[-1]["ModificationState"]

    for size in range(11, 15):
        ec2.modify_volume(VolumeId=volume, Size=size)
        assert state() == "optimizing"
        assert code_of(ec2.modify_volume, VolumeId=volume, Size=20) == "IncorrectModificationState"
        pace.go_on(10)
        assert state() == "completed"
    assert code_of(ec2.modify_volume, VolumeId=volume, Size=20) == "VolumeModificationRateExceeded"
    pace.go_on(24 * 3600)
    ec2.modify_volume(VolumeId=volume, Size=20)


@pytest.mark.parametrize(
    "name",
    [
        *("a_b..c", "a..b", "A-bucket", "-ab", "ab-", "10.0.0.1"),
        *("xn--ab", "sthree-ab", "amzn-s3-demo-ab"),
        *("ab-s3alias", "ab--ol-s3", "ab.mrap", "ab--x-s3", "ab--table-s3"),
    ],
)
def test_names_of_buckets_have_rules(client, name):
    assert error_of(client("s3").create_bucket, Bucket=name) == ("InvalidBucketName", 400)


def test_a_new_bucket_is_closed_until_it_is_opened(client, unique):
    s3, named = client("s3"), {"Bucket": unique}
    public = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}
    document = policy({**public, "Resource": f"arn:aws:s3:::{unique}/*"})
    new = {**named, "ACL": "public-read"}
    assert code_of(s3.create_bucket, **new) == "InvalidBucketAclWithObjectOwnership"
    new["ObjectOwnership"] = "ObjectWriter"
    assert code_of(s3.create_bucket, **new) == "InvalidBucketAclWithBlockPublicAccessError"
    s3.create_bucket(**named)
    assert set(s3.get_public_access_block(**named)["PublicAccessBlockConfiguration"].values()) == {True}
    assert error_of(s3.put_bucket_policy, **named, Policy=document) == ("AccessDenied", 403)
    grants = {"GrantRead": "uri=http://acs.amazonaws.com/groups/global/AllUsers"}
    for acl in ({"ACL": "public-read"}, grants):
        assert error_of(s3.put_bucket_acl, **named, **acl) == ("AccessControlListNotSupported", 400)
    key = {**named, "Key": "k"}
    assert code_of(s3.put_object, **key, ACL="private") == "AccessControlListNotSupported"
    s3.put_object(**key, ACL="bucket-owner-full-control")
    s3.put_bucket_ownership_controls(
        **named, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    )
    for acl in ({"ACL": "public-read"}, grants):
        assert error_of(s3.put_bucket_acl, **named, **acl) == ("AccessDenied", 403)
        assert error_of(s3.put_object_acl, **key, **acl) == ("AccessDenied", 403)
    s3.put_bucket_acl(**named, ACL="private")
    s3.delete_public_access_block(**named)
    s3.put_bucket_policy(**named, Policy=document)
    s3.put_bucket_acl(**named, ACL="public-read")
    closed = {"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}}
    refused = code_of(s3.put_bucket_ownership_controls, **named, **closed)
    assert refused == "InvalidBucketAclWithObjectOwnership"
    s3.put_bucket_acl(**named, ACL="private")
    s3.put_bucket_ownership_controls(**named, **closed)


@pytest.mark.parametrize(
    ("changed", "public"),
    [
        ({}, True),
        ({"Principal": {"AWS": "*"}}, True),
        ({"Principal": {"AWS": "123456789012"}}, False),
        ({"Effect": "Deny"}, False),
        ({"Condition": {"Bool": {"aws:SecureTransport": "true"}}}, True),
        ({"Condition": {"StringEquals": {"aws:SourceVpc": "vpc-1"}}}, False),
        ({"Condition": {"StringLike": {"aws:SourceVpc": "vpc-*"}}}, True),
        ({"Condition": {"StringNotEquals": {"aws:SourceVpc": "vpc-1"}}}, True),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}}}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": ["198.51.100.0/24", "0.0.0.0/1"]}}}, True),
    ],
)
def test_public_is_what_lets_anyone_in_from_anywhere(changed, public):
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"} | changed
    assert is_public({"Statement": statement}) is public


def test_a_secret_scheduled_for_deletion_can_be_restored_and_nothing_else(client, unique):
    secrets, named = client("secretsmanager"), {"SecretId": unique}
    secrets.create_secret(Name=unique, SecretString="1")
    secrets.delete_secret(**named)
    calls = {
        "create_secret": {"Name": unique, "SecretString": "1"},
        "get_secret_value": named,
        "put_secret_value": {**named, "SecretString": "2"},
        "update_secret": {**named, "SecretString": "2"},
        "tag_resource": {**named, "Tags": [{"Key": "a", "Value": "b"}]},
        "untag_resource": {**named, "TagKeys": ["a"]},
        "get_resource_policy": named,
        "put_resource_policy": {**named, "ResourcePolicy": policy()},
    }
    for name, arguments in calls.items():
        assert error_of(getattr(secrets, name), **arguments) == ("InvalidRequestException", 400), name
    assert secrets.describe_secret(**named)["DeletedDate"]
    secrets.restore_secret(**named)
    assert secrets.get_secret_value(**named)["SecretString"] == "1"


def test_a_secret_has_a_size_in_bytes(client, unique):
    secrets = client("secretsmanager")
    secrets.create_secret(Name=unique, SecretString="x" * 65_536)
    arguments = {"SecretId": unique, "SecretString": "é" * 32_769}
    assert error_of(secrets.put_secret_value, **arguments) == ("ValidationException", 400)
