from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from test_sandbox_front import code_of

from sandbox import account
from sandbox.mapping.database_objects import parameters_of, password_of


@pytest.fixture
def create(client, network, unique):
    """Create an instance with what the test says otherwise; its group of subnets is ``unique``."""
    rds = client("rds")
    rds.create_db_subnet_group(
        DBSubnetGroupName=unique, DBSubnetGroupDescription="d", SubnetIds=network.subnets
    )

    def run(**changed):
        arguments = {
            "DBInstanceIdentifier": unique,
            "Engine": "postgres",
            "EngineVersion": "17",
            "DBInstanceClass": "db.t4g.micro",
            "AllocatedStorage": 20,
            "MasterUsername": "flowstead",
            "ManageMasterUserPassword": True,
            "DBSubnetGroupName": unique,
            "VpcSecurityGroupIds": [network.group],
        }
        given = {name: value for name, value in (arguments | changed).items() if value is not None}
        return rds.create_db_instance(**given)["DBInstance"]

    return run


def object_of(identifier):
    return account.rds("us-east-1").databases[identifier]


def test_an_instance_is_not_available_before_its_server_is(cloud, create, unique):
    instance = create()
    assert cloud.infrastructure.databases.asked[-1] == ("create", (object_of(unique), None))
    assert instance["DBInstanceIdentifier"] == unique


def test_the_endpoint_appears_when_it_is_available(client, create, unique):
    create()
    object_of(unique).status = "creating"
    describe = client("rds").describe_db_instances
    assert "Endpoint" not in describe(DBInstanceIdentifier=unique)["DBInstances"][0]
    object_of(unique).status = "available"
    address = describe(DBInstanceIdentifier=unique)["DBInstances"][0]["Endpoint"]["Address"]
    assert address.startswith(f"{unique}.c")
    assert address.endswith(".us-east-1.rds.amazonaws.com")


def test_each_managed_secret_is_its_own(client, create, unique):
    secret = create()["MasterUserSecret"]["SecretArn"]
    content = json.loads(client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"])
    assert content["username"] == "flowstead"
    assert content["password"] == password_of(object_of(unique))
    create(DBInstanceIdentifier=f"{unique}-b")
    assert password_of(object_of(f"{unique}-b")) != content["password"]


def test_rotation_changes_the_secret_and_the_server(cloud, client, create, unique):
    create()
    before = password_of(object_of(unique))
    client("rds").modify_db_instance(
        DBInstanceIdentifier=unique, RotateMasterUserPassword=True, ApplyImmediately=True
    )
    assert password_of(object_of(unique)) != before
    assert cloud.infrastructure.databases.names()[-1] == "follow"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"EngineVersion": "16.1"}, "InvalidParameterCombination"),
        ({"Engine": "mysql"}, "UnsupportedInSandbox"),
        ({"DBInstanceClass": "db.huge"}, "InvalidParameterValue"),
        ({"AllocatedStorage": 5}, "InvalidParameterValue"),
        ({"MaxAllocatedStorage": 20}, "InvalidParameterCombination"),
        ({"MaxAllocatedStorage": 21}, "InvalidParameterCombination"),
        ({"StorageType": "gp3", "Iops": 3000}, "InvalidParameterCombination"),
        ({"StorageType": "gp3", "AllocatedStorage": 400, "Iops": 3000}, "InvalidParameterCombination"),
        ({"BackupRetentionPeriod": 99}, "InvalidParameterValue"),
        ({"MasterUsername": "rdsadmin"}, "InvalidParameterValue"),
        ({"DBName": "1st"}, "InvalidParameterValue"),
        ({"MasterUserPassword": "long-enough"}, "InvalidParameterCombination"),
        ({"ManageMasterUserPassword": None}, "InvalidParameterValue"),
        ({"ManageMasterUserPassword": None, "MasterUserPassword": "short"}, "InvalidParameterValue"),
        ({"ManageMasterUserPassword": None, "MasterUserPassword": "with@sign/"}, "InvalidParameterValue"),
        ({"VpcSecurityGroupIds": ["sg-0123456789abcdef0"]}, "InvalidParameterValue"),
        ({"DBSubnetGroupName": "none"}, "DBSubnetGroupNotFoundFault"),
    ],
)
def test_what_rds_refuses_is_refused(create, changed, code):
    assert code_of(create, **changed) == code


