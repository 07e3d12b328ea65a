from __future__ import annotations

import pytest
from asking import IMAGE, code_of, instance_of

from sandbox import account
from sandbox.mapping.hosts import set_state
from sandbox.real.commands import CommandError

TAGS = [
    {"ResourceType": "image", "Tags": [{"Key": "Name", "Value": "baked"}, {"Key": "what", "Value": "it's"}]},
    {"ResourceType": "snapshot", "Tags": [{"Key": "what", "Value": "a disk"}]},
]


class Disk:
    """Stands for a host whose disk can be kept, or not."""

    def __init__(self, error=None):
        self.error = error
        self.kept = []

    def keep_disk(self, clone, names, facts):
        if self.error:
            raise self.error
        self.kept.append((clone, names, facts))


@pytest.fixture
def host(launch):
    """A running instance with a root volume of 20 GiB, encrypted."""
    (instance,) = launch(
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 20, "Encrypted": True}}]
    )
    set_state(instance_of(instance), "running")
    return instance["InstanceId"]


@pytest.fixture
def make(cloud, client, host, unique, images):
    """Make an image, and its disk unless told otherwise."""

    def run(*, done=True, disk=None, **changed):
        arguments = {"InstanceId": host, "Name": f"image {unique}", "TagSpecifications": TAGS}
        image_id = client("ec2").create_image(**arguments | changed)["ImageId"]
        _, own, image = cloud.infrastructure.hosts.asked[-1][1][:3]
        if done:
            images.keep(disk or Disk(), own, image)
        return image_id

    return run


def only(client, image_id):
    (image,) = client("ec2").describe_images(ImageIds=[image_id])["Images"]
    return image


def snapshot_of(client, image_id):
    return only(client, image_id)["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]


def test_an_image_is_pending_until_the_disk_is_kept(client, make, images, cloud):
    image_id = make(done=False)
    assert only(client, image_id)["State"] == "pending"
    assert client("ec2").describe_snapshots(SnapshotIds=[snapshot_of(client, image_id)])["Snapshots"][0][
        "State"
    ] == ("pending")
    disk = Disk()
    images.keep(disk, *cloud.infrastructure.hosts.asked[-1][1][1:3])
    assert only(client, image_id)["State"] == "available"
    ((clone, names, facts),) = disk.kept
    assert (clone, set(names)) == ("clone", {image_id, snapshot_of(client, image_id)})
    assert facts["image_tags"] == {"Name": "baked", "what": "it's"}


def test_an_image_whose_disk_cannot_be_kept_has_failed_with_the_reason(client, make):
    image_id = make(disk=Disk(CommandError(["podman", "commit"], 125, "no space left on device")))
    image = only(client, image_id)
    assert image["State"] == "failed"
    assert "no space left" in image["StateReason"]["Message"]


def test_the_account_sees_what_aws_shows_of_an_image(client, make, host, unique):
    image_id = make()
    ec2 = client("ec2")
    for filters in (
        [{"Name": "tag:Name", "Values": ["baked"]}, {"Name": "name", "Values": [f"image {unique}"]}],
        [{"Name": "tag-key", "Values": ["what"]}, {"Name": "source-instance-id", "Values": [host]}],
        [{"Name": "state", "Values": ["available"]}, {"Name": "name", "Values": [f"*{unique}"]}],
        [{"Name": "architecture", "Values": ["x86_64"]}, {"Name": "image-id", "Values": [image_id]}],
    ):
        (image,) = ec2.describe_images(Owners=["self"], Filters=filters)["Images"]
        assert image["ImageId"] == image_id
    assert image["OwnerId"] == account.ACCOUNT_ID
    assert (image["RootDeviceName"], image["Architecture"]) == ("/dev/xvda", "x86_64")
    (mapping_,) = image["BlockDeviceMappings"]
    assert (mapping_["DeviceName"], mapping_["Ebs"]["VolumeSize"]) == ("/dev/xvda", 20)
    assert mapping_["Ebs"]["Encrypted"] is True
    assert image_id not in {one["ImageId"] for one in ec2.describe_images(Owners=["136693071363"])["Images"]}


def test_the_account_sees_its_own_snapshots_only(client, make):
    snapshot_id = snapshot_of(client, make())
    ec2 = client("ec2")
    own = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert {one["OwnerId"] for one in own} == {account.ACCOUNT_ID}
    (snapshot,) = ec2.describe_snapshots(
        OwnerIds=["self"],
        Filters=[
            {"Name": "tag:what", "Values": ["a disk"]},
            {"Name": "snapshot-id", "Values": [snapshot_id]},
        ],
    )["Snapshots"]
    assert (snapshot["VolumeSize"], snapshot["State"], snapshot["Encrypted"]) == (20, "completed", True)


def test_tags_of_images_and_snapshots_can_be_changed(client, make):
    image_id, ec2 = make(), client("ec2")
    both = [image_id, snapshot_of(client, image_id)]
    ec2.create_tags(Resources=both, Tags=[{"Key": "more", "Value": "yes"}])
    ec2.delete_tags(Resources=both, Tags=[{"Key": "what"}])
    (snapshot,) = ec2.describe_snapshots(SnapshotIds=both[1:])["Snapshots"]
    assert {tag["Key"] for tag in snapshot["Tags"]} == {"more"}
    assert {tag["Key"] for tag in only(client, image_id)["Tags"]} == {"Name", "more"}


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"InstanceId": "i-0123456789abcdef0"}, "InvalidInstanceID.NotFound"),
        ({"Name": "sn*w"}, "InvalidAMIName.Malformed"),
        ({"Name": "x" * 129}, "InvalidAMIName.Malformed"),
        (
            {"TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}]},
            "InvalidParameterValue",
        ),
        ({"BlockDeviceMappings": [{"DeviceName": "/dev/xvdb"}]}, "UnsupportedInSandbox"),
    ],
)
def test_what_aws_refuses_of_an_image_is_refused(cloud, make, changed, code):
    asked = len(cloud.infrastructure.hosts.asked)
    assert code_of(make, **changed) == code
    assert len(cloud.infrastructure.hosts.asked) == asked


