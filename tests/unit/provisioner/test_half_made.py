"""Killed at any point and run again, it goes on; nothing is made twice."""

import functools
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from moto.rds.models import rds_backends

from tests.unit.provisioner.moto_account import Account, changes


class KilledError(Exception):
    """The process is gone."""


_KINDS = {
    "network": ("describe_vpcs", "Vpcs"),
    "internet_gateway": ("describe_internet_gateways", "InternetGateways"),
    "public_1": ("describe_subnets", "Subnets"),
    "server_address": ("describe_addresses", "Addresses"),
    "s3_endpoint": ("describe_vpc_endpoints", "VpcEndpoints"),
    "server": ("describe_instances", "Reservations"),
}


def twins(account: Account) -> list[str]:
    """Name what is there more often than once."""
    found = []
    for name, (operation, key) in _KINDS.items():
        filters = [{"Name": "tag:flowstead:resource", "Values": [name]}]
        items = account.call("ec2", operation, Filters=filters)[key]
        found += [name] if len(items) > 1 else []
    return found


def killed_after_each_call(account: Account, act: Callable[[], Any]) -> int:
    """Do something again and again, each time killed after its first changing call; tells how often."""
    is_dead = threading.Event()

    def hook(moment: str, name: str) -> None:
        if moment == "after" and not name.startswith(("Describe", "Get", "List", "Head")):
            is_dead.set()
        if is_dead.is_set():
            raise KilledError

    account.hooks.append(hook)
    kills = 0
    while True:
        is_dead.clear()
        try:
            act()
        except KilledError:
            kills += 1
        else:
            account.hooks.clear()
            return kills


@pytest.mark.slow
def test_killed_after_each_call_in_turn_it_goes_on_and_makes_nothing_twice(account: Account) -> None:
    """From the call on, nothing reaches AWS any more: as if the process were gone."""
    assert killed_after_each_call(account, account.apply) > 10
    assert account.plan().is_empty
    assert twins(account) == []


@pytest.mark.slow
def test_killed_after_each_call_in_turn_it_removes_everything(stacked: Account) -> None:
    assert killed_after_each_call(stacked, functools.partial(stacked.destroy, keep_data=False)) > 10
    # Secrets wait for their deletion, and are restored by the next apply.
    left = {name for name, action in changes(stacked.plan()).items() if action != "create"}
    assert left == {name for name in left if name.startswith("secret_")}


def test_a_bucket_without_its_policy_is_finished(stacked: Account) -> None:
    stacked.call("s3", "delete_bucket_policy", Bucket=stacked.live("artifacts").id)
    assert changes(stacked.plan()) == {"artifacts": "update"}
    stacked.apply()
    assert stacked.plan().is_empty


def test_an_empty_bucket_of_ours_without_tags_is_taken_and_tagged(account: Account) -> None:
    account.call("s3", "create_bucket", Bucket="flowstead-123456789012-us-east-1")
    assert changes(account.plan())["artifacts"] == "update"
    account.apply()
    assert account.live("artifacts").tags["flowstead:deployment"] == "flowstead"


def test_a_database_still_being_made_is_waited_for(stacked: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    database = rds_backends["123456789012"]["us-east-1"].databases["flowstead-flowstead"]
    monkeypatch.setattr(database, "status", "creating")
    assert changes(stacked.plan()) == {"database": "wait"}
    looks = iter(["creating", "creating"])

    def progress(moment: str, name: str) -> None:
        if (moment, name) == ("before", "DescribeDBInstances"):
            database.status = next(looks, "available")

    stacked.hooks.append(progress)
    stacked.apply()
    assert stacked.calls["CreateDBInstance"] == 0
    assert stacked.plan().is_empty


def test_a_secret_without_a_value_gets_one(account: Account) -> None:
    secret = account.graph()["secret_admin"]
    account.call(
        "secretsmanager",
        "create_secret",
        Name="flowstead/flowstead/admin",
        Tags=[{"Key": key, "Value": value} for key, value in secret.tags.items()],
    )
    assert changes(account.plan())["secret_admin"] == "update"
    account.apply()
    value = account.call("secretsmanager", "get_secret_value", SecretId="flowstead/flowstead/admin")
    assert len(json.loads(value["SecretString"])["password"]) == 24


def test_a_half_made_deployment_is_removed(account: Account) -> None:
    def kill(moment: str, name: str) -> None:
        if (moment, name) == ("before", "RunInstances"):
            raise KilledError

    account.hooks.append(kill)
    with pytest.raises(KilledError):
        account.apply()
    account.hooks.clear()
    account.destroy(keep_data=False)
    assert set(changes(account.plan()).values()) == {"create", "update"}
    assert (
        account.call("ec2", "describe_vpcs", Filters=[{"Name": "is-default", "Values": ["false"]}])["Vpcs"]
        == []
    )
