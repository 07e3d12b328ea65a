"""What of EC2's instances is real, accepted without effect, or refused: as docs/sandbox.md says."""

from __future__ import annotations

from pathlib import Path

import pytest
from asking import IMAGE, instance_of
from standings import NO_EFFECT, REAL, REFUSED, Proofs, listed, prove, proving, standing_of

from sandbox import account
from sandbox.mapping.hosts import set_state

PAGE = Path(__file__).parents[3] / "docs/sandbox.md"
PROOFS: Proofs = {}
proves = proving(PROOFS)


def running(here):
    """Launch an instance that has booted; returns its id."""
    (instance,) = here.launch()
    set_state(instance_of(instance), "running")
    here.forget()
    return instance["InstanceId"]


def root_of(here, instance_id):
    (reservation,) = here.client("ec2").describe_instances(InstanceIds=[instance_id])["Reservations"]
    return reservation["Instances"][0]["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]


@proves(REAL, "instances: launch, stop, start, reboot, terminate")
def _(here):
    ec2, ids = here.client("ec2"), {"InstanceIds": [running(here)]}
    ec2.reboot_instances(**ids)
    ec2.stop_instances(**ids)
    set_state(instance_of({"InstanceId": ids["InstanceIds"][0]}), "stopped")
    ec2.start_instances(**ids)
    ec2.terminate_instances(**ids)
    here.launch()
    wanted = ["reboot", "stop", "start", "terminate", "launch"]
    return [name for name in here.asked() if name in wanted] == wanted


@proves(REAL, "the console's output")
def _(here):
    here.client("ec2").get_console_output(InstanceId=running(here))
    return "console" in here.asked()


@proves(REAL, "images of the account's own")
def _(here):
    ec2 = here.client("ec2")
    image_id = ec2.create_image(InstanceId=running(here), Name=here.name)["ImageId"]
    ec2.deregister_image(ImageId=image_id)
    return {"make_image", "forget"} <= set(here.asked())


@proves(NO_EFFECT, "another type of an instance that exists")
def _(here):
    instance_id = running(here)
    set_state(instance_of({"InstanceId": instance_id}), "stopped")
    here.client("ec2").modify_instance_attribute(InstanceId=instance_id, InstanceType={"Value": "t3.medium"})
    assert instance_of({"InstanceId": instance_id}).instance_type == "t3.medium"


@proves(NO_EFFECT, "CPU credits, detailed monitoring")
def _(here):
    ec2, instance_id = here.client("ec2"), running(here)
    ec2.modify_instance_credit_specification(
        InstanceCreditSpecifications=[{"InstanceId": instance_id, "CpuCredits": "standard"}]
    )
    here.launch(Monitoring={"Enabled": True})
    assert here.asked().count("launch") == 1
    here.forget()


@proves(REAL, "volumes: create, attach, detach, grow, delete")
def _(here):
    ec2, instance_id = here.client("ec2"), running(here)
    one = {"VolumeId": ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]}
    ec2.attach_volume(**one, InstanceId=instance_id, Device="/dev/sdf")
    ec2.modify_volume(**one, Size=2)
    ec2.detach_volume(**one)
    account.ec2("us-east-1").volumes[one["VolumeId"]].attachment = None
    ec2.delete_volume(**one)
    wanted = ["create", "attach", "grow", "detach", "remove"]
    return [name for name in here.asked() if name in wanted] == wanted


@proves(REAL, "snapshots of volumes, by hand and every night (Data Lifecycle Manager)")
def _(here):
    ec2, infrastructure = here.client("ec2"), here.infrastructure
    tags = [{"Key": "nightly", "Value": here.name}]
    specification = [{"ResourceType": "volume", "Tags": tags}]
    made = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, TagSpecifications=specification)
    ec2.create_snapshot(VolumeId=made["VolumeId"])
    infrastructure.lifecycle_policies.by_region["us-east-1"][here.name] = {
        "PolicyId": here.name,
        "State": "ENABLED",
        "PolicyDetails": {
            "TargetTags": tags,
            "Schedules": [{"Name": "n", "RetainRule": {"Interval": 1}}],
        },
    }
    infrastructure.lifecycle_policies.night()
    del infrastructure.lifecycle_policies.by_region["us-east-1"][here.name]
    return here.asked().count("snapshot") == 2


