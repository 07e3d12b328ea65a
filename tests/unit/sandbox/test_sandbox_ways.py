"""What AWS is slow at, as short as a test likes it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from asking import TRUST, code_of
from typer.testing import CliRunner

from sandbox import cli
from sandbox.control import ControlServer, ask
from sandbox.corrections import profiles
from sandbox.daemon import Daemon
from sandbox.errors import SandboxError
from sandbox.files import Files
from sandbox.ways import WAYS

PROJECT = Path(__file__).resolve().parents[3]


def tagged(kind, name):
    return [{"ResourceType": kind, "Tags": [{"Key": "of", "Value": name}]}]


def make_vpc(ec2, name):
    vpc = ec2.create_vpc(CidrBlock="10.81.0.0/16", TagSpecifications=tagged("vpc", name))["Vpc"]
    return vpc["VpcId"]


def make_gateway(ec2, name):
    made = ec2.create_internet_gateway(TagSpecifications=tagged("internet-gateway", name))
    return made["InternetGateway"]["InternetGatewayId"]


def make_address(ec2, name):
    return ec2.allocate_address(Domain="vpc", TagSpecifications=tagged("elastic-ip", name))["AllocationId"]


KINDS = {
    "Vpcs": (make_vpc, "describe_vpcs", "VpcId"),
    "InternetGateways": (make_gateway, "describe_internet_gateways", "InternetGatewayId"),
    "Addresses": (make_address, "describe_addresses", "AllocationId"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_lacks_what_was_just_made(client, pace, unique, kind):
    ec2, tagging = client("ec2"), client("resourcegroupstaggingapi")
    make, describe, own = KINDS[kind]
    pace.set({"lists": 5})
    old = make(ec2, unique)
    pace.go_on(5)
    new = make(ec2, unique)

    def listed(**asked):
        return {item[own] for item in getattr(ec2, describe)(**asked)[kind]}

    def found_by_tag():
        answer = tagging.get_resources(TagFilters=[{"Key": "of", "Values": [unique]}])
        return {item["ResourceARN"].rpartition("/")[2] for item in answer["ResourceTagMappingList"]}

    by_tag = [{"Name": "tag:of", "Values": [unique]}]
    assert listed(Filters=by_tag) == {old}
    assert new not in found_by_tag()
    assert listed(**{f"{own}s": [new]}) == {new}
    pace.go_on(5)
    assert listed(Filters=by_tag) == {old, new}


def test_hosts_are_listed_and_speak_late(cloud, client, pace, network):
    ec2, asked = client("ec2"), len(cloud.infrastructure.hosts.asked)
    pace.set({"lists": 5, "console-output": 150})
    image = ec2.describe_images(Owners=["136693071363"])["Images"][0]
    (host,) = ec2.run_instances(
        ImageId=image["ImageId"],
        InstanceType="t3.small" if image["Architecture"] == "x86_64" else "t4g.small",
        MinCount=1,
        MaxCount=1,
        SubnetId=network.subnets[0],
    )["Instances"]
    in_vpc = [{"Name": "vpc-id", "Values": [network.vpc]}]
    assert ec2.describe_instances(Filters=in_vpc)["Reservations"] == []
    ec2.get_console_output(InstanceId=host["InstanceId"])
    assert "console" not in cloud.infrastructure.hosts.names()[asked:]
    pace.go_on(150)
    ec2.get_console_output(InstanceId=host["InstanceId"])
    assert "console" in cloud.infrastructure.hosts.names()[asked:]
    assert len(ec2.describe_instances(Filters=in_vpc)["Reservations"]) == 1


def test_secrets_are_listed_as_they_were_five_minutes_ago(client, pace, unique):
    secrets = client("secretsmanager")

    def listed():
        filters = [{"Key": "name", "Values": [unique]}]
        return {
            item["Name"]: item.get("Tags", []) for item in secrets.list_secrets(Filters=filters)["SecretList"]
        }

    pace.set({"secrets": 300})
    secrets.create_secret(Name=unique, SecretString="s")
    assert listed() == {}
    assert secrets.describe_secret(SecretId=unique)["Name"] == unique
    pace.go_on(300)
    assert listed() == {unique: []}
    secrets.tag_resource(SecretId=unique, Tags=[{"Key": "a", "Value": "b"}])
    pace.go_on(200)
    secrets.delete_secret(SecretId=unique, ForceDeleteWithoutRecovery=True)
    assert listed() == {unique: []}
    pace.go_on(100)
    assert listed() == {unique: [{"Key": "a", "Value": "b"}]}
    pace.go_on(200)
    assert listed() == {}


def test_rds_cannot_create_until_it_has_its_role(client, pace, network, unique):
    rds = client("rds")
    group = {"DBSubnetGroupDescription": "d", "SubnetIds": network.subnets}
    pace.set({"service-linked-role": 15})
    for name in ("a", "b"):
        refused = code_of(rds.create_db_subnet_group, DBSubnetGroupName=f"{unique}-{name}", **group)
        assert refused == "InvalidParameterValue"
    pace.go_on(15)
    rds.create_db_subnet_group(DBSubnetGroupName=unique, **group)


def test_rds_makes_its_role_only_for_whoever_may_make_it(client, pace, network, unique):
    """What the operator's policy says of it, and what it would be without that."""
    document = json.loads((PROJECT / "docs/operator_policy.json").read_text(encoding="utf-8"))
    (statement,) = [one for one in document["Statement"] if one["Action"] == "iam:CreateServiceLinkedRole"]
    (condition,) = statement["Condition"]["StringEquals"].items()
    assert condition == ("iam:AWSServiceName", "rds.amazonaws.com")
    iam = client("iam")
    iam.create_user(UserName=unique)
    key = iam.create_access_key(UserName=unique)["AccessKey"]
    rds = client("rds", (key["AccessKeyId"], key["SecretAccessKey"]))
    group = {
        "DBSubnetGroupName": unique,
        "DBSubnetGroupDescription": "d",
        "SubnetIds": network.subnets,
    }
    pace.set({"service-linked-role": 15})
    others = [one for one in document["Statement"] if one is not statement]
    of_another = {**statement, "Condition": {"StringEquals": {"iam:AWSServiceName": "ecs.amazonaws.com"}}}
    for number, statements in enumerate((others, [*others, of_another], document["Statement"])):
        policy = json.dumps({**document, "Statement": statements})
        arn = iam.create_policy(PolicyName=f"{unique}-{number}", PolicyDocument=policy)["Policy"]["Arn"]
        iam.attach_user_policy(UserName=unique, PolicyArn=arn)
        assert code_of(rds.create_db_subnet_group, **group) == "InvalidParameterValue"
        pace.go_on(15)
        if statements is document["Statement"]:
            rds.create_db_subnet_group(**group)
        else:
            assert code_of(rds.create_db_subnet_group, **group) == "InvalidParameterValue"
        iam.detach_user_policy(UserName=unique, PolicyArn=arn)


