"""What drifted is shown with old and new, and set right."""

from collections.abc import Callable
from typing import Any

import pytest

from provisioner.errors import DriftError, FlowsteadError
from tests.unit.provisioner.moto_account import Account, changes, image, settings

SSH_FROM_EVERYWHERE = [
    {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
]
EVERYTHING = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
ANYBODY = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'

EVERY_BUCKET = (
    '{"Version": "2008-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*",'
    ' "Resource": "*"}]}'
)
OTHERS = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "210987654321"},'
    ' "Action": "secretsmanager:GetSecretValue", "Resource": "*"}]}'
)

By = Callable[[Account, Any], Any]


def dns_off(account: Account, live: Any) -> None:
    account.call("ec2", "modify_vpc_attribute", VpcId=live.id, EnableDnsHostnames={"Value": False})
    account.call("ec2", "modify_vpc_attribute", VpcId=live.id, EnableDnsSupport={"Value": False})


def detached(account: Account, live: Any) -> None:
    vpc_id = live.facts["Attachments"][0]["VpcId"]
    account.call("ec2", "detach_internet_gateway", InternetGatewayId=live.id, VpcId=vpc_id)


def without_subnet(account: Account, live: Any) -> None:
    association = next(item for item in live.facts["Associations"] if item.get("SubnetId"))
    account.call("ec2", "disassociate_route_table", AssociationId=association["RouteTableAssociationId"])


def without_profile(account: Account, live: Any) -> None:
    answer = account.call("ec2", "describe_iam_instance_profile_associations")
    association_id = answer["IamInstanceProfileAssociations"][0]["AssociationId"]
    account.call("ec2", "disassociate_iam_instance_profile", AssociationId=association_id)
    del live


def default_group(account: Account, live: Any) -> None:
    filters = [
        {"Name": "vpc-id", "Values": [live.facts["VpcId"]]},
        {"Name": "group-name", "Values": ["default"]},
    ]
    groups = account.call("ec2", "describe_security_groups", Filters=filters)["SecurityGroups"]
    account.call("ec2", "modify_instance_attribute", InstanceId=live.id, Groups=[groups[0]["GroupId"]])


def remade_profile(account: Account, live: Any) -> None:
    """Delete and make it again: it has the earlier name and ARN, and another id."""
    role = live.facts["Roles"][0]["RoleName"]
    account.call("iam", "remove_role_from_instance_profile", InstanceProfileName=live.id, RoleName=role)
    account.call("iam", "delete_instance_profile", InstanceProfileName=live.id)
    tags = [{"Key": key, "Value": value} for key, value in live.tags.items()]
    account.call("iam", "create_instance_profile", InstanceProfileName=live.id, Tags=tags)
    account.call("iam", "add_role_to_instance_profile", InstanceProfileName=live.id, RoleName=role)


def with_acls(account: Account, live: Any) -> None:
    rules = [{"ObjectOwnership": "ObjectWriter"}]
    account.call("s3", "put_bucket_ownership_controls", Bucket=live.id, OwnershipControls={"Rules": rules})
    account.call("s3", "put_bucket_acl", Bucket=live.id, ACL="public-read")


def untag(account: Account, id_: str) -> None:
    account.call("ec2", "delete_tags", Resources=[id_], Tags=[{"Key": "flowstead:deployment"}])


