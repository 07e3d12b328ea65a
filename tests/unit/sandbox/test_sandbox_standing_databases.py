"""What of RDS is real, accepted without effect, or refused: as docs/sandbox.md says."""

from __future__ import annotations

from pathlib import Path

import pytest
from asking import database_of, trust
from standings import NO_EFFECT, REAL, REFUSED, Proofs, listed, prove, proving, standing_of

from sandbox.mapping.database_objects import password_of

PAGE = Path(__file__).parents[3] / "docs/sandbox.md"
PROOFS: Proofs = {}
proves = proving(PROOFS)


def made(here, **changed):
    """Create an instance; returns RDS's client, and the instance's name for a call."""
    here.create(**changed)
    here.forget()
    return here.client("rds"), {"DBInstanceIdentifier": here.name}


def modified(here, **changes):
    rds, named = made(here)
    rds.modify_db_instance(**named, ApplyImmediately=True, **changes)


@proves(REAL, "instances of PostgreSQL 15 and 17: create, stop, start, reboot, delete")
def _(here):
    rds, named = made(here)
    rds.reboot_db_instance(**named)
    rds.stop_db_instance(**named)
    database_of(here.name).status = "stopped"
    rds.start_db_instance(**named)
    database_of(here.name).status = "available"
    rds.delete_db_instance(**named, SkipFinalSnapshot=True)
    here.create(DBInstanceIdentifier=f"{here.name}-15", EngineVersion="15")
    return here.asked() == ["reboot", "stop", "start", "delete", "create"]


@proves(REAL, "snapshots, and instances restored from them")
def _(here):
    rds, named = made(here)
    snapshot = {"DBSnapshotIdentifier": f"{here.name}-one"}
    rds.create_db_snapshot(**named, **snapshot)
    database_of(here.name)
    rds.describe_db_snapshots(**snapshot)
    restored = {"DBInstanceIdentifier": f"{here.name}-two", "DBSubnetGroupName": here.name}
    rds.restore_db_instance_from_db_snapshot(**restored, **snapshot)
    rds.delete_db_snapshot(**snapshot)
    return here.asked() == ["snapshot", "create", "drop_snapshot"]


@proves(REAL, "parameter groups")
def _(here):
    rds = here.client("rds")
    group = {"DBParameterGroupName": here.name}
    rds.create_db_parameter_group(**group, DBParameterGroupFamily="postgres17", Description="d")
    made(here, **group)
    one = {"ParameterName": "work_mem", "ParameterValue": "64", "ApplyMethod": "immediate"}
    rds.modify_db_parameter_group(**group, Parameters=[one])
    return here.asked() == ["apply_parameters"]


@proves(REAL, "the master user's password and its managed secret")
def _(here):
    rds, named = made(here)
    before = password_of(database_of(here.name))
    rds.modify_db_instance(**named, RotateMasterUserPassword=True, ApplyImmediately=True)
    return here.asked() == ["follow"] and password_of(database_of(here.name)) != before


@proves(REAL, "public access, of this machine")
def _(here):
    """What the machine reaches then is in tests/end_to_end/test_sandbox_databases.py."""
    ec2 = here.client("ec2")
    ec2.modify_vpc_attribute(VpcId=here.network.vpc, EnableDnsHostnames={"Value": True})
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=here.network.vpc)
    rds, named = made(here)
    rds.modify_db_instance(**named, PubliclyAccessible=True)
    return here.asked() == ["follow"] and database_of(here.name).publicly_accessible


@proves(NO_EFFECT, "automated backups: none is taken")
def _(here):
    modified(here, BackupRetentionPeriod=9)
    assert here.client("rds").describe_db_instance_automated_backups()["DBInstanceAutomatedBackups"] == []


@proves(NO_EFFECT, "Multi-AZ")
def _(here):
    modified(here, MultiAZ=True)