def test_a_name_is_given_once_and_free_again_when_the_image_is_gone(client, make):
    image_id = make()
    assert code_of(make) == "InvalidAMIName.Duplicate"
    client("ec2").deregister_image(ImageId=image_id)
    assert make() != image_id


@pytest.mark.parametrize("state", ["pending", "shutting-down", "terminated"])
def test_an_instance_without_a_settled_disk_gives_no_image(host, make, state):
    set_state(account.ec2("us-east-1").get_instance(host), state)
    assert code_of(make) == "InvalidParameterValue"


@pytest.mark.parametrize(
    ("state", "options"),
    [("running", {}), ("running", {"NoReboot": False}), ("running", {"NoReboot": True}), ("stopped", {})],
)
def test_a_running_host_is_rebooted_unless_told_otherwise(cloud, host, make, state, options):
    set_state(account.ec2("us-east-1").get_instance(host), state)
    make(**options)
    name, arguments = cloud.infrastructure.hosts.asked[-1]
    assert (name, arguments[-1]) == ("make_image", state == "running" and not options.get("NoReboot"))


def test_an_instance_is_launched_from_an_available_image_only(client, make, launch):
    image_id = make(done=False)
    assert code_of(launch, ImageId=image_id) == "InvalidAMIID.Unavailable"
    client("ec2").deregister_image(ImageId=image_id)
    assert code_of(launch, ImageId=image_id) == "InvalidAMIID.Unavailable"


def test_a_root_volume_is_as_large_as_the_snapshot_or_larger(client, make, launch):
    image_id = make()

    def with_size(size):
        return {
            "ImageId": image_id,
            "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": size}}],
        }

    assert code_of(launch, **with_size(19)) == "InvalidBlockDeviceMapping"
    sizes = []
    for arguments in (with_size(21), {"ImageId": image_id}):
        (instance,) = launch(**arguments)
        (device,) = instance_of(instance).block_device_mapping.items()
        volumes = client("ec2").describe_volumes(VolumeIds=[device[1].volume_id])["Volumes"]
        sizes += [(device[0], volumes[0]["Size"], volumes[0]["Encrypted"])]
    assert sizes == [("/dev/xvda", 21, True), ("/dev/xvda", 20, True)]


def test_a_snapshot_goes_after_its_image_and_the_disk_with_both(cloud, client, make):
    image_id, ec2 = make(), client("ec2")
    snapshot_id = snapshot_of(client, image_id)
    assert code_of(ec2.delete_snapshot, SnapshotId=snapshot_id) == "InvalidSnapshot.InUse"
    asked = len(cloud.infrastructure.images.asked)
    ec2.deregister_image(ImageId=image_id)
    assert code_of(ec2.deregister_image, ImageId=image_id) == "InvalidAMIID.Unavailable"
    ec2.delete_snapshot(SnapshotId=snapshot_id)
    assert code_of(ec2.delete_snapshot, SnapshotId=snapshot_id) == "InvalidSnapshot.NotFound"
    assert cloud.infrastructure.images.asked[asked:] == [("forget", (image_id,)), ("forget", (snapshot_id,))]


def test_nobody_removes_what_is_not_theirs(client):
    ec2 = client("ec2")
    debians = snapshot_of(client, IMAGE)
    assert code_of(ec2.deregister_image, ImageId=IMAGE) == "AuthFailure"
    assert code_of(ec2.delete_snapshot, SnapshotId=debians) == "AuthFailure"


def test_what_has_nothing_real_behind_it_is_refused(client, make):
    ec2 = client("ec2")
    copied = {"SourceRegion": "us-east-1", "SourceImageId": IMAGE, "Name": "copy"}
    assert code_of(ec2.copy_image, **copied) == "UnsupportedInSandbox"
    made_of = {"AvailabilityZone": "us-east-1a", "SnapshotId": snapshot_of(client, make())}
    assert code_of(ec2.create_volume, **made_of) == "UnsupportedInSandbox"


def test_an_image_that_goes_while_it_is_made_leaves_no_disk(cloud, client, make, images):
    image_id = make(done=False)
    client("ec2").deregister_image(ImageId=image_id)
    images.forget(image_id)
    images.forgotten.clear()
    images.keep(Disk(), *cloud.infrastructure.hosts.asked[-1][1][1:3])
    assert images.forgotten == [("clone", image_id)]