DRIFT: dict[str, tuple[str, str, By]] = {
    "DNS off": ("network", "enableDnsSupport", dns_off),
    "gateway detached": ("internet_gateway", "attached to", detached),
    "route to the internet gone": (
        "public_routes",
        "route to 0.0.0.0/0",
        lambda a, live: a.call("ec2", "delete_route", RouteTableId=live.id, DestinationCidrBlock="0.0.0.0/0"),
    ),
    "private subnets let out": (
        "private_routes",
        "route to 0.0.0.0/0",
        lambda a, live: a.call(
            "ec2",
            "create_route",
            RouteTableId=live.id,
            DestinationCidrBlock="0.0.0.0/0",
            GatewayId=a.live("internet_gateway").id,
        ),
    ),
    "subnet without its table": ("private_routes", "subnets without it", without_subnet),
    "S3 endpoint without a table": (
        "s3_endpoint",
        "route tables",
        lambda a, live: a.call(
            "ec2",
            "modify_vpc_endpoint",
            VpcEndpointId=live.id,
            RemoveRouteTableIds=live.facts["RouteTableIds"][:1],
        ),
    ),
    "S3 endpoint open to all buckets": (
        "s3_endpoint",
        "policy",
        lambda a, live: a.call(
            "ec2", "modify_vpc_endpoint", VpcEndpointId=live.id, PolicyDocument=EVERY_BUCKET
        ),
    ),
    "port opened by hand": (
        "server_firewall",
        "rule tcp 22 from 0.0.0.0/0",
        lambda a, live: a.call(
            "ec2", "authorize_security_group_ingress", GroupId=live.id, IpPermissions=SSH_FROM_EVERYWHERE
        ),
    ),
    "port closed by hand": (
        "server_firewall",
        "rule tcp 443 from 203.0.113.7/32",
        lambda a, live: a.call(
            "ec2",
            "revoke_security_group_ingress",
            GroupId=live.id,
            IpPermissions=live.facts["IpPermissions"],
        ),
    ),
    "database let out": (
        "database_firewall",
        "rule all protocols all ports to 0.0.0.0/0",
        lambda a, live: a.call(
            "ec2", "authorize_security_group_egress", GroupId=live.id, IpPermissions=EVERYTHING
        ),
    ),
    "host stopped": (
        "server",
        "state",
        lambda a, live: a.call("ec2", "stop_instances", InstanceIds=[live.id]),
    ),
    "IMDSv1 allowed": (
        "server",
        "metadata HttpTokens",
        lambda a, live: a.call(
            "ec2", "modify_instance_metadata_options", InstanceId=live.id, HttpTokens="optional"
        ),
    ),
    "host in another group": ("server", "security groups", default_group),
    "host without its role": ("server", "instance profile", without_profile),
    "address not the host's": (
        "server_address",
        "instance",
        lambda a, live: a.call("ec2", "disassociate_address", AssociationId=live.facts["AssociationId"]),
    ),
    "role may do more": (
        "server_role",
        "policy",
        lambda a, live: a.call(
            "iam", "put_role_policy", RoleName=live.id, PolicyName="flowstead", PolicyDocument=ANYBODY
        ),
    ),
    "role has another policy": (
        "server_role",
        "policy more",
        lambda a, live: a.call(
            "iam", "put_role_policy", RoleName=live.id, PolicyName="more", PolicyDocument=ANYBODY
        ),
    ),
    "role has a managed policy": (
        "server_role",
        "policy arn:aws:iam::123456789012:policy/more",
        lambda a, live: a.call(
            "iam",
            "attach_role_policy",
            RoleName=live.id,
            PolicyArn=a.call("iam", "create_policy", PolicyName="more", PolicyDocument=ANYBODY)["Policy"][
                "Arn"
            ],
        ),
    ),
    "server's role for EC2": (
        "artifacts_role",
        "trust policy",
        lambda a, live: a.call(
            "iam",
            "update_assume_role_policy",
            RoleName=live.id,
            PolicyDocument='{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action":'
            ' "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}]}',
        ),
    ),
    "role for others": (
        "server_role",
        "trust policy",
        lambda a, live: a.call(
            "iam",
            "update_assume_role_policy",
            RoleName=live.id,
            PolicyDocument=live.facts["AssumeRolePolicyDocument"]
            and '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",'
            ' "Principal": {"AWS": "*"}}]}',
        ),
    ),
    "profile without its role": (
        "server_profile",
        "role",
        lambda a, live: a.call(
            "iam", "remove_role_from_instance_profile", InstanceProfileName=live.id, RoleName=live.id
        ),
    ),
    "versioning off": (
        "artifacts",
        "versioning",
        lambda a, live: a.call(
            "s3", "put_bucket_versioning", Bucket=live.id, VersioningConfiguration={"Status": "Suspended"}
        ),
    ),
    "ACLs on, and one for everybody": ("artifacts", "ownership of objects", with_acls),
    "public access": (
        "artifacts",
        "public access",
        lambda a, live: a.call("s3", "delete_public_access_block", Bucket=live.id),
    ),
    "artifacts under another's key": (
        "artifacts",
        "encryption",
        lambda a, live: a.call(
            "s3",
            "put_bucket_encryption",
            Bucket=live.id,
            ServerSideEncryptionConfiguration={
                "Rules": [
                    {
                        "ApplyServerSideEncryptionByDefault": {
                            "SSEAlgorithm": "aws:kms",
                            "KMSMasterKeyID": "arn:aws:kms:us-east-1:210987654321:key/theirs",
                        }
                    }
                ]
            },
        ),
    ),
    "no lifecycle": (
        "artifacts",
        "days that overwritten artifacts are kept",
        lambda a, live: a.call("s3", "delete_bucket_lifecycle", Bucket=live.id),
    ),
    "bucket without tags": (
        "artifacts",
        "tag flowstead:deployment",
        lambda a, live: a.call("s3", "delete_bucket_tagging", Bucket=live.id),
    ),
    "force_ssl off": (
        "database_parameters",
        "rds.force_ssl",
        lambda a, live: a.call(
            "rds",
            "modify_db_parameter_group",
            DBParameterGroupName=live.id,
            Parameters=[
                {"ParameterName": "rds.force_ssl", "ParameterValue": "0", "ApplyMethod": "immediate"}
            ],
        ),
    ),
    "database unprotected": (
        "database",
        "DeletionProtection",
        lambda a, live: a.call(
            "rds", "modify_db_instance", DBInstanceIdentifier=live.id, DeletionProtection=False
        ),
    ),
    "database stopped": (
        "database",
        "state",
        lambda a, live: a.call("rds", "stop_db_instance", DBInstanceIdentifier=live.id),
    ),
    "secret open to others": (
        "secret_server_keys",
        "resource policy",
        lambda a, live: a.call(
            "secretsmanager", "put_resource_policy", SecretId=live.id, ResourcePolicy=OTHERS
        ),
    ),
    "secret without a policy": (
        "secret_tls_ca",
        "resource policy",
        lambda a, live: a.call("secretsmanager", "delete_resource_policy", SecretId=live.id),
    ),
    "a host that may run up a bill": (
        "server",
        "CPU credits",
        lambda a, live: a.call(
            "ec2",
            "modify_instance_credit_specification",
            InstanceCreditSpecifications=[{"InstanceId": live.id, "CpuCredits": "unlimited"}],
        ),
    ),
    "packets of others": (
        "server",
        "source/destination check",
        lambda a, live: a.call(
            "ec2", "modify_instance_attribute", InstanceId=live.id, SourceDestCheck={"Value": False}
        ),
    ),
    "public addresses in a private subnet": (
        "private_1",
        "public addresses",
        lambda a, live: a.call(
            "ec2", "modify_subnet_attribute", SubnetId=live.id, MapPublicIpOnLaunch={"Value": True}
        ),
    ),
    "disk without a tag": (
        "server",
        "tag flowstead:deployment of {VolumeId}",
        lambda a, live: untag(a, live.facts["VolumeId"]),
    ),
    "interface without a tag": (
        "server",
        "tag flowstead:deployment of {NetworkInterfaces[0][NetworkInterfaceId]}",
        lambda a, live: untag(a, live.facts["NetworkInterfaces"][0]["NetworkInterfaceId"]),
    ),
    "subnet group without a tag": (
        "database_subnets",
        "tag Name",
        lambda a, live: a.call("rds", "remove_tags_from_resource", ResourceName=live.arn, TagKeys=["Name"]),
    ),
    "secret going": (
        "secret_admin",
        "state",
        lambda a, live: a.call("secretsmanager", "delete_secret", SecretId=live.id, RecoveryWindowInDays=7),
    ),
}