def test_a_group_of_subnets_needs_two_zones(client, network, unique):
    create = client("rds").create_db_subnet_group
    arguments = {"DBSubnetGroupName": unique, "DBSubnetGroupDescription": "d"}
    assert code_of(create, SubnetIds=network.subnets[:1], **arguments) == "DBSubnetGroupDoesNotCoverEnoughAZs"
    create(SubnetIds=network.subnets, **arguments)
    assert code_of(create, SubnetIds=network.subnets, **arguments) == "DBSubnetGroupAlreadyExists"


def test_a_database_keeps_its_subnets_groups_and_parameters_from_being_deleted(
    client, create, network, unique
):
    rds = client("rds")
    rds.create_db_parameter_group(
        DBParameterGroupName=unique, DBParameterGroupFamily="postgres17", Description="d"
    )
    create(DBParameterGroupName=unique)
    account.ec2("us-east-1").create_network_interface(
        account.ec2("us-east-1").get_subnet(network.subnets[0]), "10.80.0.99", group_ids=[network.group]
    )
    assert code_of(rds.delete_db_subnet_group, DBSubnetGroupName=unique) == "InvalidDBSubnetGroupStateFault"
    assert (
        code_of(rds.delete_db_parameter_group, DBParameterGroupName=unique) == "InvalidDBParameterGroupState"
    )
    assert code_of(client("ec2").delete_security_group, GroupId=network.group) == "DependencyViolation"


def test_parameters_reach_the_servers_that_use_them(cloud, client, create, unique):
    rds = client("rds")
    rds.create_db_parameter_group(
        DBParameterGroupName=unique, DBParameterGroupFamily="postgres17", Description="d"
    )
    create(DBParameterGroupName=unique)
    rds.modify_db_parameter_group(
        DBParameterGroupName=unique,
        Parameters=[{"ParameterName": "rds.force_ssl", "ParameterValue": "1", "ApplyMethod": "immediate"}],
    )
    assert cloud.infrastructure.databases.names()[-1] == "apply_parameters"
    assert parameters_of(object_of(unique)) == {"rds.force_ssl": "1"}
    wrong = {"DBParameterGroupName": f"{unique}-9", "DBParameterGroupFamily": "postgres9", "Description": "d"}
    assert code_of(rds.create_db_parameter_group, **wrong) == "InvalidParameterValue"


@pytest.fixture
def parameters(client, unique):
    """A parameter group: ``set`` a parameter, ``shown`` what RDS says of one."""
    rds = client("rds")
    rds.create_db_parameter_group(
        DBParameterGroupName=unique, DBParameterGroupFamily="postgres17", Description="d"
    )

    def set_one(name, value, method="immediate"):
        one = {"ParameterName": name, "ParameterValue": value, "ApplyMethod": method}
        rds.modify_db_parameter_group(DBParameterGroupName=unique, Parameters=[one])

    def shown(name, **only):
        pages = rds.get_paginator("describe_db_parameters").paginate(DBParameterGroupName=unique, **only)
        return next((p for page in pages for p in page["Parameters"] if p["ParameterName"] == name), None)

    return SimpleNamespace(set=set_one, shown=shown)


