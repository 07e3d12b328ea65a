"""What carries the deployment's tags and is wanted no more: shown, and removed; data only by name."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from provisioner.engine import order, plan
from provisioner.engine.apply import apply
from provisioner.errors import UsageError
from provisioner.resources.base import Resource
from provisioner.resources.kinds import BY_LISTING, KINDS
from tests.unit.provisioner.moto_account import REGION, Account, changes

PREFIX = f"flowstead-flowstead-{REGION}"


def tags(name: str) -> list[dict[str, str]]:
    of = {"flowstead:deployment": "flowstead", "flowstead:resource": name}
    return [{"Key": key, "Value": value} for key, value in of.items()]


def tagged(kind: str, name: str) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": tags(name)}]


def subnet(account: Account) -> str:
    made = account.call(
        "ec2",
        "create_subnet",
        VpcId=account.live("network").id,
        CidrBlock="10.80.200.0/24",
        TagSpecifications=tagged("subnet", "public_3"),
    )
    return str(made["Subnet"]["SubnetId"])


def network(account: Account) -> str:
    """Make a whole second network, with a host in it."""
    ec2 = account.user.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16", TagSpecifications=tagged("vpc", "older_network"))["Vpc"][
        "VpcId"
    ]
    inside = ec2.create_subnet(
        VpcId=vpc, CidrBlock="10.9.0.0/24", TagSpecifications=tagged("subnet", "older_subnet")
    )["Subnet"]["SubnetId"]
    gateway = ec2.create_internet_gateway(TagSpecifications=tagged("internet-gateway", "older_gateway"))
    gateway_id = gateway["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway_id, VpcId=vpc)
    table = ec2.create_route_table(VpcId=vpc, TagSpecifications=tagged("route-table", "older_routes"))
    ec2.associate_route_table(RouteTableId=table["RouteTable"]["RouteTableId"], SubnetId=inside)
    group = ec2.create_security_group(
        GroupName="older",
        Description="older",
        VpcId=vpc,
        TagSpecifications=tagged("security-group", "older_firewall"),
    )["GroupId"]
    host = ec2.run_instances(
        ImageId="ami-00000000000000001",
        MinCount=1,
        MaxCount=1,
        SubnetId=inside,
        SecurityGroupIds=[group],
        TagSpecifications=tagged("instance", "server_2"),
    )["Instances"][0]["InstanceId"]
    address = ec2.allocate_address(Domain="vpc", TagSpecifications=tagged("elastic-ip", "older_address"))
    ec2.associate_address(AllocationId=address["AllocationId"], InstanceId=host)
    return str(vpc)


def role(account: Account, prefix: str = PREFIX) -> str:
    """Make a role as an older version may have made it, with its profile."""
    name, iam = f"{prefix}-older", account.user.client("iam")
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, Tags=tags("older_role"))
    statement = {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=policy)
    iam.create_instance_profile(InstanceProfileName=name, Tags=tags("older_profile"))
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    return name


def parameters(account: Account) -> str:
    """Make the parameter group of another major version: its tags are those of today's."""
    account.call(
        "rds",
        "create_db_parameter_group",
        DBParameterGroupName="flowstead-flowstead-database-parameters-postgres16",
        DBParameterGroupFamily="postgres16",
        Description="older",
        Tags=tags("database_parameters"),
    )
    return "flowstead-flowstead-database-parameters-postgres16"


def database(account: Account) -> str:
    account.call(
        "rds",
        "create_db_instance",
        DBInstanceIdentifier="older",
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
        MasterUsername="somebody",
        MasterUserPassword="something-long",
        AllocatedStorage=20,
        DeletionProtection=True,
        Tags=tags("older_database"),
    )
    return "older"


def secret(account: Account) -> str:
    account.call(
        "secretsmanager", "create_secret", Name="older", SecretString="{}", Tags=tags("secret_older")
    )
    return "older"


def bucket(account: Account) -> str:
    s3 = account.user.client("s3")
    s3.create_bucket(Bucket="older-artifacts")
    s3.put_bucket_tagging(Bucket="older-artifacts", Tagging={"TagSet": tags("artifacts")})
    s3.put_object(Bucket="older-artifacts", Key="model", Body=b"model")
    return "older-artifacts"


GOING: dict[Callable[[Account], str], set[str]] = {
    subnet: {"public_3"},
    parameters: {"database_parameters"},
    network: {
        *("server_2", "older_address", "older_firewall", "older_routes", "older_gateway"),
        *("older_subnet", "older_network"),
    },
}
DATA = (database, secret, bucket)


@pytest.mark.parametrize("make", GOING)
def test_what_nothing_wants_is_shown_and_removed(stacked: Account, make: Callable[[Account], str]) -> None:
    make(stacked)
    planned = stacked.plan()
    assert changes(planned) == dict.fromkeys(GOING[make], "delete")
    stacked.apply()
    again = stacked.plan()
    assert again.is_empty
    assert again.notices == ()