def test_all_drift_is_shown_and_set_right(stacked: Account) -> None:
    lives = {resource: stacked.live(resource) for resource, _, _ in DRIFT.values()}
    for resource, _, happen in DRIFT.values():
        happen(stacked, lives[resource])
    planned = stacked.plan()
    for name, (resource, setting, _) in DRIFT.items():
        assert setting.format(**lives[resource].facts) in settings(planned, resource), name
    stacked.apply()
    assert stacked.plan().is_empty


@pytest.mark.slow
@pytest.mark.parametrize("name", DRIFT)
def test_drift_is_shown_and_set_right(stacked: Account, name: str) -> None:
    resource, setting, happen = DRIFT[name]
    live = stacked.live(resource)
    happen(stacked, live)
    planned = stacked.plan()
    assert changes(planned)[resource] == "update"
    assert setting.format(**live.facts) in settings(planned, resource)
    stacked.apply()
    assert stacked.plan().is_empty


CHANGED: dict[str, tuple[str, dict[str, Any]]] = {
    "instance type": ("server", {"server": {"instance_type": "t3.medium"}}),
    "disk": ("server", {"server": {"volume_gib": 40}}),
    "class": ("database", {"database": {"multi_az": True}}),
    "backups": ("database", {"database": {"backup_days": 14}}),
    "storage": ("database", {"database": {"storage_gib": 40}}),
    "old versions": ("artifacts", {"artifacts": {"noncurrent_days": 90}}),
    "age of backups": ("artifacts", {"backups": {"keep_days": 90}}),
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_changed_setting_is_applied(stacked: Account, name: str) -> None:
    resource, wanted = CHANGED[name]
    assert changes(stacked.plan(**wanted)) == {resource: "update"}
    stacked.apply(**wanted)
    assert stacked.plan(**wanted).is_empty


FOR_EVER: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "network": (
        "VPC network",
        "10.80.0.0/16",
        "10.80.0.0/17",
        {"network": {"cidr": "10.80.0.0/17"}},
    ),
    "subnet": (
        "subnet private_2",
        "10.80.11.0/24",
        "10.80.12.0/24",
        {"network": {"private_subnets": ["10.80.10.0/24", "10.80.12.0/24"]}},
    ),
    "image": (
        "instance server",
        "debian-13",
        "amazon-linux-2023",
        {"server": {"image": "amazon-linux-2023"}},
    ),
    "smaller disk": ("instance server", "20", "10", {"server": {"volume_gib": 10}}),
    "key": (
        "key pair ssh_key",
        "ssh-ed25519",
        "ssh-ed25519 ",
        {"public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl x"},
    ),
    "older engine": ("database database", "17", "15", {"database": {"engine_version": "15"}}),
}


