"""Data on a volume of the server's: it outlives the host, grows, and goes only when there is a copy."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.engine import order, plan
from provisioner.engine.apply import apply
from provisioner.errors import AwsError, DriftError, FlowsteadError, NotOfferedError, UsageError
from provisioner.resources.kinds import KINDS
from tests.unit.provisioner.moto_account import Account, changes, settings
from tests.unit.provisioner.on_a_volume import (
    NONE,
    kept,
    live,
    sized,
    snapshots,
)

__all__ = ["kept"]


def test_there_is_no_database_service_and_nothing_of_one(kept: Account) -> None:
    made = set(changes(plan.make(kept.graph(**NONE), kept.open()))) | {one.name for one in kept.graph(**NONE)}
    assert {"data_volume", "nightly_snapshots", "snapshot_role"} <= made
    assert not [name for name in made if "database" in name]
    assert kept.call("rds", "describe_db_instances")["DBInstances"] == []


def test_it_is_encrypted_where_the_host_is_and_stays_when_the_host_ends(kept: Account) -> None:
    found, server = live(kept, "data_volume"), live(kept, "server")
    assert (found.facts["Encrypted"], found.facts["VolumeType"], found.facts["Size"]) == (True, "gp3", 20)
    assert found.facts["AvailabilityZone"] == server.facts["Placement"]["AvailabilityZone"]
    (attachment,) = found.facts["Attachments"]
    assert (attachment["InstanceId"], attachment["Device"]) == (server.id, "/dev/sdf")
    (mapping,) = (one for one in server.facts["BlockDeviceMappings"] if one["DeviceName"] == "/dev/sdf")
    assert mapping["Ebs"]["DeleteOnTermination"] is False


def test_a_second_plan_is_empty_and_changes_nothing(kept: Account) -> None:
    aws = kept.open()
    assert plan.make(kept.graph(**NONE), aws).is_empty
    assert aws.mutating_calls == 0


def test_it_is_tagged_in_the_call_that_makes_it(account: Account) -> None:
    account.apply(**NONE)
    assert account.calls["CreateVolume"] == 1
    assert account.calls["CreateTags"] == 0
    assert live(account, "data_volume").tags["flowstead:artifacts"].startswith("s3://")


def test_it_grows_and_never_shrinks(kept: Account) -> None:
    assert settings(kept.plan(**sized(40)), "data_volume") == {"volume GiB"}
    kept.apply(**sized(40))
    assert live(kept, "data_volume").facts["Size"] == 40
    assert kept.plan(**sized(40)).is_empty
    with pytest.raises(DriftError, match=r"database\.volume_gib: 40 -> 20 \(a disk cannot shrink\)"):
        kept.plan(**NONE)


@pytest.mark.parametrize("ended", [True, False], ids=["terminated", "without its tags"])
def test_another_host_gets_the_same_volume(kept: Account, *, ended: bool) -> None:
    before, host = live(kept, "data_volume").id, live(kept, "server").id
    if ended:
        kept.call("ec2", "terminate_instances", InstanceIds=[host])
    else:
        kept.call("ec2", "delete_tags", Resources=[host], Tags=[{"Key": "flowstead:resource"}])
        kept.call("ec2", "delete_tags", Resources=[host], Tags=[{"Key": "flowstead:deployment"}])
    kept.apply(**NONE)
    after = live(kept, "data_volume")
    assert (after.id, kept.calls["CreateVolume"]) == (before, 0)
    assert [one["InstanceId"] for one in after.facts["Attachments"]] == [live(kept, "server").id]
    assert live(kept, "server").id != host
    assert kept.plan(**NONE).is_empty


def test_one_that_was_detached_is_attached_again(kept: Account) -> None:
    found = live(kept, "data_volume")
    kept.call("ec2", "detach_volume", VolumeId=found.id, InstanceId=live(kept, "server").id)
    assert settings(kept.plan(**NONE), "server") == {"data volume"}
    kept.apply(**NONE)
    assert kept.plan(**NONE).is_empty


def test_one_that_is_being_attached_is_waited_for(kept: Account) -> None:
    looks: list[str] = []

    def attaching(called: str, answer: dict[str, Any]) -> None:
        hosts = [one for found in answer.get("Reservations", []) for one in found["Instances"]]
        for mapping in [one for host in hosts for one in host["BlockDeviceMappings"]]:
            looks.append(called)
            if mapping["DeviceName"] == "/dev/sdf" and not kept.calls["AttachVolume"] and len(looks) < 8:
                mapping["Ebs"]["Status"] = "attaching"

    kept.edits.append(attaching)
    assert settings(kept.plan(**NONE), "server") == {"data volume"}
    looks.clear()
    kept.apply(**NONE)
    assert kept.calls["AttachVolume"] == 0
    assert kept.plan(**NONE).is_empty


def test_one_that_is_not_let_go_is_named_with_what_has_it(kept: Account) -> None:
    host = live(kept, "server").id
    for key in ("flowstead:resource", "flowstead:deployment"):
        kept.call("ec2", "delete_tags", Resources=[host], Tags=[{"Key": key}])

    def refuse(called: str, answer: dict[str, Any]) -> None:
        if called == "DescribeVolumes":
            for item in answer["Volumes"]:
                if item["Size"] == 20 and not item["Attachments"] and item.get("Encrypted"):
                    item["Attachments"] = [{"InstanceId": host, "State": "busy"}]

    kept.edits.append(refuse)
    with pytest.raises(AwsError, match=f"unmount it on {host}"):
        kept.apply(**NONE)


def test_one_that_would_go_with_the_host_is_kept(kept: Account) -> None:
    server = live(kept, "server")
    mapping = {"DeviceName": "/dev/sdf", "Ebs": {"DeleteOnTermination": True}}
    kept.call("ec2", "modify_instance_attribute", InstanceId=server.id, BlockDeviceMappings=[mapping])
    assert settings(kept.plan(**NONE), "server") == {"data volume at the host's end"}
    kept.apply(**NONE)
    assert kept.plan(**NONE).is_empty


def test_it_stays_where_its_runs_say_that_their_artifacts_are(kept: Account) -> None:
    with pytest.raises(DriftError, match="place of the artifacts"):
        kept.plan(**NONE, artifacts={"prefix": "elsewhere"})


def test_a_protected_one_stops_a_destroy_before_anything_goes(kept: Account) -> None:
    protected = kept.graph(database={"engine": "none"})
    with pytest.raises(
        UsageError, match=r"is protected from deletion \(database\.deletion_protection is true"
    ):
        plan.destroy(protected, kept.open())


def test_a_host_of_others_that_has_it_stops_a_destroy(kept: Account) -> None:
    host = live(kept, "server")
    for key in ("flowstead:resource", "flowstead:deployment"):
        kept.call("ec2", "delete_tags", Resources=[host.id], Tags=[{"Key": key}])
    with pytest.raises(FlowsteadError, match=f"the instance {host.id} has it"):
        plan.destroy(kept.graph(**NONE), kept.open())


def test_a_destroy_may_be_run_twice(kept: Account) -> None:
    aws = kept.open()
    planned = plan.destroy(kept.graph(**NONE), aws, plan.Teardown(keep_data=False))
    apply(planned, aws)
    apply(planned, aws)
    assert len(snapshots(kept)) == 1
    assert plan.destroy(kept.graph(**NONE), kept.open()).changes == ()


def test_of_two_a_person_removes_one(kept: Account) -> None:
    """Neither is taken for an empty one, for there is no telling from outside."""
    found = live(kept, "data_volume")
    items = [{"Key": key, "Value": value} for key, value in found.tags.items()]
    made = kept.call(
        "ec2",
        "create_volume",
        AvailabilityZone=found.facts["AvailabilityZone"],
        Size=20,
        TagSpecifications=[{"ResourceType": "volume", "Tags": items}],
    )
    with pytest.raises(DriftError, match=f"second one \\({made['VolumeId']}\\): in use"):
        kept.plan(**NONE)


def test_one_that_is_no_longer_wanted_goes_only_by_its_name_and_leaves_a_copy(kept: Account) -> None:
    found = live(kept, "data_volume")
    with pytest.raises(NotOfferedError, match=rf"the data are in volume data_volume \({found.id}\)"):
        kept.plan()
    aws = kept.open()
    apply(plan.make(kept.graph(), aws, {found.id}), aws)
    assert kept.policies.kept == {}
    (name,) = snapshots(kept)
    assert name.startswith("flowstead-flowstead-data-volume-final-")
    assert kept.plan().is_empty


def test_answers_that_are_lost_leave_one_of_each(account: Account) -> None:
    # moto forgets the tokens of RunInstances, which EC2 knows.
    lost = {"RunInstances"}
    account.loses = lambda operation: operation not in lost and not lost.add(operation)
    account.apply(**NONE)
    assert {"CreateVolume", "AttachVolume", "CreateLifecyclePolicy"} <= lost
    assert account.plan(**NONE).is_empty
    found = account.call("ec2", "describe_volumes")["Volumes"]
    assert len([one for one in found if one["Size"] == 20 and one["Encrypted"]]) <= 2
    assert len(account.policies.kept) == 1


@pytest.mark.parametrize("operation", ["CreateVolume", "AttachVolume", "CreateLifecyclePolicy"])
def test_a_killed_run_is_taken_up_by_the_next(account: Account, operation: str) -> None:
    def die(moment: str, name: str) -> None:
        if (moment, name) == ("after", operation):
            raise KeyboardInterrupt

    account.hooks.append(die)
    with pytest.raises(KeyboardInterrupt):
        account.apply(**NONE)
    account.hooks.clear()
    account.apply(**NONE)
    assert account.plan(**NONE).is_empty
    assert account.calls[operation] == 1


def test_the_disk_of_a_host_that_ends_is_no_data_that_is_left(kept: Account) -> None:
    """It has the host's tags, and goes with it a moment later."""
    tags = [{"Key": key, "Value": value} for key, value in live(kept, "server").tags.items()]
    tags = [one for one in tags if one["Key"] != "flowstead:resource"]
    tags += [{"Key": "flowstead:resource", "Value": "older_server"}]
    specification = [{"ResourceType": "volume", "Tags": tags}]
    place = {"AvailabilityZone": "us-east-1a", "Size": 8}
    id_ = kept.call("ec2", "create_volume", **place, TagSpecifications=specification)["VolumeId"]
    assert any(id_ in notice for notice in kept.plan(**NONE).notices)

    def ending(called: str, answer: dict[str, Any]) -> None:
        for item in answer.get("Volumes", []) if called == "DescribeVolumes" else []:
            if item["VolumeId"] == id_:
                item["Attachments"] = [{"InstanceId": "i-ended", "DeleteOnTermination": True}]

    kept.edits.append(ending)
    assert not any(id_ in notice for notice in kept.plan(**NONE).notices)


def test_kinds_go_in_the_order_that_resources_do(account: Account) -> None:
    for resource in account.graph(**NONE):
        for need in order.all_needs(resource):
            if not (resource.looked_up or need.looked_up):
                assert KINDS.index(type(resource)) <= KINDS.index(type(need)), (resource, need)
