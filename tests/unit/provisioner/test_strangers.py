"""What is not a resource of the deployment: listed when it carries its tag, named when it stops a destroy."""

from collections.abc import Callable
from typing import Any

import pytest

from provisioner.engine import plan
from provisioner.errors import FlowsteadError, UsageError
from tests.unit.provisioner.moto_account import REGION, Account

OURS = {"Key": "flowstead:deployment", "Value": "flowstead"}


def interface(account: Account) -> str:
    made = account.call("ec2", "create_network_interface", SubnetId=account.live("public_1").id)
    return str(made["NetworkInterface"]["NetworkInterfaceId"])


def attached_interface(account: Account) -> str:
    """Attach an interface to the host: it does not go with it."""
    id_ = interface(account)
    host = account.live("server").id
    account.call("ec2", "attach_network_interface", NetworkInterfaceId=id_, InstanceId=host, DeviceIndex=1)
    return id_


def subnet(account: Account) -> str:
    vpc = account.live("network").id
    return str(
        account.call("ec2", "create_subnet", VpcId=vpc, CidrBlock="10.80.200.0/24")["Subnet"]["SubnetId"]
    )


def group(account: Account) -> str:
    """Make a group whose rule names the server's."""
    vpc, server = account.live("network").id, account.live("server_firewall").id
    made = account.call("ec2", "create_security_group", GroupName="theirs", Description="theirs", VpcId=vpc)
    rule = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2, "UserIdGroupPairs": [{"GroupId": server}]}
    account.call("ec2", "authorize_security_group_ingress", GroupId=made["GroupId"], IpPermissions=[rule])
    return f"a rule of the security group {made['GroupId']} names it"


def lone_group(account: Account) -> str:
    vpc = account.live("network").id
    made = account.call("ec2", "create_security_group", GroupName="lone", Description="lone", VpcId=vpc)
    return f"the security group {made['GroupId']} is in it"


def outbound_group(account: Account) -> str:
    """Make a group whose rule about what goes out names the database's."""
    vpc, named = account.live("network").id, account.live("database_firewall").id
    made = account.call("ec2", "create_security_group", GroupName="out", Description="out", VpcId=vpc)
    rule = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2, "UserIdGroupPairs": [{"GroupId": named}]}
    account.call("ec2", "authorize_security_group_egress", GroupId=made["GroupId"], IpPermissions=[rule])
    return f"a rule of the security group {made['GroupId']} names it"


def route_table(account: Account) -> str:
    made = account.call("ec2", "create_route_table", VpcId=account.live("network").id)
    return str(made["RouteTable"]["RouteTableId"])


def network_acl(account: Account) -> str:
    made = account.call("ec2", "create_network_acl", VpcId=account.live("network").id)
    return str(made["NetworkAcl"]["NetworkAclId"])


def endpoint(account: Account) -> str:
    service = f"com.amazonaws.{REGION}.dynamodb"
    made = account.call("ec2", "create_vpc_endpoint", VpcId=account.live("network").id, ServiceName=service)
    return str(made["VpcEndpoint"]["VpcEndpointId"])


def vpn_gateway(account: Account) -> str:
    made = account.call("ec2", "create_vpn_gateway", Type="ipsec.1")["VpnGateway"]["VpnGatewayId"]
    account.call("ec2", "attach_vpn_gateway", VpnGatewayId=made, VpcId=account.live("network").id)
    return str(made)


def _database(account: Account, name: str, **settings: Any) -> str:
    account.call(
        "rds",
        "create_db_instance",
        DBInstanceIdentifier=name,
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
        MasterUsername="somebody",
        MasterUserPassword="something-long",
        AllocatedStorage=20,
        **settings,
    )
    return f"the database {name}"


def database(account: Account) -> str:
    """Make a database in the network."""
    return _database(account, "neighbour", DBSubnetGroupName=account.live("database_subnets").id)


def database_elsewhere(account: Account) -> str:
    """Make a database that only uses the parameters."""
    return _database(account, "borrower", DBParameterGroupName=account.live("database_parameters").id)


def restored_database(account: Account) -> str:
    """Restore a snapshot beside the database: it has the tags of what it was made of."""
    tags = [{"Key": key, "Value": value} for key, value in account.live("database").tags.items()]
    _database(account, "copy", DBSubnetGroupName=account.live("database_subnets").id, Tags=tags)
    return "destroy --remove copy"


