"""Members of Aurora clusters as the account has them: what is refused, and which of them writes."""

from __future__ import annotations

from operator import attrgetter

import pytest
from asking import cluster_of, code_of, database_of

from sandbox import account
from sandbox.mapping import database_objects


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"DBInstanceClass": "db.t4g.medium"}, "UnsupportedInSandbox"),
        ({"DBClusterIdentifier": "none"}, "DBClusterNotFoundFault"),
        ({"DBClusterIdentifier": None}, "InvalidParameterCombination"),
        ({"Engine": "postgres"}, "InvalidParameterCombination"),
        ({"MasterUsername": "somebody"}, "InvalidParameterCombination"),
        ({"AllocatedStorage": 20}, "InvalidParameterCombination"),
        ({"DeletionProtection": True}, "InvalidParameterCombination"),
        ({"AvailabilityZone": "us-east-1c"}, "InvalidParameterValue"),
    ],
)
def test_what_rds_refuses_of_a_member_is_refused(create_cluster, add_member, changed, code):
    create_cluster()
    assert code_of(add_member, **changed) == code


def test_a_serverless_member_needs_a_cluster_that_scales(create_cluster, add_member):
    create_cluster(ServerlessV2ScalingConfiguration=None)
    assert code_of(add_member) == "InvalidParameterCombination"


def test_a_member_is_in_a_zone_of_its_cluster(create_cluster, add_member, unique):
    """Of six zones RDS has chosen three."""
    shown = create_cluster()["AvailabilityZones"]
    assert len(shown) == 3
    assert "us-east-1a" not in shown
    assert code_of(add_member, AvailabilityZone="us-east-1a") == "InvalidParameterValue"
    named = create_cluster(DBClusterIdentifier=f"{unique}-b", AvailabilityZones=["us-east-1a"])
    assert "us-east-1a" in named["AvailabilityZones"]
    assert len(named["AvailabilityZones"]) == 3
    add_member(DBClusterIdentifier=f"{unique}-b", AvailabilityZone="us-east-1a")


def test_a_member_needs_a_cluster_that_is_there(create_cluster, add_member, unique):
    create_cluster()
    cluster_of(unique).status = "creating"
    assert code_of(add_member) == "InvalidDBClusterStateFault"


def test_the_settings_of_a_cluster_are_not_its_members(client, create_cluster, add_member, unique):
    create_cluster()
    add_member()
    rds, named = client("rds"), {"DBInstanceIdentifier": f"{unique}-1"}
    for changed in ({"BackupRetentionPeriod": 9}, {"DeletionProtection": True}):
        assert code_of(rds.modify_db_instance, **named, **changed) == "InvalidParameterCombination"
    assert code_of(rds.stop_db_instance, **named) == "InvalidParameterCombination"
    assert code_of(rds.create_db_snapshot, **named, DBSnapshotIdentifier="s") == "InvalidParameterValue"
    code = code_of(rds.delete_db_instance, **named, FinalDBSnapshotIdentifier="s")
    assert code == "InvalidParameterCombination"
    shown = rds.modify_db_instance(**named, AutoMinorVersionUpgrade=False)["DBInstance"]
    assert shown["DBClusterIdentifier"] == unique


def test_members_go_before_their_cluster(client, create_cluster, add_member, unique, cloud):
    rds, named = client("rds"), {"DBClusterIdentifier": unique}
    create_cluster()
    add_member()
    assert code_of(rds.delete_db_cluster, **named) == "InvalidParameterCombination"
    both = {"SkipFinalSnapshot": True, "FinalDBSnapshotIdentifier": "last"}
    assert code_of(rds.delete_db_cluster, **named, **both) == "InvalidParameterCombination"
    assert code_of(rds.delete_db_cluster, **named, SkipFinalSnapshot=True) == "InvalidDBClusterStateFault"
    rds.delete_db_instance(DBInstanceIdentifier=f"{unique}-1")
    name, (_, forget) = cloud.infrastructure.clusters.asked[-1]
    assert name == "remove"
    database_of(f"{unique}-1").status = "deleting"
    forget()
    rds.delete_db_cluster(**named, FinalDBSnapshotIdentifier=f"{unique}-last")
    name, (_, snapshot, forget) = cloud.infrastructure.clusters.asked[-1]
    assert (name, snapshot.db_cluster_snapshot_identifier) == ("delete", f"{unique}-last")
    assert rds.describe_db_clusters(**named)["DBClusters"]
    forget()
    assert code_of(rds.describe_db_clusters, **named) == "DBClusterNotFoundFault"


