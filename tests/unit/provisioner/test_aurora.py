"""A cluster of Aurora: made, found again, set right, failed over, and removed with its members."""

from collections.abc import Callable
from typing import Any

import pytest
from moto.rds.models import rds_backends

from provisioner import stack
from provisioner.config import Deployment
from provisioner.engine import plan
from provisioner.engine.apply import apply
from provisioner.errors import DriftError, NotOfferedError, UsageError
from tests.unit.provisioner.aurora_account import NAME, Aurora
from tests.unit.provisioner.moto_account import REGION, Account, changes, settings


def test_everything_is_made_once_and_found_again(aurora: Aurora) -> None:
    aws = aurora.account.open()
    planned = plan.make(aurora.account.graph(**aurora.wanted()), aws)
    assert planned.is_empty
    assert planned.notices == ()
    assert aws.mutating_calls == 0
    assert aws.reading_calls <= 55
    for change in planned.changes:
        assert change.live
        names = [one.name for one in change.resource.settings(change.live, planned.state)]
        assert len(names) == len(set(names)), (change.resource, names)


def test_what_is_made_is_private_encrypted_and_in_two_zones(aurora: Aurora) -> None:
    (cluster,) = aurora.call("describe_db_clusters")["DBClusters"]
    assert cluster["EngineVersion"] == "17.5"
    assert set(cluster["AvailabilityZones"]) == {"us-east-1a", "us-east-1b"}
    assert cluster["StorageEncrypted"]
    assert cluster["DeletionProtection"]
    assert cluster["CopyTagsToSnapshot"]
    assert cluster["BackupRetentionPeriod"] == 7
    assert cluster["MasterUserSecret"]["SecretArn"]
    assert cluster["ServerlessV2ScalingConfiguration"] == {"MinCapacity": 0.5, "MaxCapacity": 2.0}
    members = aurora.call("describe_db_instances")["DBInstances"]
    assert {one["DBInstanceIdentifier"]: one["AvailabilityZone"] for one in members} == {
        f"{NAME}-1": "us-east-1a",
        f"{NAME}-2": "us-east-1b",
    }
    assert {(one["DBInstanceClass"], one["PubliclyAccessible"]) for one in members} == {
        ("db.serverless", False)
    }


def test_mysql_is_made_by_versions_and_parameters_of_its_own(account: Account) -> None:
    wanted = {"database": {"engine": "aurora-mysql", "readers": 1}}
    account.apply(**wanted)
    (cluster,) = account.call("rds", "describe_db_clusters")["DBClusters"]
    assert (cluster["Engine"], cluster["EngineVersion"]) == ("aurora-mysql", "8.0.mysql_aurora.3.10.0")
    assert cluster["Port"] == 3306
    group = cluster["DBClusterParameterGroup"]
    assert group.endswith("aurora-mysql8-0")
    parameters = account.call("rds", "describe_db_cluster_parameters", DBClusterParameterGroupName=group)[
        "Parameters"
    ]
    assert {one["ParameterName"]: one["ParameterValue"] for one in parameters} == {
        "log_bin_trust_function_creators": "1",
        "require_secure_transport": "ON",
    }
    assert account.plan(**wanted).is_empty


def modified(**changed: Any) -> Callable[[Aurora], Any]:
    return lambda a: a.call("modify_db_cluster", DBClusterIdentifier=NAME, ApplyImmediately=True, **changed)


