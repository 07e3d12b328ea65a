from __future__ import annotations

import json

import pytest
from asking import code_of, database_of

from sandbox import account
from sandbox.mapping.database_objects import password_of


def test_an_instance_is_not_available_before_its_server_is(cloud, create_database, unique):
    instance = create_database()
    assert cloud.infrastructure.databases.asked[-1] == ("create", (database_of(unique), None))
    assert instance["DBInstanceIdentifier"] == unique


def test_the_endpoint_appears_when_it_is_available(client, create_database, unique):
    create_database()
    database_of(unique).status = "creating"
    describe = client("rds").describe_db_instances
    assert "Endpoint" not in describe(DBInstanceIdentifier=unique)["DBInstances"][0]
    database_of(unique).status = "available"
    address = describe(DBInstanceIdentifier=unique)["DBInstances"][0]["Endpoint"]["Address"]
    assert address.startswith(f"{unique}.c")
    assert address.endswith(".us-east-1.rds.amazonaws.com")


def test_each_managed_secret_is_its_own(client, create_database, unique):
    secret = create_database()["MasterUserSecret"]["SecretArn"]
    content = json.loads(client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"])
    assert content["username"] == "flowstead"
    assert content["password"] == password_of(database_of(unique))
    create_database(DBInstanceIdentifier=f"{unique}-b")
    assert password_of(database_of(f"{unique}-b")) != content["password"]


def test_rotation_changes_the_secret_and_the_server(cloud, client, create_database, unique):
    create_database()
    before = password_of(database_of(unique))
    client("rds").modify_db_instance(
        DBInstanceIdentifier=unique, RotateMasterUserPassword=True, ApplyImmediately=True
    )
    assert password_of(database_of(unique)) != before
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
def test_what_rds_refuses_is_refused(create_database, changed, code):
    assert code_of(create_database, **changed) == code


def test_a_group_of_subnets_needs_two_zones(client, network, unique):
    make = client("rds").create_db_subnet_group
    arguments = {"DBSubnetGroupName": unique, "DBSubnetGroupDescription": "d"}
    assert code_of(make, SubnetIds=network.subnets[:1], **arguments) == "DBSubnetGroupDoesNotCoverEnoughAZs"
    make(SubnetIds=network.subnets, **arguments)
    assert code_of(make, SubnetIds=network.subnets, **arguments) == "DBSubnetGroupAlreadyExists"


def test_a_database_keeps_its_subnets_groups_and_parameters_from_being_deleted(
    client, create_database, network, unique
):
    rds = client("rds")
    rds.create_db_parameter_group(
        DBParameterGroupName=unique, DBParameterGroupFamily="postgres17", Description="d"
    )
    create_database(DBParameterGroupName=unique)
    account.ec2("us-east-1").create_network_interface(
        account.ec2("us-east-1").get_subnet(network.subnets[0]), "10.80.0.99", group_ids=[network.group]
    )
    assert code_of(rds.delete_db_subnet_group, DBSubnetGroupName=unique) == "InvalidDBSubnetGroupStateFault"
    assert (
        code_of(rds.delete_db_parameter_group, DBParameterGroupName=unique) == "InvalidDBParameterGroupState"
    )
    assert code_of(client("ec2").delete_security_group, GroupId=network.group) == "DependencyViolation"


def test_changes_wait_for_the_maintenance_window_unless_told_not_to(client, create_database, unique):
    rds = client("rds")
    create_database()
    rds.modify_db_instance(DBInstanceIdentifier=unique, AllocatedStorage=40)
    (shown,) = rds.describe_db_instances(DBInstanceIdentifier=unique)["DBInstances"]
    assert shown["AllocatedStorage"] == 20
    assert shown["PendingModifiedValues"]["AllocatedStorage"] == 40
    rds.modify_db_instance(DBInstanceIdentifier=unique, AllocatedStorage=40, ApplyImmediately=True)
    (shown,) = rds.describe_db_instances(DBInstanceIdentifier=unique)["DBInstances"]
    assert shown["AllocatedStorage"] == 40


def test_a_stopped_database_is_neither_changed_nor_snapshotted(client, create_database, unique):
    rds = client("rds")
    create_database(DeletionProtection=True)
    database_of(unique).status = "stopped"
    named = {"DBInstanceIdentifier": unique}
    for change in ({"BackupRetentionPeriod": 2}, {"DeletionProtection": False}):
        assert code_of(rds.modify_db_instance, **named, **change) == "InvalidDBInstanceState"
    snapshot = rds.create_db_snapshot
    assert code_of(snapshot, **named, DBSnapshotIdentifier=f"{unique}-no") == "InvalidDBInstanceState"
    assert code_of(rds.delete_db_instance, **named, SkipFinalSnapshot=True) == "InvalidParameterCombination"


def test_rds_chooses_what_is_left_out(client, create_database):
    made = create_database(EngineVersion=None)
    default = client("rds").describe_db_engine_versions(Engine="postgres", DefaultOnly=True)
    assert made["EngineVersion"] == default["DBEngineVersions"][0]["EngineVersion"]
    assert made["DBParameterGroups"][0]["DBParameterGroupName"] == "default.postgres17"
    assert made["EngineLifecycleSupport"] == "open-source-rds-extended-support"


def test_extended_support_and_the_minor_version_are_kept(client, create_database, unique):
    opted_out = "open-source-rds-extended-support-disabled"
    assert create_database(EngineLifecycleSupport=opted_out)["EngineLifecycleSupport"] == opted_out
    database_of(unique).engine_version = "17.6"
    modify = client("rds").modify_db_instance
    changed = modify(
        DBInstanceIdentifier=unique,
        EngineVersion="17",
        EngineLifecycleSupport="open-source-rds-extended-support",
    )["DBInstance"]
    assert changed["EngineVersion"] == "17.6"
    assert changed["EngineLifecycleSupport"] == "open-source-rds-extended-support"


def test_a_restored_database_is_like_its_original_but_for_what_a_call_says(
    client, create_database, network, unique
):
    rds = client("rds")
    create_database(StorageType="gp3", AllocatedStorage=400, Iops=20000)
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
def test_an_account_of_the_free_plan_gets_little(create_database, pace, changed):
    pace.set({"free-plan": 1})
    assert code_of(create_database, **changed) == "FreeTierRestrictionError"
    create_database(BackupRetentionPeriod=1)


def test_calls_wait_for_their_state(client, create_database, unique):
    rds = client("rds")
    create_database()
    database_of(unique).status = "rebooting"
    named = {"DBInstanceIdentifier": unique}
    assert code_of(rds.reboot_db_instance, **named) == "InvalidDBInstanceState"
    assert code_of(rds.modify_db_instance, **named, BackupRetentionPeriod=2) == "InvalidDBInstanceState"


def test_deleting_asks_for_a_last_snapshot_and_takes_its_time(cloud, client, create_database, unique):
    rds = client("rds")
    create_database()
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


def test_monitoring_wants_a_role_that_rds_can_take_for_this_database(client, create_database, unique):
    create_database()
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


def test_groups_of_databases_are_in_the_list_of_what_carries_a_tag(client, network, unique):
    rds, tags = client("rds"), [{"Key": "of", "Value": unique}]
    rds.create_db_subnet_group(
        DBSubnetGroupName=unique, DBSubnetGroupDescription="d", SubnetIds=network.subnets, Tags=tags
    )
    rds.create_db_parameter_group(
        DBParameterGroupName=unique, DBParameterGroupFamily="postgres17", Description="d", Tags=tags
    )
    filters = [{"Key": "of", "Values": [unique]}]
    listed = client("resourcegroupstaggingapi").get_resources(TagFilters=filters)["ResourceTagMappingList"]
    assert {one["ResourceARN"].split(":", 5)[5] for one in listed} == {f"subgrp:{unique}", f"pg:{unique}"}
