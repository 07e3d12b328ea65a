"""What AWS refuses of networks, volumes, roles, buckets and secrets, moto does not."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError
from test_sandbox_authorization import TRUST, policy
from test_sandbox_front import code_of
from test_sandbox_instances import launch, object_of  # noqa: F401 - a fixture

from sandbox import account
from sandbox.api.policy import is_public
from sandbox.mapping.hosts import set_state

ROLE = "arn:aws:iam::123456789012:role/none"


def error_of(function, **arguments):
    with pytest.raises(ClientError) as caught:
        function(**arguments)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def trust(principal):
    return policy({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})


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
def test_a_stopped_host_keeps_its_architecture(client, launch, kind):  # noqa: F811 - the fixture
    (instance,) = launch()
    set_state(object_of(instance), "stopped")
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


def test_a_policy_names_who_is_there(client, unique):
    iam, secrets, s3 = client("iam"), client("secretsmanager"), client("s3")
    role = {"RoleName": unique, "AssumeRolePolicyDocument": trust({"AWS": [ROLE]})}
    assert error_of(iam.create_role, **role) == ("MalformedPolicyDocument", 400)
    arn = iam.create_role(RoleName=unique, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    change = {"RoleName": unique, "PolicyDocument": trust({"AWS": ROLE})}
    assert code_of(iam.update_assume_role_policy, **change) == "MalformedPolicyDocument"
    iam.update_assume_role_policy(RoleName=unique, PolicyDocument=trust({"AWS": arn}))

    def reader(name):
        return policy(
            {
                "Effect": "Allow",
                "Principal": {"AWS": name},
                "Action": ["s3:GetObject", "secretsmanager:GetSecretValue"],
                "Resource": f"arn:aws:s3:::{unique}/*",
            }
        )

    s3.create_bucket(Bucket=unique)
    assert error_of(s3.put_bucket_policy, Bucket=unique, Policy=reader(ROLE)) == ("MalformedPolicy", 400)
    s3.put_bucket_policy(Bucket=unique, Policy=reader(arn))
    secrets.create_secret(Name=unique, SecretString="1")
    of_secret = {"SecretId": unique, "ResourcePolicy": reader(ROLE)}
    assert code_of(secrets.put_resource_policy, **of_secret) == "MalformedPolicyDocumentException"
    secrets.put_resource_policy(SecretId=unique, ResourcePolicy=reader(arn))


def test_a_roles_inline_policies_have_a_size_together_without_white_space(client, unique):
    iam = client("iam")
    iam.create_role(RoleName=unique, AssumeRolePolicyDocument=TRUST)

    def put(name, letters, blanks=0):
        text = policy(
            {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::" + "x" * letters}
        )
        iam.put_role_policy(RoleName=unique, PolicyName=name, PolicyDocument=text + " " * blanks)

    put("first", 6000, blanks=10_000)
    assert error_of(put, name="second", letters=6000) == ("LimitExceeded", 409)
    put("first", 2000)
    put("second", 6000)


def test_tags_of_iam_differ_in_more_than_case(client, unique):
    iam = client("iam")
    tags = [{"Key": "Name", "Value": "1"}, {"Key": "name", "Value": "2"}]
    assert error_of(iam.create_instance_profile, InstanceProfileName=unique, Tags=tags) == (
        "InvalidInput",
        400,
    )
    iam.create_instance_profile(InstanceProfileName=unique, Tags=tags[:1])
    iam.create_role(RoleName=unique, AssumeRolePolicyDocument=TRUST, Tags=tags[:1])
    assert code_of(iam.tag_role, RoleName=unique, Tags=tags) == "InvalidInput"
    iam.tag_role(RoleName=unique, Tags=tags[1:])
    iam.tag_instance_profile(InstanceProfileName=unique, Tags=tags[1:])
    assert iam.list_role_tags(RoleName=unique)["Tags"] == tags[1:]
    assert iam.get_instance_profile(InstanceProfileName=unique)["InstanceProfile"]["Tags"] == tags[1:]


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


def session_of(account_id, name, statement):
    """Return credentials of a role in any account with one statement in its policy."""
    with account.lock:
        iam = account.iam(account_id)
        role = iam.create_role(name, TRUST, "/", None, "", [], None)
        iam.put_role_policy(name, "p", policy(statement))
        session = account.sts().assume_role("us-east-1", "s", role.arn, "", 3600, "")
    return role.arn, (session.access_key_id, session.secret_access_key, session.session_token)


def test_other_accounts_need_leave_on_both_sides(client, unique):
    s3, key = client("s3"), {"Bucket": unique, "Key": "k"}
    s3.create_bucket(Bucket=unique)
    s3.put_object(**key, Body=b"1")
    reads = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{unique}/*"}
    other = "999999999999"
    arn, allowed = session_of(other, unique, reads)
    silent_arn, silent = session_of(other, f"{unique}-silent", reads | {"Action": "s3:PutObject"})
    assert code_of(client("s3", allowed).get_object, **key) == "AccessDenied"
    for names in ([arn, silent_arn], other):
        s3.put_bucket_policy(Bucket=unique, Policy=policy(reads | {"Principal": {"AWS": names}}))
        assert client("s3", allowed).get_object(**key)["Body"].read() == b"1"
        assert code_of(client("s3", silent).get_object, **key) == "AccessDenied"


def test_naming_the_account_leaves_the_decision_to_its_own_policies(client, unique):
    s3, key = client("s3"), {"Bucket": unique, "Key": "k"}
    s3.create_bucket(Bucket=unique)
    s3.put_object(**key, Body=b"1")
    reads = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{unique}/*"}
    arn, mine = session_of(account.ACCOUNT_ID, unique, reads | {"Action": "s3:PutObject"})
    s3.put_bucket_policy(Bucket=unique, Policy=policy(reads | {"Principal": {"AWS": account.ACCOUNT_ID}}))
    assert code_of(client("s3", mine).get_object, **key) == "AccessDenied"
    s3.put_bucket_policy(Bucket=unique, Policy=policy(reads | {"Principal": {"AWS": arn}}))
    assert client("s3", mine).get_object(**key)["Body"].read() == b"1"


def test_a_role_is_assumed_by_whom_it_trusts(client, unique):
    iam, assume = client("iam"), client("sts").assume_role
    arn = iam.create_role(RoleName=unique, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    wanted = {"RoleArn": arn, "RoleSessionName": "me"}
    assert error_of(assume, **wanted) == ("AccessDenied", 403)
    trusted = json.loads(trust({"AWS": "arn:aws:iam::123456789012:root"}))
    iam.update_assume_role_policy(RoleName=unique, PolicyDocument=json.dumps(trusted))
    assert assume(**wanted)["AssumedRoleUser"]["Arn"].endswith(f"{unique}/me")
    trusted["Statement"][0]["Condition"] = {"StringEquals": {"sts:ExternalId": "mine"}}
    iam.update_assume_role_policy(RoleName=unique, PolicyDocument=json.dumps(trusted))
    assert error_of(assume, **wanted) == ("AccessDenied", 403)
    assume(**wanted, ExternalId="mine")
