"""A database that grows, fills, stops, goes, and is protected."""

from typing import Any

import pytest
from moto.rds.models import rds_backends

from provisioner.errors import DriftError
from tests.unit.provisioner.moto_account import REGION, Account, changes, settings

# They make a deployment each: these run in `make test`.
pytestmark = pytest.mark.slow


def database() -> Any:
    """RDS's own record of the database."""
    return rds_backends["123456789012"][REGION].databases["flowstead-flowstead"]


@pytest.mark.parametrize("status", ["storage-optimization", "storage-full", "storage-initialization"])
def test_it_is_changed_in_a_state_that_serves_and_lasts(stacked: Account, status: str) -> None:
    """A full disk grows by being changed, and the work on a grown one takes hours."""
    database().status = status
    assert stacked.plan().is_empty

    def last(moment: str, name: str) -> None:
        if (moment, name) == ("after", "ModifyDBInstance"):
            database().status = status

    stacked.hooks.append(last)
    wanted = {"database": {"storage_gib": 40}}
    stacked.apply(**wanted)
    assert stacked.plan(**wanted).is_empty


def test_a_disk_that_may_not_grow_is_no_drift(account: Account) -> None:
    wanted = {"database": {"storage_gib": 20, "max_storage_gib": 20}}
    account.apply(**wanted)
    assert account.plan(**wanted).is_empty


def test_a_limit_below_the_disk_is_refused_before(stacked: Account) -> None:
    stacked.call("rds", "modify_db_instance", DBInstanceIdentifier="flowstead-flowstead", AllocatedStorage=80)
    with pytest.raises(DriftError, match="the disk has grown to 80 GiB, and none shrinks"):
        stacked.plan(database={"max_storage_gib": 60})


def test_a_disk_of_400_gib_is_given_its_operations(stacked: Account) -> None:
    stacked.apply(database={"storage_gib": 400, "max_storage_gib": 500})
    assert database().iops == 12000


def test_one_that_goes_while_it_is_waited_for_is_made(stacked: Account) -> None:
    database().status = "deleting"
    looks = [0]

    def go(moment: str, name: str) -> None:
        if (moment, name) == ("before", "DescribeDBInstances"):
            looks[0] += 1
            if looks[0] == 3:
                rds = rds_backends["123456789012"][REGION]
                del rds.databases["flowstead-flowstead"]
                rds.database_snapshots.clear()

    planned = stacked.plan()
    assert changes(planned) == {"database": "wait"}
    looks[0] = 0
    stacked.hooks.append(go)
    stacked.apply()
    assert stacked.calls["CreateDBInstance"] == 1
    assert stacked.plan().is_empty


def test_a_stopped_protected_one_is_started_to_be_deleted(stacked: Account) -> None:
    """RDS neither changes a stopped one nor takes a snapshot of it."""
    stacked.call("rds", "stop_db_instance", DBInstanceIdentifier="flowstead-flowstead")
    order: list[str] = []
    stacked.hooks.append(lambda moment, name: order.append(name) if moment == "before" else None)
    stacked.destroy()
    calls = [name for name in order if name.endswith("DBInstance")]
    assert calls == ["StartDBInstance", "ModifyDBInstance", "DeleteDBInstance"]


def test_a_host_that_is_refused_a_size_is_started_again(stacked: Account) -> None:
    def refuse(moment: str, name: str) -> None:
        if (moment, name) == ("before", "ModifyInstanceAttribute"):
            raise RuntimeError

    stacked.hooks.append(refuse)
    with pytest.raises(RuntimeError):
        stacked.apply(server={"instance_type": "t3.medium"})
    stacked.hooks.clear()
    assert stacked.live("server").status == "running"
    assert settings(stacked.plan(server={"instance_type": "t3.medium"}), "server") == {"instance type"}