def test_dependents_go_first(stacked: Account) -> None:
    network(stacked)
    log = list[str]()
    stacked.hooks.append(lambda when, name: log.append(name) if when == "before" else None)
    stacked.apply()
    own = {name: position for position, name in enumerate(log)}
    assert own["ReleaseAddress"] < own["TerminateInstances"] < own["DeleteSecurityGroup"]
    assert own["DeleteSecurityGroup"] < own["DeleteRouteTable"] < own["DeleteInternetGateway"]
    assert own["DeleteInternetGateway"] < own["DeleteSubnet"] < own["DeleteVpc"]


def test_what_goes_with_other_changes_goes_after_them(stacked: Account) -> None:
    """A group that the database has until then is refused by EC2 before."""
    older = stacked.call(
        "ec2",
        "create_security_group",
        GroupName="older",
        Description="older",
        VpcId=stacked.live("network").id,
        TagSpecifications=tagged("security-group", "older_firewall"),
    )["GroupId"]
    stacked.call(
        "rds", "modify_db_instance", DBInstanceIdentifier="flowstead-flowstead", VpcSecurityGroupIds=[older]
    )
    log = list[str]()
    stacked.hooks.append(lambda when, name: log.append(name) if when == "before" else None)
    stacked.apply()
    assert log.index("ModifyDBInstance") < log.index("DeleteSecurityGroup")
    assert stacked.plan().is_empty


def test_another_of_its_kind_finds_the_addresses_free(stacked: Account) -> None:
    """A subnet that was renamed: the new one has the addresses of the old one."""
    id_ = stacked.live("public_2").id
    stacked.call(
        "ec2", "create_tags", Resources=[id_], Tags=[{"Key": "flowstead:resource", "Value": "front"}]
    )
    planned = stacked.plan()
    assert changes(planned) == {"public_2": "create", "front": "delete", "public_routes": "update"}
    needs = order.needs(planned)
    by_name = {one.name: one for one in needs}
    assert by_name["front"] in needs[by_name["public_2"]]
    stacked.apply()
    assert stacked.live("public_2").id != id_
    assert stacked.plan().is_empty


@pytest.mark.parametrize("make", DATA)
def test_data_stays_until_it_is_named(stacked: Account, make: Callable[[Account], str]) -> None:
    id_ = make(stacked)
    planned = stacked.plan()
    assert planned.is_empty
    (notice,) = planned.notices
    assert f"({id_}) is no longer wanted, and stays: it holds data" in notice
    assert f"provision.py --remove {id_}" in notice
    aws = stacked.open()
    named = plan.make(stacked.graph(), aws, {id_})
    assert [change.live.id for change in named.changes if change.action == "delete" and change.live] == [id_]
    apply(named, aws)
    again = stacked.plan()
    assert again.is_empty
    assert again.notices == ()


def test_a_database_that_goes_by_name_leaves_a_snapshot(stacked: Account) -> None:
    aws = stacked.open()
    planned = plan.make(stacked.graph(), aws, {database(stacked)})
    (notice,) = planned.notices
    assert notice == f"final snapshot older-final-{planned.teardown.stamp} of database older is kept"
    apply(planned, aws)
    names = [
        one["DBSnapshotIdentifier"] for one in stacked.call("rds", "describe_db_snapshots")["DBSnapshots"]
    ]
    assert [name for name in names if name.startswith("older-final-")]


@pytest.mark.parametrize("name", ["flowstead-flowstead", "public_3", "nothing"])
def test_a_name_that_is_wanted_or_not_there_is_a_mistake(stacked: Account, name: str) -> None:
    subnet(stacked)
    database(stacked)
    with pytest.raises(UsageError, match=rf"--remove {name}.*there is older"):
        plan.make(stacked.graph(), stacked.open(), {name})


def test_a_role_goes_with_the_next_change(stacked: Account) -> None:
    """IAM's lists are asked only when there is something else to do."""
    name = role(stacked)
    assert stacked.plan().is_empty
    wanted = {"server": {"volume_gib": 40}}
    assert changes(stacked.plan(**wanted)) == {
        "server": "update",
        "older_role": "delete",
        "older_profile": "delete",
    }
    stacked.apply(**wanted)
    assert name not in {one["RoleName"] for one in stacked.call("iam", "list_roles")["Roles"]}


def test_roles_of_another_region_or_deployment_are_left_alone(stacked: Account) -> None:
    elsewhere = role(stacked, "flowstead-flowstead-eu-west-3")
    longer = f"{PREFIX}-{REGION}-server"
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    theirs = [{"Key": "flowstead:deployment", "Value": f"flowstead-{REGION}"}]
    stacked.call("iam", "create_role", RoleName=longer, AssumeRolePolicyDocument=trust, Tags=theirs)
    stacked.destroy()
    assert {elsewhere, longer} <= {one["RoleName"] for one in stacked.call("iam", "list_roles")["Roles"]}