def test_a_protected_cluster_stays(client, create_cluster, unique):
    create_cluster(DeletionProtection=True)
    delete = client("rds").delete_db_cluster
    assert (
        code_of(delete, DBClusterIdentifier=unique, SkipFinalSnapshot=True) == "InvalidParameterCombination"
    )


def test_nothing_of_a_stopped_cluster_is_changed_or_deleted(client, create_cluster, add_member, unique):
    rds, named = client("rds"), {"DBClusterIdentifier": unique}
    create_cluster()
    add_member()
    cluster_of(unique).status = "stopped"
    for function, arguments in (
        (rds.modify_db_cluster, {"BackupRetentionPeriod": 9}),
        (rds.failover_db_cluster, {}),
        (rds.create_db_cluster_snapshot, {"DBClusterSnapshotIdentifier": "s"}),
        (rds.delete_db_cluster, {"SkipFinalSnapshot": True}),
    ):
        assert code_of(function, **named, **arguments) == "InvalidDBClusterStateFault"
    delete = rds.delete_db_instance
    assert code_of(delete, DBInstanceIdentifier=f"{unique}-1") == "InvalidDBClusterStateFault"


def test_a_failover_needs_somebody_to_take_over(client, create_cluster, add_member, unique):
    rds, named = client("rds"), {"DBClusterIdentifier": unique}
    create_cluster()
    add_member()
    assert code_of(rds.failover_db_cluster, **named) == "InvalidDBClusterStateFault"
    add_member(DBInstanceIdentifier=f"{unique}-2")
    target = {"TargetDBInstanceIdentifier": f"{unique}-1"}
    assert code_of(rds.failover_db_cluster, **named, **target) == "InvalidParameterValue"
    target = {"TargetDBInstanceIdentifier": "other"}
    assert code_of(rds.failover_db_cluster, **named, **target) == "InvalidParameterValue"


def test_the_writer_is_another_when_it_writes_and_not_before(
    cloud, client, create_cluster, add_member, unique
):
    rds, named = client("rds"), {"DBClusterIdentifier": unique}
    create_cluster()
    add_member()
    add_member(DBInstanceIdentifier=f"{unique}-2")
    shown = rds.failover_db_cluster(**named)["DBCluster"]
    assert cloud.infrastructure.clusters.asked[-1] == ("failover", (cluster_of(unique), f"{unique}-2"))
    writers = [one["DBInstanceIdentifier"] for one in shown["DBClusterMembers"] if one["IsClusterWriter"]]
    assert writers == [f"{unique}-1"]


def test_the_names_lead_to_who_writes_and_who_reads(create_cluster, add_member, unique):
    create_cluster()
    cluster, backend, name_of = cluster_of(unique), account.rds("us-east-1"), attrgetter("resource_id")
    for number in (1, 2):
        add_member(DBInstanceIdentifier=f"{unique}-{number}")
        if number == 1:
            found = database_objects.endpoints(backend, name_of)
            assert found[cluster.reader_endpoint] == [f"{unique}-1"]
    found = database_objects.endpoints(backend, name_of)
    assert (found[cluster.endpoint], found[cluster.reader_endpoint]) == ([f"{unique}-1"], [f"{unique}-2"])
    for member in database_objects.members_of(cluster):
        member.is_cluster_writer = not member.is_cluster_writer
    found = database_objects.endpoints(backend, name_of)
    assert (found[cluster.endpoint], found[cluster.reader_endpoint]) == ([f"{unique}-2"], [f"{unique}-1"])
