"""Snapshots of the volume with the data: every night, and a last one before it goes."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.errors import FlowsteadError
from provisioner.resources.state import State
from tests.unit.provisioner.moto_account import Account, changes, settings
from tests.unit.provisioner.on_a_volume import (
    NONE,
    destroy,
    kept,
    live,
    snapshot,
    snapshots,
    state_of,
)

__all__ = ["kept"]


def test_a_destroy_takes_a_last_snapshot_first_and_deletes_the_nightly_ones(kept: Account) -> None:
    found = live(kept, "data_volume")
    nightly = snapshot(kept, found.id, flowstead_nightly="flowstead", flowstead_deployment="flowstead")
    order: list[str] = []
    kept.hooks.append(lambda moment, name: order.append(name) if moment == "before" else None)
    planned = destroy(kept)
    ((name, last),) = snapshots(kept).items()
    assert [text for text in planned.kept if name in text] == [f"final snapshot {name} of volume {found.id}"]
    assert not [text for text in planned.kept if nightly in text]
    calls = [one for one in order if one in {"TerminateInstances", "CreateSnapshot", "DeleteVolume"}]
    assert calls == ["TerminateInstances", "CreateSnapshot", "DeleteVolume"]
    assert (last["VolumeId"], last["VolumeSize"], last["Encrypted"]) == (found.id, 20, True)
    assert kept.policies.kept == {}
    left = kept.call("ec2", "describe_snapshots", OwnerIds=["self"])["Snapshots"]
    assert nightly not in [one["SnapshotId"] for one in left]
    with pytest.raises(Exception, match=r"InvalidVolume\.NotFound"):
        state_of(kept, found.id)


def test_without_a_final_snapshot_there_is_none(kept: Account) -> None:
    planned = destroy(kept, final_snapshot=False)
    assert not [text for text in planned.kept if "snapshot" in text]
    assert snapshots(kept) == {}


def test_one_whose_snapshot_fails_is_not_deleted(kept: Account) -> None:
    found = live(kept, "data_volume")

    def fail(called: str, answer: dict[str, Any]) -> None:
        for item in answer.get("Snapshots", []) if called == "DescribeSnapshots" else []:
            item["State"] = "error"

    kept.edits.append(fail)
    with pytest.raises(FlowsteadError, match="EBS could not take the snapshot"):
        destroy(kept)
    assert state_of(kept, found.id)["State"] == "available"
    kept.edits.remove(fail)
    destroy(kept)
    assert kept.calls["CreateSnapshot"] == 2


def test_a_snapshot_is_waited_for(kept: Account) -> None:
    looks: list[str] = []

    def slow(called: str, answer: dict[str, Any]) -> None:
        for item in answer.get("Snapshots", []) if called == "DescribeSnapshots" else []:
            looks.append(kept.calls["DeleteVolume"])
            item["State"] = "pending" if len(looks) < 3 else "completed"

    kept.edits.append(slow)
    destroy(kept)
    assert (looks[:3], kept.calls["DeleteVolume"]) == ([0, 0, 0], 1)


def test_one_made_from_a_snapshot_with_its_tags_takes_a_lost_ones_place(kept: Account) -> None:
    found = live(kept, "data_volume")
    id_ = snapshot(kept, found.id, flowstead_nightly="flowstead")
    kept.call("ec2", "detach_volume", VolumeId=found.id, InstanceId=live(kept, "server").id)
    kept.call("ec2", "delete_volume", VolumeId=found.id)
    marks = {key: found.tags[key] for key in ("flowstead:deployment", "flowstead:resource")}
    made = kept.call(
        "ec2",
        "create_volume",
        AvailabilityZone=found.facts["AvailabilityZone"],
        SnapshotId=id_,
        TagSpecifications=[
            {
                "ResourceType": "volume",
                "Tags": [{"Key": key, "Value": value} for key, value in marks.items()],
            }
        ],
    )
    kept.apply(**NONE)
    assert kept.calls["CreateVolume"] == 1
    after = live(kept, "data_volume")
    assert (after.id, after.facts["VolumeType"]) == (made["VolumeId"], "gp3")
    assert kept.plan(**NONE).is_empty


def test_the_snapshots_are_nightly_and_kept_for_the_days_that_are_asked_for(kept: Account) -> None:
    (policy,) = kept.policies.kept.values()
    details = policy["PolicyDetails"]
    assert details["Schedules"][0]["RetainRule"] == {"Interval": 7, "IntervalUnit": "DAYS"}
    (target,) = details["TargetTags"]
    marked = [
        one["VolumeId"]
        for one in kept.call("ec2", "describe_volumes")["Volumes"]
        if target in one.get("Tags", [])
    ]
    assert marked == [live(kept, "data_volume").id]
    assert policy["ExecutionRoleArn"] == live(kept, "snapshot_role").arn
    wanted = {"database": {**NONE["database"], "snapshot_days": 30}}
    assert settings(kept.plan(**wanted), "nightly_snapshots") == {"snapshots"}
    kept.apply(**wanted)
    assert kept.plan(**wanted).is_empty


@pytest.mark.parametrize(
    ("drift", "differs"),
    [
        ({"State": "DISABLED"}, {"state"}),
        ({"ExecutionRoleArn": "arn:aws:iam::123456789012:role/theirs"}, {"role"}),
        ({"Tags": {}}, None),
    ],
    ids=["off", "another role", "no tags"],
)
def test_a_policy_that_was_changed_is_set_right(
    kept: Account, drift: dict[str, Any], differs: set[str] | None
) -> None:
    (policy,) = kept.policies.kept.values()
    policy.update(drift)
    planned = kept.plan(**NONE)
    if differs is None:
        assert changes(planned) == {"nightly_snapshots": "create"}
    else:
        assert settings(planned, "nightly_snapshots") == differs
    kept.apply(**NONE)
    assert kept.plan(**NONE).is_empty


def test_a_second_policy_is_removed(kept: Account) -> None:
    (policy,) = kept.policies.kept.values()
    kept.policies.kept["policy-2"] = {**policy, "PolicyId": "policy-2"}
    kept.apply(**NONE)
    assert len(kept.policies.kept) == 1


def test_users_tags_are_set_where_the_service_takes_them(kept: Account) -> None:
    tags = {"team": "ml", "cost centre": "4711"}
    kept.apply(**NONE, tags=tags)
    (policy,) = kept.policies.kept.values()
    assert policy["Tags"]["team"] == "ml"
    assert "cost centre" not in policy["Tags"]
    assert live(kept, "data_volume").tags["cost centre"] == "4711"
    assert kept.plan(**NONE, tags=tags).is_empty
    kept.apply(**NONE)
    assert "team" not in policy["Tags"]


def test_what_takes_snapshots_may_remove_those_of_this_volume_only(account: Account) -> None:
    policy = account.graph(**NONE)["snapshot_role"].permissions(State())  # type: ignore[attr-defined]
    ours = {"StringEquals": {"aws:ResourceTag/flowstead:nightly": "flowstead"}}
    by_action = {
        action: one
        for one in policy["Statement"]
        for action in ([one["Action"]] if isinstance(one["Action"], str) else one["Action"])
        if one["Sid"] != "NewOnes"
    }
    assert by_action["ec2:DeleteSnapshot"]["Condition"] == ours
    assert by_action["ec2:CreateSnapshot"]["Condition"] == ours
    wide = {action for action, one in by_action.items() if one["Resource"] == "*"}
    assert all(action.startswith("ec2:Describe") for action in wide)
    trust = account.graph(**NONE)["snapshot_role"].trust(State())  # type: ignore[attr-defined]
    (statement,) = trust["Statement"]
    assert statement["Principal"] == {"Service": "dlm.amazonaws.com"}
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnLike": {"aws:SourceArn": "arn:aws:dlm:us-east-1:123456789012:policy/*"},
    }
