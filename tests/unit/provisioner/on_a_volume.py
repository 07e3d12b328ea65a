"""A deployment whose data are on a volume, made once, and what tests ask of it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from provisioner.engine import plan
from provisioner.engine.apply import apply
from provisioner.engine.plan import Plan
from provisioner.resources.base import Live
from tests.unit.provisioner.copies import Copies
from tests.unit.provisioner.moto_account import Account

NONE: dict[str, Any] = {"database": {"engine": "none", "deletion_protection": False}}


_stack, _policies = Copies(), dict[str, Any]()


@pytest.fixture
def kept(account: Account) -> Account:
    """The account with a finished deployment whose data are on a volume."""

    def make() -> None:
        account.apply(**NONE)
        _policies.update(copy.deepcopy(account.policies.kept))

    _stack.begin(make)
    account.policies.kept = copy.deepcopy(_policies)
    account.calls.clear()
    return account


def sized(gib: int) -> dict[str, Any]:
    return {"database": {**NONE["database"], "volume_gib": gib}}


def live(account: Account, name: str) -> Live:
    found = account.graph(**NONE)[name].find(account.open())
    assert found
    return found


def state_of(account: Account, id_: str) -> dict[str, Any]:
    (found,) = account.call("ec2", "describe_volumes", VolumeIds=[id_])["Volumes"]
    return dict(found)


def destroy(account: Account, **choices: bool) -> Plan:
    aws = account.open()
    planned = plan.destroy(account.graph(**NONE), aws, plan.Teardown(**choices))
    apply(planned, aws)
    return planned


def snapshots(account: Account) -> dict[str, dict[str, Any]]:
    """Give the account's snapshots of volumes, by name."""
    found = account.call("ec2", "describe_snapshots", OwnerIds=["self"])["Snapshots"]
    return {tag["Value"]: one for one in found for tag in one.get("Tags", []) if tag["Key"] == "Name"}


def snapshot(account: Account, volume_id: str, **tags: str) -> str:
    items = [{"Key": key.replace("_", ":"), "Value": value} for key, value in tags.items()]
    specification = [{"ResourceType": "snapshot", "Tags": items}]
    made = account.call("ec2", "create_snapshot", VolumeId=volume_id, TagSpecifications=specification)
    return str(made["SnapshotId"])