def test_destroy_takes_all_of_it_along_but_data(stacked: Account) -> None:
    for make in (*GOING, role):
        make(stacked)
    ids = [make(stacked) for make in DATA]
    planned = stacked.destroy(keep_data=False)
    kept = "\n".join(planned.kept)
    assert [id_ for id_ in ids if f"({id_}) is no longer wanted, and stays" not in kept] == []
    assert plan.left_by(planned, stacked.open()).unknown == ()
    assert not [one for one in stacked.call("ec2", "describe_vpcs")["Vpcs"] if not one["IsDefault"]]
    assert not [
        one for one in stacked.call("iam", "list_roles")["Roles"] if one["RoleName"].startswith(PREFIX)
    ]
    assert stacked.call("s3", "get_object", Bucket="older-artifacts", Key="model")["Body"].read() == b"model"


def test_in_a_destroy_it_goes_between_what_is_wanted(stacked: Account) -> None:
    subnet(stacked)
    needs = order.needs(plan.destroy(stacked.unprotected(), stacked.open()))
    by_name = {one.name: one for one in needs}
    assert by_name["server"] in needs[by_name["public_3"]]
    assert by_name["public_3"] in needs[by_name["network"]]


def test_destroy_takes_data_that_is_named(stacked: Account) -> None:
    aws = stacked.open()
    planned = plan.destroy(stacked.unprotected(), aws, remove={bucket(stacked), database(stacked)})
    kept = "\n".join(planned.kept)
    assert "bucket older" not in kept
    assert "final snapshot older-final-" in kept
    apply(planned, aws)
    assert [one["Name"] for one in stacked.call("s3", "list_buckets")["Buckets"]] == [
        "flowstead-123456789012-us-east-1"
    ]
    assert stacked.call("rds", "describe_db_instances")["DBInstances"] == []


def test_what_the_lists_still_show_and_is_gone_is_nothing(stacked: Account) -> None:
    """Lists lag: what they show is looked at."""
    id_ = subnet(stacked)
    shown = stacked.call("ec2", "describe_tags")["Tags"]
    stacked.call("ec2", "delete_subnet", SubnetId=id_)

    def lag(name: str, answer: dict[str, Any]) -> None:
        if name == "DescribeTags":
            answer["Tags"] = shown

    stacked.edits.append(lag)
    planned = stacked.plan()
    assert planned.is_empty
    assert planned.notices == ()


def test_what_is_wanted_and_not_listed_yet_is_not_removed(stacked: Account) -> None:
    """The list of subnets lags, and the list of tags does not."""

    def lag(name: str, answer: dict[str, Any]) -> None:
        if name == "DescribeSubnets":
            answer["Subnets"] = [one for one in answer["Subnets"] if one["CidrBlock"] != "10.80.1.0/24"]

    id_ = stacked.live("public_2").id
    assert stacked.live("public_2").facts["CidrBlock"] == "10.80.1.0/24"
    stacked.edits.append(lag)
    planned = stacked.plan()
    assert "delete" not in changes(planned).values()
    assert id_ in {one.id for one in planned.unknown}


def test_a_second_removal_is_no_error(stacked: Account) -> None:
    network(stacked)
    aws = stacked.open()
    planned = stacked.plan()
    apply(planned, aws)
    apply(planned, aws)
    assert stacked.plan().is_empty


def kinds(of: type[Resource]) -> set[type[Resource]]:
    found = {one for kind in of.__subclasses__() for one in kinds(kind)}
    return found or {of}


def test_every_kind_can_be_left_over() -> None:
    made = {
        kind for kind in kinds(Resource) if kind.__module__.startswith("provisioner.") and not kind.looked_up
    }
    assert set(KINDS) == made
    assert {kind for listed in BY_LISTING.values() for kind in listed} == made


def test_kinds_go_in_the_order_that_resources_do(account: Account) -> None:
    wanted = {"network": {"flow_logs": "s3://logs"}, "database": {"monitoring_s": 60}}
    aurora = {"database": {"engine": "aurora-postgresql", "monitoring_s": 60}}
    for resource in (*account.graph(**wanted), *account.graph(**aurora)):
        for need in order.all_needs(resource):
            if not (resource.looked_up or need.looked_up):
                assert KINDS.index(type(resource)) <= KINDS.index(type(need)), (resource, need)


def test_no_order_is_a_circle(stacked: Account) -> None:
    """A leftover subnet waits for the group of subnets, which waits for the new one: AWS decides."""
    id_ = stacked.live("private_2").id
    stacked.call("ec2", "create_tags", Resources=[id_], Tags=[{"Key": "flowstead:resource", "Value": "back"}])
    planned = stacked.plan()
    needs = order.needs(planned)
    by_name = {one.name: one for one in needs}
    assert by_name["database_subnets"] in needs[by_name["back"]]
    assert by_name["back"] not in needs[by_name["private_2"]]
