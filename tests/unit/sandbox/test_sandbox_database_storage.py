from __future__ import annotations

from asking import code_of


def test_storage_that_has_grown_is_optimized_and_grows_no_more_for_six_hours(
    cloud, client, create_database, pace, unique
):
    rds = client("rds")
    rds.create_db_parameter_group(
        DBParameterGroupName=unique, DBParameterGroupFamily="postgres17", Description="d"
    )
    create_database(DBParameterGroupName=unique)

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


def test_large_gp3_storage_grows_with_its_iops_only(client, create_database, pace, unique):
    rds = client("rds")
    made = create_database(StorageType="gp3", AllocatedStorage=399)
    assert (made["Iops"], made["StorageThroughput"]) == (3000, 125)
    pace.set({"storage-change": 0, "storage-optimization": 0})
    named = {"DBInstanceIdentifier": unique, "ApplyImmediately": True}
    for size in (450, 600):
        refused = code_of(rds.modify_db_instance, **named, AllocatedStorage=size)
        assert refused == "InvalidParameterCombination"
        grown = rds.modify_db_instance(**named, AllocatedStorage=size, Iops=12000)["DBInstance"]
        assert (grown["AllocatedStorage"], grown["Iops"]) == (size, 12000)
    assert rds.modify_db_instance(**named, BackupRetentionPeriod=3)["DBInstance"]["Iops"] == 12000
