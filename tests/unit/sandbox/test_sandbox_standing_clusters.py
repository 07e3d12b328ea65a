"""What of Aurora is real, accepted without effect, or refused: as docs/sandbox.md says."""

from __future__ import annotations

from pathlib import Path

import pytest
from asking import database_of, trust
from standings import NO_EFFECT, REAL, REFUSED, Proofs, listed, prove, proving, standing_of

from sandbox import account
from sandbox.mapping.database_objects import password_of

PAGE = Path(__file__).parents[3] / "docs/sandbox.md"
PROOFS: Proofs = {}
proves = proving(PROOFS)


def cluster_of(here):
    return account.rds("us-east-1").clusters[here.name]


def made(here, **changed):
    """Create a cluster with a member; returns RDS's client, and the cluster's name for a call."""
    here.create_cluster(**changed)
    here.add_member()
    here.forget()
    return here.client("rds"), {"DBClusterIdentifier": here.name}


def modified(here, **changes):
    rds, named = made(here)
    rds.modify_db_cluster(**named, ApplyImmediately=True, **changes)


@proves(REAL, "clusters of Aurora PostgreSQL 15 and 17 with members of the class db.serverless")
def _(here):
    here.create_cluster(EngineVersion="15")
    here.add_member()
    here.create_cluster(DBClusterIdentifier=f"{here.name}-two", EngineVersion="17")
    return here.asked() == ["create", "add", "create"]


@proves(REAL, "clusters of Aurora MySQL 8.0: the servers are MySQL 9.7")
def _(here):
    """What the real servers do is in tests/end_to_end/test_sandbox_clusters.py."""
    here.create_cluster(Engine="aurora-mysql", EngineVersion="8.0")
    here.add_member(Engine="aurora-mysql")
    return here.asked() == ["create", "add"]


@proves(REAL, "stop, start and deletion of clusters; reboot and loss of members")
def _(here):
    rds, named = made(here)
    member = {"DBInstanceIdentifier": f"{here.name}-1"}
    rds.reboot_db_instance(**member)
    rds.stop_db_cluster(**named)
    cluster_of(here).status = "stopped"
    rds.start_db_cluster(**named)
    cluster_of(here).status = "available"
    rds.delete_db_instance(**member)
    database_of(f"{here.name}-1").status = "deleting"
    account.rds("us-east-1").databases.pop(f"{here.name}-1")
    rds.delete_db_cluster(**named, SkipFinalSnapshot=True)
    return here.asked() == ["reboot", "stop", "start", "remove", "delete"]


@proves(REAL, "readers that follow the writer, failover, the names of writer and readers")
def _(here):
    """What the real servers do is in tests/end_to_end/test_sandbox_clusters.py."""
    rds, named = made(here)
    here.add_member(DBInstanceIdentifier=f"{here.name}-2")
    rds.failover_db_cluster(**named)
    return here.asked() == ["add", "failover"]


@proves(REAL, "public access of members, of this machine")
def _(here):
    """What the machine reaches then is in tests/end_to_end/test_sandbox_databases.py."""
    rds, _named = made(here)
    rds.modify_db_instance(DBInstanceIdentifier=f"{here.name}-1", PubliclyAccessible=False)
    return here.asked() == ["follow_access"]


@proves(REAL, "snapshots of clusters, and clusters restored from them")
def _(here):
    rds, named = made(here)
    snapshot = {"DBClusterSnapshotIdentifier": f"{here.name}-one"}
    rds.create_db_cluster_snapshot(**named, **snapshot)
    kept = account.rds("us-east-1").cluster_snapshots[f"{here.name}-one"]
    kept.master_password = password_of(cluster_of(here))
    restored = {"DBClusterIdentifier": f"{here.name}-two", "DBSubnetGroupName": here.name}
    rds.restore_db_cluster_from_snapshot(
        **restored, SnapshotIdentifier=f"{here.name}-one", Engine="aurora-postgresql"
    )
    rds.delete_db_cluster_snapshot(**snapshot)
    return here.asked() == ["snapshot", "create", "drop_snapshot"]