DRIFT: dict[str, tuple[str, str, Callable[[Aurora], Any]]] = {
    "unprotected": ("database_aurora", "DeletionProtection", modified(DeletionProtection=False)),
    "backups": ("database_aurora", "BackupRetentionPeriod", modified(BackupRetentionPeriod=1)),
    "snapshots without tags": ("database_aurora", "CopyTagsToSnapshot", modified(CopyTagsToSnapshot=False)),
    "capacity": (
        "database_aurora",
        "capacity",
        modified(ServerlessV2ScalingConfiguration={"MinCapacity": 8, "MaxCapacity": 64}),
    ),
    "in another group": ("database_aurora", "security groups", modified(VpcSecurityGroupIds=["sg-1"])),
    "without its parameters": (
        "database_aurora",
        "parameter group",
        modified(DBClusterParameterGroupName="default.aurora-postgresql17"),
    ),
    "password given": ("database_aurora", "master password", modified(ManageMasterUserPassword=False)),
    "stopped": ("database_aurora", "state", lambda a: a.call("stop_db_cluster", DBClusterIdentifier=NAME)),
    "force_ssl off": (
        "database_parameters_aurora",
        "rds.force_ssl",
        lambda a: a.call(
            "modify_db_cluster_parameter_group",
            DBClusterParameterGroupName=a.live("database_parameters_aurora").id,
            Parameters=[
                {"ParameterName": "rds.force_ssl", "ParameterValue": "0", "ApplyMethod": "immediate"}
            ],
        ),
    ),
    "a member of another class": (
        "database_aurora_2",
        "DBInstanceClass",
        lambda a: a.call(
            "modify_db_instance", DBInstanceIdentifier=f"{NAME}-2", DBInstanceClass="db.r6g.large"
        ),
    ),
    "a public member": (
        "database_aurora_1",
        "PubliclyAccessible",
        lambda a: a.call("modify_db_instance", DBInstanceIdentifier=f"{NAME}-1", PubliclyAccessible=True),
    ),
    "a member without a tag": (
        "database_aurora_1",
        "tag Name",
        lambda a: a.call(
            "remove_tags_from_resource", ResourceName=a.live("database_aurora_1").arn, TagKeys=["Name"]
        ),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DRIFT)
def test_drift_is_shown_and_set_right(aurora: Aurora, name: str) -> None:
    resource, setting, happen = DRIFT[name]
    happen(aurora)
    planned = aurora.plan()
    assert changes(planned) == {resource: "update"}
    assert setting in settings(planned, resource)
    aurora.apply()
    assert aurora.plan().is_empty


@pytest.mark.parametrize(
    ("resource", "keys"),
    [
        ("database_aurora", {"max_acu": 16}),
        ("database_aurora", {"min_acu": 0}),
        ("database_aurora", {"backup_days": 14}),
        ("database_aurora", {"deletion_protection": False}),
    ],
)
def test_a_changed_setting_is_applied(aurora: Aurora, resource: str, keys: dict[str, Any]) -> None:
    assert changes(aurora.plan(**keys)) == {resource: "update"}
    aurora.apply(**keys)
    assert aurora.plan(**keys).is_empty


def test_members_are_looked_at_when_that_is_wanted(aurora: Aurora) -> None:
    watched = {
        "monitoring_role_aurora": "create",
        "database_aurora_1": "update",
        "database_aurora_2": "update",
    }
    assert changes(aurora.plan(monitoring_s=60)) == watched
    aurora.apply(monitoring_s=60)
    assert aurora.plan(monitoring_s=60).is_empty
    role = aurora.account.call("iam", "get_role", RoleName="flowstead-flowstead-us-east-1-mon-apg")["Role"]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Condition"]["ArnLike"] == {
        "aws:SourceArn": f"arn:aws:rds:us-east-1:123456789012:db:{NAME}-*"
    }


@pytest.mark.parametrize("status", ["available", "failing-over"])
def test_a_failover_is_no_drift(aurora: Aurora, status: str) -> None:
    # Both are made at the same time, and the first that is there writes.
    before = aurora.writers()
    aurora.call("failover_db_cluster", DBClusterIdentifier=NAME)
    assert aurora.writers() == {name: not writes for name, writes in before.items()}
    rds_backends["123456789012"][REGION].clusters[NAME].status = status
    aurora.account.calls.clear()
    assert aurora.plan().is_empty
    aurora.apply()
    assert not [
        one for one in aurora.account.calls if not one.startswith(("Describe", "Get", "List", "Head"))
    ]


@pytest.mark.parametrize("number", [1, 2])
def test_a_lost_member_is_made_again_whether_it_wrote_or_not(aurora: Aurora, number: int) -> None:
    aurora.call("delete_db_instance", DBInstanceIdentifier=f"{NAME}-{number}", SkipFinalSnapshot=True)
    assert changes(aurora.plan()) == {f"database_aurora_{number}": "create"}
    aurora.apply()
    assert aurora.plan().is_empty
    assert sum(aurora.writers().values()) == 1


def test_more_readers_are_made_and_fewer_go(aurora: Aurora) -> None:
    assert changes(aurora.plan(readers=3)) == {"database_aurora_3": "create", "database_aurora_4": "create"}
    aurora.apply(readers=3)
    assert aurora.plan(readers=3).is_empty
    planned = aurora.plan(readers=0)
    assert changes(planned) == dict.fromkeys(
        ("database_aurora_2", "database_aurora_3", "database_aurora_4"), "delete"
    )
    aurora.apply(readers=0)
    assert aurora.plan(readers=0).is_empty
    assert aurora.writers() == {f"{NAME}-1": True}


OTHER_WAYS: dict[str, dict[str, Any]] = {
    "aurora-postgresql": {"engine": "aurora-postgresql"},
    "postgresql": {},
}