def test_a_profile_is_unknown_for_as_long_as_a_test_wants(client, pace, unique, monkeypatch):
    monkeypatch.setattr(profiles, "DELAY_S", 0.0)
    iam, ec2 = client("iam"), client("ec2")
    iam.create_role(RoleName=unique, AssumeRolePolicyDocument=TRUST)
    iam.create_instance_profile(InstanceProfileName=unique)
    iam.add_role_to_instance_profile(InstanceProfileName=unique, RoleName=unique)
    wanted = {"IamInstanceProfile": {"Name": unique}, "InstanceId": "i-0123456789abcdef0"}
    pace.set({"instance-profile": 3600})
    assert code_of(ec2.associate_iam_instance_profile, **wanted) == "InvalidParameterValue"
    pace.set({"instance-profile": 0})
    assert code_of(ec2.associate_iam_instance_profile, **wanted) == "InvalidInstanceID.NotFound"


@pytest.mark.usefixtures("pace")
def test_the_shell_changes_single_ways(tmp_path, monkeypatch):
    files = Files("ways", tmp_path)
    files.directory.mkdir()
    files.write_daemon({})
    monkeypatch.setattr(cli, "Files", lambda _: files)
    daemon = Daemon(files)
    server = ControlServer(files.socket, lambda request: daemon._control(None, request))
    server.start()

    def shown(*changes):
        result = CliRunner().invoke(cli.app, ["ways", *changes], catch_exceptions=False)
        return {line.split()[0]: float(line.split()[1]) for line in result.output.splitlines()}

    usual = {name: way.usual for name, way in WAYS.items()}
    assert shown("lists=2", "secrets=0.5") == usual | {"lists": 2, "secrets": 0.5}
    for wrong in ("list=1", "lists=-1", "lists=soon", "lists"):
        with pytest.raises(SandboxError):
            shown(wrong)
    ask(files.socket, {"do": "ways", "slow": True})
    assert shown() == {name: way.slow or way.usual for name, way in WAYS.items()}
    server.shutdown()
    server.server_close()


def test_the_manual_lists_the_ways():
    manual = Path(__file__).parents[3] / "docs" / "sandbox.md"
    table = manual.read_text(encoding="utf-8").partition("| way |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `([a-z-]+)`", table, re.MULTILINE) == list(WAYS)