@proves(NO_EFFECT, "another class or storage of an instance that exists, until it is made anew")
def _(here):
    modified(here, DBInstanceClass="db.t4g.small", AllocatedStorage=40, StorageType="gp3")


@proves(NO_EFFECT, "Enhanced Monitoring, EngineLifecycleSupport")
def _(here):
    document = trust({"Service": "monitoring.rds.amazonaws.com"})
    role = here.client("iam").create_role(RoleName=here.name, AssumeRolePolicyDocument=document)["Role"]
    modified(here, MonitoringInterval=60, MonitoringRoleArn=role["Arn"])
    supported = {"EngineLifecycleSupport": "open-source-rds-extended-support-disabled"}
    here.create(DBInstanceIdentifier=f"{here.name}-two", **supported)
    assert here.asked()[-1] == "create"
    here.forget()


@proves(REFUSED, "other engines, replicas, proxies")
def _(here):
    rds, named = made(here)
    replica = {"DBInstanceIdentifier": "replica", "SourceDBInstanceIdentifier": here.name}
    backup = {"SourceEngine": "mysql", "SourceEngineVersion": "8.0", "S3BucketName": "b"}
    role = "arn:aws:iam::123456789012:role/r"
    proxy = {"EngineFamily": "POSTGRESQL", "RoleArn": role, "VpcSubnetIds": here.network.subnets}
    of_s3 = {**backup, "S3IngestionRoleArn": role, "DBInstanceClass": "db.t4g.micro"}
    return [
        (here.create, {"Engine": "mysql", "EngineVersion": "8.0", "DBInstanceIdentifier": "other"}),
        (rds.create_db_instance_read_replica, replica),
        (rds.restore_db_instance_from_s3, of_s3 | {"DBInstanceIdentifier": "s3", "Engine": "mysql"}),
        (rds.create_db_proxy, proxy | {"DBProxyName": here.name, "Auth": []}),
        (rds.reboot_db_instance, named | {"ForceFailover": True}),
    ]


@proves(REFUSED, "point-in-time restore, copies of snapshots")
def _(here):
    rds, _ = made(here)
    point = {"SourceDBInstanceIdentifier": here.name, "TargetDBInstanceIdentifier": "then"}
    copy = {"SourceDBSnapshotIdentifier": "one", "TargetDBSnapshotIdentifier": "two"}
    return [
        (rds.restore_db_instance_to_point_in_time, point | {"UseLatestRestorableTime": True}),
        (rds.copy_db_snapshot, copy),
    ]


@proves(REFUSED, "another version or name of an instance that exists")
def _(here):
    rds, named = made(here, EngineVersion="15")
    source = f"arn:aws:rds:us-east-1:123456789012:db:{here.name}"
    return [
        (rds.modify_db_instance, named | {"EngineVersion": "17", "AllowMajorVersionUpgrade": True}),
        (rds.modify_db_instance, named | {"NewDBInstanceIdentifier": "other"}),
        (rds.create_blue_green_deployment, {"BlueGreenDeploymentName": "b", "Source": source}),
    ]


@proves(REFUSED, "parameters of extensions, and formulas in parameters")
def _(here):
    rds, group = here.client("rds"), {"DBParameterGroupName": here.name}
    rds.create_db_parameter_group(**group, DBParameterGroupFamily="postgres17", Description="d")
    wanted = {"pgaudit.log": "all", "work_mem": "{DBInstanceClassMemory/1000}"}
    return [
        (
            rds.modify_db_parameter_group,
            group
            | {"Parameters": [{"ParameterName": name, "ParameterValue": value, "ApplyMethod": "immediate"}]},
        )
        for name, value in wanted.items()
    ]


@pytest.mark.parametrize("kind", PROOFS)
def test_it_is_what_the_page_says(here, kind):
    prove(PROOFS, kind, here)


def test_the_page_lists_each_kind():
    assert listed(PAGE.read_text(encoding="utf-8"), "Databases") == standing_of(PROOFS)