@proves(REAL, "parameter groups of clusters")
def _(here):
    rds, group = here.client("rds"), {"DBClusterParameterGroupName": here.name}
    rds.create_db_cluster_parameter_group(
        **group, DBParameterGroupFamily="aurora-postgresql17", Description="d"
    )
    made(here, **group)
    one = {"ParameterName": "work_mem", "ParameterValue": "64", "ApplyMethod": "immediate"}
    rds.modify_db_cluster_parameter_group(**group, Parameters=[one])
    return here.asked() == ["apply_parameters"]


@proves(REAL, "the master user's password and its managed secret, of clusters")
def _(here):
    rds, named = made(here)
    before = password_of(cluster_of(here))
    rds.modify_db_cluster(**named, RotateMasterUserPassword=True, ApplyImmediately=True)
    return here.asked() == ["follow"] and password_of(cluster_of(here)) != before


@proves(NO_EFFECT, "capacity: members neither grow nor pause")
def _(here):
    modified(here, ServerlessV2ScalingConfiguration={"MinCapacity": 0, "MaxCapacity": 64})


@proves(NO_EFFECT, "automated backups of clusters: none is taken")
def _(here):
    modified(here, BackupRetentionPeriod=9)
    found = here.client("rds").describe_db_cluster_snapshots(SnapshotType="automated")
    assert found["DBClusterSnapshots"] == []


@proves(NO_EFFECT, "Enhanced Monitoring of members, EngineLifecycleSupport of clusters")
def _(here):
    document = trust({"Service": "monitoring.rds.amazonaws.com"})
    role = here.client("iam").create_role(RoleName=here.name, AssumeRolePolicyDocument=document)["Role"]
    modified(here, EngineLifecycleSupport="open-source-rds-extended-support-disabled")
    member = {"DBInstanceIdentifier": f"{here.name}-1", "MonitoringInterval": 60}
    here.client("rds").modify_db_instance(**member, MonitoringRoleArn=role["Arn"])


@proves(REFUSED, "members of other classes, Multi-AZ clusters, Serverless v1")
def _(here):
    made(here)
    other = {"DBClusterIdentifier": f"{here.name}-other"}
    return [
        (here.add_member, {"DBInstanceIdentifier": "other", "DBInstanceClass": "db.r6g.large"}),
        (here.create_cluster, other | {"Engine": "postgres"}),
        (here.create_cluster, other | {"DBClusterInstanceClass": "db.m6gd.large"}),
        (here.create_cluster, other | {"ScalingConfiguration": {"MinCapacity": 2}}),
    ]


@proves(REFUSED, "global clusters, replicas, endpoints of one's own, the Data API")
def _(here):
    rds, named = made(here)
    other = {"DBClusterIdentifier": f"{here.name}-other"}
    endpoint = {"DBClusterEndpointIdentifier": "own", "EndpointType": "ANY"}
    return [
        (rds.create_global_cluster, {"GlobalClusterIdentifier": here.name}),
        (here.create_cluster, other | {"GlobalClusterIdentifier": here.name}),
        (here.create_cluster, other | {"ReplicationSourceIdentifier": here.name}),
        (rds.create_db_cluster_endpoint, named | endpoint),
        (here.create_cluster, other | {"EnableHttpEndpoint": True}),
    ]


@proves(REFUSED, "clones, point-in-time restore and copies of snapshots of clusters")
def _(here):
    rds, _ = made(here)
    clone = {"DBClusterIdentifier": "then", "SourceDBClusterIdentifier": here.name}
    copy = {"SourceDBClusterSnapshotIdentifier": "one", "TargetDBClusterSnapshotIdentifier": "two"}
    return [
        (rds.restore_db_cluster_to_point_in_time, clone | {"RestoreType": "copy-on-write"}),
        (rds.restore_db_cluster_to_point_in_time, clone | {"UseLatestRestorableTime": True}),
        (rds.copy_db_cluster_snapshot, copy),
    ]


@proves(REFUSED, "another version or name of a cluster that exists")
def _(here):
    rds, named = made(here, EngineVersion="15")
    return [
        (rds.modify_db_cluster, named | {"EngineVersion": "17", "AllowMajorVersionUpgrade": True}),
        (rds.modify_db_cluster, named | {"NewDBClusterIdentifier": "other"}),
    ]


@pytest.mark.parametrize("kind", PROOFS)
def test_it_is_what_the_page_says(here, kind):
    prove(PROOFS, kind, here)


def test_the_page_lists_each_kind():
    assert listed(PAGE.read_text(encoding="utf-8"), "Aurora") == standing_of(PROOFS)
