"""A cluster of Aurora that goes, with its members before it and a snapshot after it; and what holds it up."""

from collections.abc import Callable
from typing import Any

import pytest
from moto.rds.models import rds_backends

from provisioner.engine import plan
from provisioner.errors import FlowsteadError
from tests.unit.provisioner.aurora_account import NAME, Aurora
from tests.unit.provisioner.moto_account import REGION, Account, changes
from tests.unit.provisioner.test_half_made import killed_after_each_call

MEMBERS = ("database_aurora_1", "database_aurora_2")


def order_of(aurora: Aurora) -> list[str]:
    """Note the calls that change databases, in their order."""
    order: list[str] = []

    def note(moment: str, name: str) -> None:
        if moment == "before" and "DB" in name and not name.startswith("Describe"):
            order.append(name)

    aurora.account.hooks.append(note)
    return order


def snapshots(aurora: Aurora) -> list[str]:
    found = aurora.call("describe_db_cluster_snapshots", SnapshotType="manual")["DBClusterSnapshots"]
    return [one["DBClusterSnapshotIdentifier"] for one in found]


def test_members_go_first_and_a_snapshot_is_left(aurora: Aurora) -> None:
    order = order_of(aurora)
    planned = aurora.destroy(keep_data=False)
    assert [name for name in order if "Group" not in name] == [
        "DeleteDBInstance",
        "DeleteDBInstance",
        "ModifyDBCluster",
        "DeleteDBCluster",
    ]
    assert sorted(order[-2:]) == ["DeleteDBClusterParameterGroup", "DeleteDBSubnetGroup"]
    (snapshot,) = snapshots(aurora)
    assert f"final snapshot {snapshot} of database cluster {NAME}" in planned.kept
    left = plan.left_by(planned, aurora.account.open())
    assert left.unknown == ()


def test_without_a_final_snapshot_there_is_none(aurora: Aurora) -> None:
    aurora.destroy(final_snapshot=False)
    assert snapshots(aurora) == []


def test_the_same_destroy_twice_is_no_error(aurora: Aurora) -> None:
    aurora.destroy(keep_data=False)
    assert aurora.destroy(keep_data=False).changes == ()
    assert len(snapshots(aurora)) == 1


def test_a_stopped_one_is_started_to_be_deleted(aurora: Aurora) -> None:
    """Nothing of a stopped cluster can be deleted; its members stop and start with it."""
    aurora.call("stop_db_cluster", DBClusterIdentifier=NAME)
    databases = rds_backends["123456789012"][REGION].databases
    for member in databases.values():
        member.status = "stopped"

    def start(moment: str, name: str) -> None:
        if (moment, name) == ("after", "StartDBCluster"):
            for member in databases.values():
                member.status = "available"

    assert changes(aurora.plan()) == {"database_aurora": "update", **dict.fromkeys(MEMBERS, "wait")}
    order = order_of(aurora)
    aurora.account.hooks.append(start)
    aurora.destroy()
    assert order[0] == "StartDBCluster"
    assert "DeleteDBCluster" in order


def test_a_stopped_one_is_started_by_an_apply(aurora: Aurora) -> None:
    aurora.call("stop_db_cluster", DBClusterIdentifier=NAME)
    databases = rds_backends["123456789012"][REGION].databases
    for member in databases.values():
        member.status = "stopped"

    def start(moment: str, name: str) -> None:
        if (moment, name) == ("after", "StartDBCluster"):
            for member in databases.values():
                member.status = "available"

    aurora.account.hooks.append(start)
    aurora.apply()
    assert aurora.plan().is_empty


@pytest.mark.slow
def test_killed_after_each_call_in_turn_it_goes_on_and_makes_nothing_twice(account: Account) -> None:
    made = Aurora(account)
    assert killed_after_each_call(account, made.apply) > 10
    assert made.plan().is_empty
    assert (made.writers().keys(), sum(made.writers().values())) == ({f"{NAME}-1", f"{NAME}-2"}, 1)


@pytest.mark.slow
def test_killed_after_each_call_in_turn_it_removes_everything(aurora: Aurora) -> None:
    assert killed_after_each_call(aurora.account, lambda: aurora.destroy(keep_data=False)) > 10
    left = {name for name, action in changes(aurora.plan()).items() if action != "create"}
    assert left == {name for name in left if name.startswith("secret_")}


@pytest.mark.slow
def test_every_call_whose_answer_is_lost_once_is_made_good(account: Account) -> None:
    lost = {"RunInstances", "RemoveRoleFromInstanceProfile"}

    def loses(operation: str) -> bool:
        return operation not in lost and not lost.add(operation)

    made, account.loses = Aurora(account), loses
    made.apply()
    assert made.plan().is_empty
    made.destroy(keep_data=False)
    assert {"CreateDBCluster", "CreateDBClusterParameterGroup", "DeleteDBCluster"} <= lost
    assert made.call("describe_db_clusters")["DBClusters"] == []
    assert made.call("describe_db_instances")["DBInstances"] == []


def test_one_that_is_no_longer_wanted_stays_with_its_members(aurora: Aurora) -> None:
    """It holds data; the members go when the cluster does."""
    live = aurora.live("database_aurora")
    aurora.call(
        "create_db_cluster",
        DBClusterIdentifier="earlier",
        Engine="aurora-postgresql",
        MasterUsername="somebody",
        MasterUserPassword="something-long",
        Tags=[{"Key": key, "Value": value} for key, value in live.tags.items()],
    )
    tags = [{"Key": key, "Value": value} for key, value in aurora.live("database_aurora_1").tags.items()]
    aurora.call(
        "create_db_instance",
        DBInstanceIdentifier="earlier-1",
        DBClusterIdentifier="earlier",
        Engine="aurora-postgresql",
        DBInstanceClass="db.serverless",
        Tags=tags,
    )
    planned = aurora.plan()
    assert planned.is_empty
    (notice,) = planned.notices
    assert "--remove earlier" in notice
    removal = plan.make(aurora.account.graph(**aurora.wanted()), aurora.account.open(), {"earlier"})
    assert {one.live.id for one in removal.changes if one.action == "delete" and one.live} == {
        "earlier",
        "earlier-1",
    }


def in_the_network(aurora: Aurora) -> str:
    cluster(aurora, "neighbour", DBSubnetGroupName=aurora.live("database_subnets").id)
    return "the database neighbour is in the deployment's network"


def with_its_parameters(aurora: Aurora) -> str:
    cluster(aurora, "borrower", DBClusterParameterGroupName=aurora.live("database_parameters_aurora").id)
    return "the database borrower uses it"


def cluster(aurora: Aurora, name: str, **more: Any) -> None:
    aurora.call(
        "create_db_cluster",
        DBClusterIdentifier=name,
        Engine="aurora-postgresql",
        MasterUsername="somebody",
        MasterUserPassword="something-long",
        **more,
    )


@pytest.mark.parametrize("hinder", [in_the_network, with_its_parameters])
def test_what_would_stop_a_destroy_is_named_before_it_begins(
    aurora: Aurora, hinder: Callable[[Aurora], str]
) -> None:
    text = hinder(aurora)
    aurora.account.calls.clear()
    with pytest.raises(FlowsteadError, match=text):
        aurora.destroy()
    assert not {one for one in aurora.account.calls if one.startswith(("Create", "Delete", "Modify"))}