@pytest.mark.parametrize("engine", OTHER_WAYS)
def test_another_engine_is_refused_where_there_are_data(account: Account, engine: str) -> None:
    others = [other for other in OTHER_WAYS if other != engine]
    account.apply(database=OTHER_WAYS[others[0]])
    account.calls.clear()
    with pytest.raises(NotOfferedError) as caught:
        account.apply(database=OTHER_WAYS[engine])
    ((key, text),) = caught.value.mistakes
    assert key == "database.engine"
    assert "To move them: python provision.py move." in text
    assert not [one for one in account.calls if not one.startswith(("Describe", "Get", "List", "Head"))]


def test_who_gives_the_data_up_by_name_has_another_engine(aurora: Aurora) -> None:
    aws = aurora.account.open()
    unprotected = plan.make(aurora.account.graph(), aws, {NAME})
    assert {changes(unprotected)[name] for name in ("database_aurora_1", "database_aurora_2")} == {"delete"}
    apply(unprotected, aws)
    assert aurora.account.plan().is_empty
    (snapshot,) = aurora.call("describe_db_cluster_snapshots", SnapshotType="manual")["DBClusterSnapshots"]
    assert snapshot["DBClusterSnapshotIdentifier"].startswith(f"{NAME}-final-")


def test_an_older_version_and_another_place_of_artifacts_are_refused(aurora: Aurora) -> None:
    with pytest.raises(DriftError, match=r"engine version: 17\.5 -> 15 \(RDS goes neither back"):
        aurora.plan(engine_version="15")
    with pytest.raises(DriftError, match="its runs name that place"):
        aurora.account.plan(**aurora.wanted(), artifacts={"prefix": "elsewhere"})


def mistakes(account: Account, **keys: Any) -> dict[str, str]:
    with pytest.raises(NotOfferedError) as caught:
        account.apply(database={"engine": "aurora-postgresql", **keys})
    assert not [one for one in account.calls if not one.startswith(("Describe", "Get", "List", "Head"))]
    return dict(caught.value.mistakes)


def test_a_version_that_aurora_lacks_names_those_that_it_has(account: Account) -> None:
    text = mistakes(account, engine_version="16")["database.engine_version"]
    assert text.startswith("Aurora PostgreSQL 16 is not offered as Aurora Serverless v2 in us-east-1")
    assert text.endswith("allowed: 15.4, 15.10, 17.5")


def test_the_limits_of_a_version_are_aws_own(account: Account) -> None:
    found = mistakes(account, engine_version="15.4", min_acu=0, max_acu=200)
    assert found == {
        "database.min_acu": "must be at least 0.5 with Aurora PostgreSQL 15.4, is 0",
        "database.max_acu": "must be at most 128 with Aurora PostgreSQL 15.4, is 200",
    }


def test_the_newest_minor_version_is_made(account: Account) -> None:
    account.apply(database={"engine": "aurora-postgresql", "engine_version": "15"})
    (cluster,) = account.call("rds", "describe_db_clusters")["DBClusters"]
    assert cluster["EngineVersion"] == "15.10"


def test_a_cluster_without_members_is_finished(aurora: Aurora) -> None:
    for number in (1, 2):
        aurora.call("delete_db_instance", DBInstanceIdentifier=f"{NAME}-{number}", SkipFinalSnapshot=True)
    assert changes(aurora.plan()) == {"database_aurora_1": "create", "database_aurora_2": "create"}
    aurora.apply()
    assert aurora.plan().is_empty


def test_a_cluster_of_somebody_else_is_left_alone(account: Account) -> None:
    account.call(
        "rds",
        "create_db_cluster",
        DBClusterIdentifier=NAME,
        Engine="aurora-postgresql",
        MasterUsername="somebody",
        MasterUserPassword="something-long",
    )
    account.calls.clear()
    with pytest.raises(DriftError, match="belongs to somebody else"):
        account.apply(database={"engine": "aurora-postgresql"})
    assert not [one for one in account.calls if not one.startswith(("Describe", "Get", "List", "Head"))]


def test_the_name_at_which_it_takes_writes_is_told(aurora: Aurora) -> None:
    deployment = Deployment.model_validate(aurora.wanted())
    made = stack.build(stack.Context(deployment, "123456789012", (), "")).database
    live = aurora.live("database_aurora")
    assert made.is_cluster
    assert made.endpoint(live) == (live.facts["Endpoint"], 5432)
    assert ".cluster-" in live.facts["Endpoint"]


def test_a_protected_cluster_is_a_mistake_of_usage(aurora: Aurora) -> None:
    with pytest.raises(UsageError, match=r"database\.deletion_protection"):
        plan.destroy(aurora.account.graph(**aurora.wanted()), aurora.account.open())