def test_a_parameter_set_to_its_default_is_not_the_users(parameters):
    parameters.set("rds.force_ssl", "1")
    assert parameters.shown("rds.force_ssl", Source="user") is None
    assert parameters.shown("rds.force_ssl")["Source"] == "system"
    parameters.set("rds.force_ssl", "0")
    assert parameters.shown("rds.force_ssl", Source="user")["ParameterValue"] == "0"
    untouched = parameters.shown("work_mem", Source="engine-default")
    assert "ParameterValue" not in untouched
    assert untouched["AllowedValues"] == "64-2147483647"


@pytest.mark.parametrize(
    ("name", "value", "method", "code"),
    [
        ("rds.force_tls", "1", "immediate", "InvalidParameterValue"),
        ("max_connections", "50", "immediate", "InvalidParameterCombination"),
        ("max_connections", "5", "pending-reboot", "InvalidParameterValue"),
        ("max_connections", "many", "pending-reboot", "InvalidParameterValue"),
        ("rds.force_ssl", "yes", "immediate", "InvalidParameterValue"),
        ("log_statement", "some", "immediate", "InvalidParameterValue"),
        ("data_directory", "/tmp", "pending-reboot", "InvalidParameterValue"),  # noqa: S108 - never used
        ("max_connections", "{DBInstanceClassMemory/1}", "pending-reboot", "UnsupportedInSandbox"),
        ("pgaudit.log", "all", "immediate", "UnsupportedInSandbox"),
    ],
)
def test_parameters_that_rds_refuses_are_refused(parameters, name, value, method, code):
    assert code_of(parameters.set, name=name, value=value, method=method) == code


def test_each_version_that_is_offered_has_its_parameters(client, unique):
    rds = client("rds")
    for version in rds.describe_db_engine_versions(Engine="postgres")["DBEngineVersions"]:
        group = f"default.{version['DBParameterGroupFamily']}"
        answer = rds.describe_db_parameters(DBParameterGroupName=group)
        assert (len(answer["Parameters"]), "Marker" in answer) == (100, True)
    one = {"ParameterName": "work_mem", "ParameterValue": "64", "ApplyMethod": "immediate"}
    change = rds.modify_db_parameter_group
    assert code_of(change, DBParameterGroupName=group, Parameters=[one]) == "InvalidParameterValue"
    assert code_of(rds.describe_db_parameters, DBParameterGroupName=unique) == "DBParameterGroupNotFound"


def test_changes_wait_for_the_maintenance_window_unless_told_not_to(client, create, unique):
    rds = client("rds")
    create()
    rds.modify_db_instance(DBInstanceIdentifier=unique, AllocatedStorage=40)
    (shown,) = rds.describe_db_instances(DBInstanceIdentifier=unique)["DBInstances"]
    assert shown["AllocatedStorage"] == 20
    assert shown["PendingModifiedValues"]["AllocatedStorage"] == 40
    rds.modify_db_instance(DBInstanceIdentifier=unique, AllocatedStorage=40, ApplyImmediately=True)
    (shown,) = rds.describe_db_instances(DBInstanceIdentifier=unique)["DBInstances"]
    assert shown["AllocatedStorage"] == 40


@pytest.mark.usefixtures("parameters")
def test_storage_that_has_grown_is_optimized_and_grows_no_more_for_six_hours(
    cloud, client, create, pace, unique
):
    rds = client("rds")
    create(DBParameterGroupName=unique)

    def modify(**changes):
        rds.modify_db_instance(DBInstanceIdentifier=unique, ApplyImmediately=True, **changes)

    def shown():
        return rds.describe_db_instances(DBInstanceIdentifier=unique)["DBInstances"][0]

    modify(AllocatedStorage=22)
    assert shown()["DBInstanceStatus"] == "storage-optimization"
    modify(BackupRetentionPeriod=2)
    rds.create_db_snapshot(DBInstanceIdentifier=unique, DBSnapshotIdentifier=f"{unique}-growing")
    rds.modify_db_parameter_group(
        DBParameterGroupName=unique,
        Parameters=[{"ParameterName": "work_mem", "ParameterValue": "64", "ApplyMethod": "immediate"}],
    )
    assert cloud.infrastructure.databases.names()[-1] == "apply_parameters"
    assert code_of(modify, AllocatedStorage=40) == "InvalidParameterCombination"
    pace.go_on(11)
    assert shown()["DBInstanceStatus"] == "available"
    assert code_of(modify, AllocatedStorage=40) == "InvalidParameterCombination"
    pace.go_on(6 * 3600)
    for size in (21, 24):
        assert code_of(modify, AllocatedStorage=size) == "InvalidParameterCombination"
    modify(AllocatedStorage=25, MaxAllocatedStorage=25)
    assert "MaxAllocatedStorage" not in shown()