@pytest.mark.parametrize("name", FOR_EVER)
def test_what_cannot_change_is_an_error_with_old_and_new(stacked: Account, name: str) -> None:
    resource, old, new, wanted = FOR_EVER[name]
    with pytest.raises(DriftError) as caught:
        stacked.apply(**wanted)
    text = str(caught.value)
    assert resource in text
    assert old in text
    assert new in text
    assert not [call for call in stacked.calls if not call.startswith(("Describe", "Get", "List", "Head"))]


def test_all_that_cannot_change_is_said_at_once(stacked: Account) -> None:
    with pytest.raises(FlowsteadError, match=r"(?s)2 things failed.*VPC network.*instance server"):
        stacked.plan(network={"cidr": "10.80.0.0/17"}, server={"image": "amazon-linux-2023"})


def test_a_profile_made_anew_is_given_to_the_host(stacked: Account) -> None:
    remade_profile(stacked, stacked.live("server_profile"))
    planned = stacked.plan()
    assert settings(planned, "server") == {"instance profile"}
    stacked.apply()
    assert stacked.plan().is_empty


def test_a_route_of_others_is_a_notice(stacked: Account) -> None:
    stacked.call(
        "ec2",
        "create_route",
        RouteTableId=stacked.live("private_routes").id,
        DestinationCidrBlock="192.0.2.0/24",
        GatewayId=stacked.live("internet_gateway").id,
    )
    planned = stacked.plan()
    assert planned.is_empty
    (notice,) = planned.notices
    assert "has a route to 192.0.2.0/24 by igw-" in notice


def test_a_lock_by_hand_is_a_notice(stacked: Account) -> None:
    server = stacked.live("server")
    stacked.call(
        "ec2", "modify_instance_attribute", InstanceId=server.id, DisableApiTermination={"Value": True}
    )
    planned = stacked.plan()
    assert planned.is_empty
    assert planned.notices == (
        f"instance server ({server.id}) is protected from termination, and from `destroy` too",
    )


THEIRS = "arn:aws:kms:us-east-1:999999999999:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.mark.parametrize(
    ("operation", "key", "name"),
    [("DescribeVolumes", "Volumes", "server"), ("DescribeDBInstances", "DBInstances", "database")],
)
def test_a_key_of_another_account_is_a_notice(stacked: Account, operation: str, key: str, name: str) -> None:
    def theirs(asked: str, answer: dict[str, Any]) -> None:
        for item in answer.get(key, ()) if asked == operation else ():
            item["KmsKeyId"] = THEIRS

    assert stacked.plan().notices == ()
    stacked.edits.append(theirs)
    (notice,) = stacked.plan().notices
    assert name in notice
    assert "a key of the account 999999999999" in notice