@proves(NO_EFFECT, "type and encryption of volumes, and the size of root volumes")
def _(here):
    instance_id = running(here)
    root = root_of(here, instance_id)
    here.client("ec2").modify_volume(VolumeId=root, Size=40, VolumeType="gp3")


@proves(REFUSED, "a second volume in the call that launches, a second network interface")
def _(here):
    ec2, instance_id = here.client("ec2"), running(here)
    disk = {"DeviceName": "/dev/xvdf", "Ebs": {"VolumeSize": 5}}
    cards = [{"DeviceIndex": n, "SubnetId": here.network.subnets[0]} for n in (0, 1)]
    plugged = {"InstanceId": instance_id, "NetworkInterfaceId": "eni-1", "DeviceIndex": 1}
    return [
        (here.launch, {"BlockDeviceMappings": [disk]}),
        (ec2.run_instances, {"ImageId": IMAGE, "MinCount": 1, "MaxCount": 1, "NetworkInterfaces": cards}),
        (ec2.attach_network_interface, plugged),
    ]


@proves(REFUSED, "launch templates, spot instances, fleets, Auto Scaling, CloudFormation")
def _(here):
    ec2 = here.client("ec2")
    fleet = {
        "LaunchTemplateConfigs": [{"LaunchTemplateSpecification": {"LaunchTemplateId": "lt-1"}}],
        "TargetCapacitySpecification": {"TotalTargetCapacity": 1},
    }
    spot = {"IamFleetRole": "arn:aws:iam::123456789012:role/r", "TargetCapacity": 1}
    group = {"AutoScalingGroupName": "g", "MinSize": 1, "MaxSize": 1}
    stack = {"StackName": "s", "TemplateBody": "{}"}
    return [
        (here.launch, {"LaunchTemplate": {"LaunchTemplateId": "lt-1"}}),
        (here.launch, {"InstanceMarketOptions": {"MarketType": "spot"}}),
        (ec2.create_fleet, fleet),
        (ec2.request_spot_instances, {"InstanceCount": 1}),
        (ec2.request_spot_fleet, {"SpotFleetRequestConfig": spot}),
        (here.client("autoscaling").create_auto_scaling_group, group),
        (here.client("cloudformation").create_stack, stack),
        (here.client("cloudformation").create_change_set, stack | {"ChangeSetName": "c"}),
    ]


@proves(REFUSED, "images that are copied, registered or made with other volumes; snapshots of root volumes")
def _(here):
    ec2, instance_id = here.client("ec2"), running(here)
    snapshot = {"SourceRegion": "us-east-1", "SourceSnapshotId": "snap-1"}
    several = {"InstanceSpecification": {"InstanceId": instance_id}}
    disks = {"InstanceId": instance_id, "Name": here.name, "BlockDeviceMappings": [{"DeviceName": "/dev/b"}]}
    return [
        (ec2.copy_image, {"Name": "copy", "SourceImageId": "ami-12345678", "SourceRegion": "us-east-1"}),
        (ec2.register_image, {"Name": "copy"}),
        (ec2.create_image, disks),
        (ec2.deregister_image, {"ImageId": "ami-12345678", "DeleteAssociatedSnapshots": True}),
        (ec2.create_snapshot, {"VolumeId": root_of(here, instance_id)}),
        (ec2.create_snapshots, several),
        (ec2.copy_snapshot, snapshot),
    ]


@pytest.mark.parametrize("kind", PROOFS)
def test_it_is_what_the_page_says(here, kind):
    prove(PROOFS, kind, here)


def test_the_page_lists_each_kind():
    assert listed(PAGE.read_text(encoding="utf-8"), "Hosts") == standing_of(PROOFS)