def test_large_gp3_storage_grows_with_its_iops_only(client, create, pace, unique):
    rds = client("rds")
    made = create(StorageType="gp3", AllocatedStorage=399)
    assert (made["Iops"], made["StorageThroughput"]) == (3000, 125)
    pace.set({"storage-change": 0, "storage-optimization": 0})
    named = {"DBInstanceIdentifier": unique, "ApplyImmediately": True}
    for size in (450, 600):
        refused = code_of(rds.modify_db_instance, **named, AllocatedStorage=size)
        assert refused == "InvalidParameterCombination"
        grown = rds.modify_db_instance(**named, AllocatedStorage=size, Iops=12000)["DBInstance"]
        assert (grown["AllocatedStorage"], grown["Iops"]) == (size, 12000)
    assert rds.modify_db_instance(**named, BackupRetentionPeriod=3)["DBInstance"]["Iops"] == 12000


def test_a_stopped_database_is_neither_changed_nor_snapshotted(client, create, unique):
    rds = client("rds")
    create(DeletionProtection=True)
    object_of(unique).status = "stopped"
    named = {"DBInstanceIdentifier": unique}
    for change in ({"BackupRetentionPeriod": 2}, {"DeletionProtection": False}):
        assert code_of(rds.modify_db_instance, **named, **change) == "InvalidDBInstanceState"
    snapshot = rds.create_db_snapshot
    assert code_of(snapshot, **named, DBSnapshotIdentifier=f"{unique}-no") == "InvalidDBInstanceState"
    assert code_of(rds.delete_db_instance, **named, SkipFinalSnapshot=True) == "InvalidParameterCombination"


def test_rds_chooses_what_is_left_out(client, create):
    made = create(EngineVersion=None)
    default = client("rds").describe_db_engine_versions(Engine="postgres", DefaultOnly=True)
    assert made["EngineVersion"] == default["DBEngineVersions"][0]["EngineVersion"]
    assert made["DBParameterGroups"][0]["DBParameterGroupName"] == "default.postgres17"
    assert made["EngineLifecycleSupport"] == "open-source-rds-extended-support"


def test_extended_support_and_the_minor_version_are_kept(client, create, unique):
    opted_out = "open-source-rds-extended-support-disabled"
    assert create(EngineLifecycleSupport=opted_out)["EngineLifecycleSupport"] == opted_out
    object_of(unique).engine_version = "17.6"
    modify = client("rds").modify_db_instance
    changed = modify(
        DBInstanceIdentifier=unique,
        EngineVersion="17",
        EngineLifecycleSupport="open-source-rds-extended-support",
    )["DBInstance"]
    assert changed["EngineVersion"] == "17.6"
    assert changed["EngineLifecycleSupport"] == "open-source-rds-extended-support"