def profile(account: Account) -> str:
    account.call("iam", "create_instance_profile", InstanceProfileName="theirs")
    role = account.live("server_role").id
    account.call("iam", "add_role_to_instance_profile", InstanceProfileName="theirs", RoleName=role)
    return "theirs"


def copied_secret(account: Account) -> str:
    name = account.live("secret_admin").id
    regions = [{"Region": "eu-west-1"}]
    account.call("secretsmanager", "replicate_secret_to_regions", SecretId=name, AddReplicaRegions=regions)
    return "eu-west-1"


def protected_host(account: Account) -> str:
    id_ = account.live("server").id
    account.call("ec2", "modify_instance_attribute", InstanceId=id_, DisableApiTermination={"Value": True})
    return f"--instance-id {id_} --no-disable-api-termination"


HINDRANCES = (
    interface,
    attached_interface,
    subnet,
    group,
    lone_group,
    route_table,
    network_acl,
    endpoint,
    vpn_gateway,
    database,
    database_elsewhere,
    restored_database,
    outbound_group,
    profile,
    copied_secret,
    protected_host,
)


def refused(account: Account) -> str:
    """Begin a destroy that must not; nothing is removed."""
    account.calls.clear()
    with pytest.raises(FlowsteadError) as refusal:
        account.destroy()
    assert not [call for call in account.calls if not call.startswith(("Describe", "Get", "List", "Head"))]
    return str(refusal.value)


@pytest.mark.slow
@pytest.mark.parametrize("hinder", HINDRANCES)
def test_what_would_stop_a_destroy_is_named_before_it_begins(
    stacked: Account, hinder: Callable[[Account], str]
) -> None:
    name = hinder(stacked)
    text = refused(stacked)
    assert name in text
    assert "nothing was removed" in text


def test_a_destroy_names_all_that_would_stop_it(stacked: Account) -> None:
    names = {hinder(stacked) for hinder in HINDRANCES}
    text = refused(stacked)
    assert {name for name in names if name in text} == names


def test_a_protected_database_is_a_mistake_of_usage(stacked: Account) -> None:
    with pytest.raises(UsageError, match=r"database\.deletion_protection"):
        plan.destroy(stacked.graph(), stacked.open())


def tagged_as(account: Account, name: str, kind: str) -> list[dict[str, Any]]:
    tags = account.live(name).tags
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": tags[key]} for key in tags]}]


def test_a_second_one_is_told_of_as_that_only(stacked: Account) -> None:
    stacked.call(
        "ec2",
        "allocate_address",
        Domain="vpc",
        TagSpecifications=tagged_as(stacked, "server_address", "elastic-ip"),
    )
    assert stacked.plan().unknown == ()


def test_what_is_in_a_second_network_is_named_too(stacked: Account) -> None:
    tags = tagged_as(stacked, "network", "vpc")
    vpc = stacked.call("ec2", "create_vpc", CidrBlock="10.80.0.0/16", TagSpecifications=tags)["Vpc"]["VpcId"]
    made = stacked.call("ec2", "create_subnet", VpcId=vpc, CidrBlock="10.80.0.0/24")["Subnet"]
    assert made["SubnetId"] in refused(stacked)


def test_groups_of_ours_that_name_each_other_go(stacked: Account) -> None:
    names, one = ("server_firewall", "database_firewall"), {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2}
    server, database_ = (stacked.live(name).id for name in names)
    for id_, peer in ((server, database_), (database_, server), (server, server)):
        rule = one | {"UserIdGroupPairs": [{"GroupId": peer}]}
        for direction in ("ingress", "egress"):
            operation = f"authorize_security_group_{direction}"
            stacked.call("ec2", operation, GroupId=id_, IpPermissions=[rule])
    stacked.destroy()
    assert not any(stacked.live(name) for name in names)


def test_a_host_that_is_going_is_no_stranger(stacked: Account) -> None:
    stacked.call("ec2", "terminate_instances", InstanceIds=[stacked.live("server").id])
    made = stacked.call(
        "ec2",
        "create_network_interface",
        SubnetId=stacked.live("public_1").id,
        TagSpecifications=[
            {
                "ResourceType": "network-interface",
                "Tags": [OURS, {"Key": "flowstead:resource", "Value": "server"}],
            }
        ],
    )["NetworkInterface"]["NetworkInterfaceId"]
    planned = plan.destroy(stacked.unprotected(), stacked.open())
    assert "server" not in {change.resource.name for change in planned.changes}
    assert made in {one.id for one in planned.unknown}


