"""Volumes: what AWS checks, and what the real blocks are asked to do; the blocks are in sandbox_real."""

from __future__ import annotations

import pytest
from asking import code_of, error_of, instance_of

from sandbox import account
from sandbox.mapping.hosts import set_state


@pytest.fixture
def ec2(client):
    return client("ec2")


@pytest.fixture
def running(launch):
    """An instance that has booted."""
    (instance,) = launch()
    set_state(instance_of(instance), "running")
    return instance["InstanceId"]


@pytest.fixture
def volume(ec2):
    """A volume in the instances' zone."""
    return ec2.create_volume(AvailabilityZone="us-east-1a", Size=5, VolumeType="gp3")["VolumeId"]


@pytest.fixture
def asked(cloud):
    """What the real volumes have been asked so far by this test."""
    begin = len(cloud.infrastructure.volumes.asked)
    return lambda: cloud.infrastructure.volumes.asked[begin:]


def state_of(ec2, volume):
    (found,) = ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
    return found["State"], [one["State"] for one in found["Attachments"]]


def attach(ec2, volume, instance, device="/dev/sdf"):
    return ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device=device)


def test_a_volume_is_made_attached_and_told_of_by_both_sides(ec2, running, volume, asked):
    assert attach(ec2, volume, running)["State"] == "attaching"
    assert state_of(ec2, volume)[0] == "in-use"
    (host,) = ec2.describe_instances(InstanceIds=[running])["Reservations"][0]["Instances"]
    disks = {one["DeviceName"]: one["Ebs"] for one in host["BlockDeviceMappings"]}
    assert (disks["/dev/sdf"]["VolumeId"], disks["/dev/sdf"]["DeleteOnTermination"]) == (volume, False)
    (root,) = (ebs for name, ebs in disks.items() if name != "/dev/sdf")
    shown = {
        one["VolumeId"]: one["Attachments"][0]["DeleteOnTermination"]
        for one in ec2.describe_volumes(VolumeIds=[volume, root["VolumeId"]])["Volumes"]
    }
    assert shown == {volume: False, root["VolumeId"]: True}
    assert [name for name, _ in asked()] == ["attach"]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"Device": ""}, "MissingParameter"),
        ({"Device": "/dev/sda1"}, "InvalidParameterValue"),
        ({"Device": "sdf"}, "InvalidParameterValue"),
        ({"VolumeId": "vol-0123456789abcdef0"}, "InvalidVolume.NotFound"),
        ({"InstanceId": "i-0123456789abcdef0"}, "InvalidInstanceID.NotFound"),
    ],
)
def test_an_attachment_that_makes_no_sense_is_refused(ec2, running, volume, wrong, code):
    asked = {"VolumeId": volume, "InstanceId": running, "Device": "/dev/sdf"}
    assert code_of(ec2.attach_volume, **asked | wrong) == code
    assert state_of(ec2, volume) == ("available", [])


def test_a_volume_is_attached_once_at_a_free_place_in_its_zone(ec2, running, volume):
    attach(ec2, volume, running)
    assert code_of(attach, ec2=ec2, volume=volume, instance=running, device="/dev/sdg") == "VolumeInUse"
    other = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    assert code_of(attach, ec2=ec2, volume=other, instance=running) == "InvalidParameterValue"
    far = ec2.create_volume(AvailabilityZone="us-east-1b", Size=1)["VolumeId"]
    code = code_of(attach, ec2=ec2, volume=far, instance=running, device="/dev/sdg")
    assert code == "InvalidVolume.ZoneMismatch"


def test_an_instance_must_run_or_be_stopped(ec2, running, volume, launch):
    (pending,) = launch()
    assert code_of(attach, ec2=ec2, volume=volume, instance=pending["InstanceId"]) == "IncorrectState"
    set_state(instance_of({"InstanceId": running}), "stopped")
    attach(ec2, volume, running)


def test_a_volume_that_is_being_made_can_do_nothing_yet(ec2, running, volume):
    account.ec2("us-east-1").volumes[volume].shown = "creating"
    assert state_of(ec2, volume) == ("creating", [])
    assert code_of(attach, ec2=ec2, volume=volume, instance=running) == "IncorrectState"
    assert code_of(ec2.create_snapshot, VolumeId=volume) == "IncorrectState"
    assert code_of(ec2.delete_volume, VolumeId=volume) == "IncorrectState"