def test_a_restored_database_is_like_its_original_but_for_what_a_call_says(client, create, network, unique):
    rds = client("rds")
    create(StorageType="gp3", AllocatedStorage=400, Iops=20000)
    rds.create_db_snapshot(DBInstanceIdentifier=unique, DBSnapshotIdentifier=f"{unique}-s")
    copy = rds.restore_db_instance_from_db_snapshot(
        DBInstanceIdentifier=f"{unique}-c",
        DBSnapshotIdentifier=f"{unique}-s",
        DBSubnetGroupName=unique,
        VpcSecurityGroupIds=[network.group],
        EngineLifecycleSupport="open-source-rds-extended-support-disabled",
    )["DBInstance"]
    assert (copy["Iops"], copy["StorageThroughput"], copy["EngineVersion"]) == (20000, 500, "17")
    assert copy["EngineLifecycleSupport"] == "open-source-rds-extended-support-disabled"
    assert copy["DBInstanceStatus"] == "available"


@pytest.mark.parametrize("changed", [{"BackupRetentionPeriod": 7}, {"DBInstanceClass": "db.t4g.small"}])
def test_an_account_of_the_free_plan_gets_little(create, pace, changed):
    pace.set({"free-plan": 1})
    assert code_of(create, **changed) == "FreeTierRestrictionError"
    create(BackupRetentionPeriod=1)


def test_calls_wait_for_their_state(client, create, unique):
    rds = client("rds")
    create()
    object_of(unique).status = "rebooting"
    named = {"DBInstanceIdentifier": unique}
    assert code_of(rds.reboot_db_instance, **named) == "InvalidDBInstanceState"
    assert code_of(rds.modify_db_instance, **named, BackupRetentionPeriod=2) == "InvalidDBInstanceState"


def test_deleting_asks_for_a_last_snapshot_and_takes_its_time(cloud, client, create, unique):
    rds = client("rds")
    create()
    named = {"DBInstanceIdentifier": unique}
    assert code_of(rds.delete_db_instance, **named) == "InvalidParameterCombination"
    rds.delete_db_instance(**named, FinalDBSnapshotIdentifier=f"{unique}-last")
    name, (_, snapshot, forget) = cloud.infrastructure.databases.asked[-1]
    assert (name, snapshot.db_snapshot_identifier) == ("delete", f"{unique}-last")
    assert rds.describe_db_instances(**named)["DBInstances"]
    forget()
    assert code_of(rds.describe_db_instances, **named) == "DBInstanceNotFound"


def test_offers_name_zones_and_versions(client):
    rds = client("rds")
    options = rds.describe_orderable_db_instance_options(
        Engine="postgres", EngineVersion="17", DBInstanceClass="db.t4g.micro"
    )["OrderableDBInstanceOptions"]
    assert {zone["Name"] for zone in options[0]["AvailabilityZones"]} >= {"us-east-1a", "us-east-1b"}
    pages = rds.get_paginator("describe_orderable_db_instance_options").paginate(Engine="postgres")
    assert len(list(pages)) > 1
    versions = rds.describe_db_engine_versions(Engine="postgres")["DBEngineVersions"]
    assert [version["MajorEngineVersion"] for version in versions] == ["17", "15"]


def test_monitoring_wants_a_role_that_rds_can_take_for_this_database(client, create, unique):
    create()
    modify, iam = client("rds").modify_db_instance, client("iam")
    named = {"DBInstanceIdentifier": unique, "ApplyImmediately": True}
    assert code_of(modify, **named, MonitoringInterval=60) == "InvalidParameterCombination"
    assert code_of(modify, **named, MonitoringInterval=7) == "InvalidParameterValue"

    def role(name, source):
        statement = {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": "monitoring.rds.amazonaws.com"},
            "Condition": {"StringEquals": {"aws:SourceArn": source}},
        }
        trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        return iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]

    database = "arn:aws:rds:us-east-1:123456789012:db:"
    others = {"MonitoringInterval": 60, "MonitoringRoleArn": role(f"{unique}-b", f"{database}other")}
    assert code_of(modify, **named, **others) == "InvalidParameterValue"
    own = {"MonitoringInterval": 60, "MonitoringRoleArn": role(f"{unique}-a", f"{database}{unique}")}
    assert modify(**named, **own)["DBInstance"]["MonitoringInterval"] == 60