def test_a_disk_that_is_not_encrypted_is_a_notice(stacked: Account) -> None:
    disk = stacked.live("server").facts["VolumeId"]

    def plain(asked: str, answer: dict[str, Any]) -> None:
        for item in answer["Volumes"] if asked == "DescribeVolumes" else ():
            item["Encrypted"] = False

    stacked.edits.append(plain)
    assert stacked.plan().notices == (f"instance server: its disk {disk} is not encrypted",)


NO_CHANGE: dict[str, tuple[str, dict[str, Any]]] = {
    "another processor": ("the host's processor is x86_64", {"server": {"instance_type": "t4g.small"}}),
    "a disk that grows too little": (
        "RDS grows a disk to 22 GiB at least",
        {"database": {"storage_gib": 21, "max_storage_gib": 100}},
    ),
}


@pytest.mark.parametrize("name", NO_CHANGE)
def test_what_aws_would_refuse_half_way_is_refused_before(stacked: Account, name: str) -> None:
    text, wanted = NO_CHANGE[name]
    with pytest.raises(DriftError, match=text):
        stacked.plan(**wanted)


FOREIGN: dict[str, Callable[[Account], Any]] = {
    "IAM role": lambda a: a.call(
        "iam",
        "create_role",
        RoleName="flowstead-flowstead-us-east-1-server",
        AssumeRolePolicyDocument="{}",
    ),
    "secret": lambda a: a.call(
        "secretsmanager", "create_secret", Name="flowstead/flowstead/admin", SecretString="theirs"
    ),
    "parameter group": lambda a: a.call(
        "rds",
        "create_db_parameter_group",
        DBParameterGroupName="flowstead-flowstead-database-parameters-postgres17",
        DBParameterGroupFamily="postgres17",
        Description="theirs",
    ),
    "bucket": lambda a: (
        a.call("s3", "create_bucket", Bucket="flowstead-123456789012-us-east-1"),
        a.call("s3", "put_object", Bucket="flowstead-123456789012-us-east-1", Key="theirs", Body=b"x"),
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_belongs_to_others_is_left_alone(account: Account, name: str) -> None:
    FOREIGN[name](account)
    account.calls.clear()
    with pytest.raises(DriftError, match="belongs"):
        account.apply()
    assert not [call for call in account.calls if not call.startswith(("Describe", "Get", "List", "Head"))]


def test_a_lost_tag_of_ours_is_not_somebody_elses(stacked: Account) -> None:
    role = stacked.live("server_role")
    stacked.call("iam", "untag_role", RoleName=role.id, TagKeys=["flowstead:resource"])
    with pytest.raises(
        DriftError, match="is this deployment's, and its tag flowstead:resource is gone"
    ) as caught:
        stacked.plan()
    assert caught.value.next_step == "Set that tag to server_role."


def tell_the_old(account: Account, times: int) -> None:
    """Have EC2 go on telling, so often, that a network's resolver is off."""
    left = [times]

    def edit(called: str, answer: dict[str, Any]) -> None:
        if called == "DescribeVpcAttribute" and left[0] and "EnableDnsSupport" in answer:
            left[0] -= 1
            answer["EnableDnsSupport"] = {"Value": False}

    account.edits.append(edit)


def test_a_description_that_lags_is_waited_for_and_nothing_set_twice(stacked: Account) -> None:
    tell_the_old(stacked, 4)
    stacked.apply()
    assert stacked.calls["ModifyVpcAttribute"] == 1


def test_what_aws_accepts_and_does_not_do_is_said(stacked: Account) -> None:
    tell_the_old(stacked, 1_000_000)
    with pytest.raises(DriftError, match="still reports the old value: enableDnsSupport: off -> on"):
        stacked.apply()
    assert stacked.calls["ModifyVpcAttribute"] == 1


def test_a_newer_image_is_a_notice_and_changes_nothing(stacked: Account) -> None:
    used = stacked.live("server").facts["ImageId"]
    assert used == "ami-00000000000000002"
    newer = image(9, "debian-13-amd64-20261101-1", "2026-11-01")
    stacked.publish(newer)
    planned = stacked.plan()
    assert planned.is_empty
    assert newer["ami_id"] in planned.notices[0]
    assert newer["name"] in planned.notices[0]