def test_a_detachment_begins_and_ends_only_when_the_host_has_let_go(ec2, running, volume, asked):
    assert code_of(ec2.detach_volume, VolumeId=volume) == "IncorrectState"
    attach(ec2, volume, running)
    wrong = {"VolumeId": volume, "InstanceId": "i-0123456789abcdef0"}
    assert code_of(ec2.detach_volume, **wrong) == "InvalidAttachment.NotFound"
    assert ec2.detach_volume(VolumeId=volume)["State"] == "detaching"
    assert state_of(ec2, volume)[0] == "in-use"
    ec2.detach_volume(VolumeId=volume, InstanceId=running, Device="/dev/sdf", Force=True)
    assert [(name, words[-1]) for name, words in asked() if name == "detach"] == [
        ("detach", False),
        ("detach", True),
    ]


def test_a_root_volume_stays_with_its_host(ec2, running):
    (host,) = ec2.describe_instances(InstanceIds=[running])["Reservations"][0]["Instances"]
    root = host["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    assert code_of(ec2.detach_volume, VolumeId=root) == "OperationNotPermitted"


def test_a_volume_in_use_is_not_deleted(ec2, running, volume, asked):
    attach(ec2, volume, running)
    assert code_of(ec2.delete_volume, VolumeId=volume) == "VolumeInUse"
    assert "remove" not in [name for name, _ in asked()]


def test_a_host_that_ends_has_its_volume_until_it_is_gone(ec2, running, volume):
    attach(ec2, volume, running)
    ec2.terminate_instances(InstanceIds=[running])
    assert state_of(ec2, volume)[0] == "in-use"
    assert code_of(ec2.delete_volume, VolumeId=volume) == "VolumeInUse"


def test_growth_is_real_but_for_root_volumes(ec2, running, volume, asked):
    attach(ec2, volume, running)
    ec2.modify_volume(VolumeId=volume, Size=8)
    (host,) = ec2.describe_instances(InstanceIds=[running])["Reservations"][0]["Instances"]
    ec2.modify_volume(VolumeId=host["BlockDeviceMappings"][0]["Ebs"]["VolumeId"], Size=30)
    assert [words[0].size for name, words in asked() if name == "grow"] == [8]


def test_a_new_volume_has_a_zone_and_a_size(ec2):
    assert code_of(ec2.create_volume, Size=1) == "MissingParameter"
    assert code_of(ec2.create_volume, AvailabilityZone="us-east-1z", Size=1) == "InvalidZone.NotFound"
    assert code_of(ec2.create_volume, AvailabilityZone="us-east-1a") == "MissingParameter"


def test_a_snapshot_keeps_the_size_and_makes_volumes_no_smaller(ec2, volume, asked):
    taken = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    asked_of = [words[1].id for name, words in asked() if name == "snapshot"]
    assert asked_of == [taken]
    snapshot = account.ec2("us-east-1").snapshots[taken]
    snapshot.status, snapshot.real = "pending", True
    again = {"AvailabilityZone": "us-east-1a", "SnapshotId": taken}
    assert code_of(ec2.create_volume, **again) == "IncorrectState"
    snapshot.status = "completed"
    assert code_of(ec2.create_volume, **again, Size=4) == "InvalidParameterValue"
    made = ec2.create_volume(**again, Size=6)
    assert (made["Size"], made["SnapshotId"]) == (6, taken)
    ec2.delete_snapshot(SnapshotId=taken)
    assert ("drop_snapshot", (taken,)) in asked()


def test_a_call_that_is_repeated_with_its_token_makes_one(ec2):
    asked = {"AvailabilityZone": "us-east-1a", "Size": 2, "ClientToken": "once"}
    assert ec2.create_volume(**asked)["VolumeId"] == ec2.create_volume(**asked)["VolumeId"]


def test_a_machine_without_loop_devices_says_so_and_attaches_nothing(
    ec2, running, volume, cloud, monkeypatch
):
    from sandbox.real.commands import CommandError  # noqa: PLC0415 - the others need none

    def fail(*_):
        raise CommandError(["losetup"], 1, "cannot find an unused loop device")

    monkeypatch.setattr(cloud.infrastructure.volumes, "attach", fail, raising=False)
    assert error_of(attach, ec2=ec2, volume=volume, instance=running)[1] == 500
    monkeypatch.undo()
    assert state_of(ec2, volume) == ("available", [])