def test_nothing_of_a_finished_deployment_is_unknown(stacked: Account) -> None:
    assert stacked.plan().unknown == ()
    assert plan.destroy(stacked.unprotected(), stacked.open()).unknown == ()


def lost_volume(account: Account) -> str:
    zone = account.live("public_1").facts["AvailabilityZone"]
    tags = [{"ResourceType": "volume", "Tags": [OURS]}]
    made = account.call("ec2", "create_volume", AvailabilityZone=zone, Size=1, TagSpecifications=tags)
    # On the host, and stays when the host goes.
    host = account.live("server").id
    account.call("ec2", "attach_volume", VolumeId=made["VolumeId"], InstanceId=host, Device="/dev/sdf")
    return str(made["VolumeId"])


def lost_address(account: Account) -> str:
    tags = [{"ResourceType": "elastic-ip", "Tags": [OURS]}]
    made = account.call("ec2", "allocate_address", Domain="vpc", TagSpecifications=tags)
    return str(made["AllocationId"])


def topic(account: Account) -> str:
    return str(account.call("sns", "create_topic", Name="older", Tags=[OURS])["TopicArn"]).rpartition(":")[2]


def bucket(account: Account) -> str:
    account.call("s3", "create_bucket", Bucket="the-logs")
    account.call("s3", "put_bucket_tagging", Bucket="the-logs", Tagging={"TagSet": [OURS]})
    return "the-logs"


def secret(account: Account) -> str:
    account.call("secretsmanager", "create_secret", Name="older", SecretString="{}", Tags=[OURS])
    return "older-"


UNKNOWN = (lost_volume, lost_address, topic, bucket, secret)


def test_what_carries_the_tag_and_is_unknown_is_a_notice(stacked: Account) -> None:
    names = [make(stacked) for make in UNKNOWN]
    planned = stacked.plan()
    assert planned.is_empty
    assert len(planned.notices) == len(names)
    assert [name for name in names if name not in "\n".join(planned.notices)] == []


def test_a_destroy_tells_what_it_leaves(stacked: Account) -> None:
    names = [make(stacked) for make in UNKNOWN]
    planned = stacked.destroy(keep_data=False)
    after = plan.left_by(planned, stacked.open()).unknown
    assert set(after) == set(planned.unknown)
    assert [name for name in names if name not in "\n".join(map(str, after))] == []


def test_a_destroy_that_leaves_nothing_shows_it(stacked: Account) -> None:
    assert plan.left_by(stacked.destroy(), stacked.open()).unknown == ()
    assert plan.destroy(stacked.unprotected(), stacked.open()).unknown == ()


def test_a_resource_that_lost_its_tag_is_told_of(stacked: Account) -> None:
    id_ = stacked.live("private_routes").id
    stacked.call("ec2", "delete_tags", Resources=[id_], Tags=[{"Key": "flowstead:resource"}])
    notices = "\n".join(stacked.plan().notices)
    assert f"{id_} carries flowstead:deployment=flowstead" in notices
    assert "it has no tag flowstead:resource" in notices


def test_what_another_deployment_has_is_not_told_of(stacked: Account) -> None:
    tags = [{"Key": "flowstead:deployment", "Value": "flowstead-2"}]
    specification = [{"ResourceType": "elastic-ip", "Tags": tags}]
    stacked.call("ec2", "allocate_address", Domain="vpc", TagSpecifications=specification)
    assert stacked.plan().unknown == ()


def test_backups_are_kept_and_no_notice(stacked: Account) -> None:
    disk = stacked.live("server").facts["VolumeId"]
    tags = [{"ResourceType": "snapshot", "Tags": [OURS]}]
    made = stacked.call("ec2", "create_snapshot", VolumeId=disk, TagSpecifications=tags)["SnapshotId"]
    assert stacked.plan().notices == ()
    planned = stacked.destroy()
    assert [text for text in planned.kept if made in text]
    assert planned.unknown == ()
