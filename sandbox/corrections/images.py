"""Images of the account's own: what AWS checks, and the disk of a real host behind each."""

from __future__ import annotations

import re
from typing import Any

from moto.core.utils import utcnow
from moto.ec2.models.amis import Ami, AmiBackend
from moto.ec2.models.elastic_block_store import EBSBackend
from moto.ec2.models.instances import InstanceBackend
from moto.ec2.utils import random_ami_id, random_snapshot_id

from sandbox import account, amis
from sandbox.api.call import Call, current_call
from sandbox.api.correction import Correction, substitute
from sandbox.api.refusal import Refusal
from sandbox.mapping.images import OwnImage, enter
from sandbox.mapping.infrastructure import Infrastructure

correction = Correction()

_NAME = re.compile(r"[A-Za-z0-9()\[\] ./'@_-]{3,128}")
"""Source: CreateImage, parameter Name, Amazon EC2 API Reference."""
_TAGGED = ("image", "snapshot")


@correction.patch
def _patch(_: Infrastructure) -> None:
    """Give images their snapshot's size, instances their image's root volume, and snapshots their owner."""
    make, run, describe = Ami.__init__, InstanceBackend.run_instances, EBSBackend.describe_snapshots

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        self.state_reason = None
        self.ebs_snapshot.volume.size = amis.ROOT_GIB

    def block_device_mappings(self: Any) -> list[dict[str, Any]]:
        volume = {
            "SnapshotId": self.ebs_snapshot.id,
            "VolumeSize": self.ebs_snapshot.volume.size,
            "DeleteOnTermination": True,
            "VolumeType": "gp3",
            "Encrypted": self.ebs_snapshot.encrypted,
        }
        return [{"DeviceName": self.root_device_name, "Ebs": volume}]

    def run_instances(self: Any, image_id: str, *args: Any, **kwargs: Any) -> Any:
        image = self.amis.get(image_id)
        if image is not None:
            asked = kwargs.get("block_device_mappings") or []
            kwargs["block_device_mappings"] = _with_root(asked, image.block_device_mappings[0])
        return run(self, image_id, *args, **kwargs)

    def describe_snapshots(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = current_call.get()
        owners = (
            call.params.get("OwnerIds") if call is not None and call.action == "DescribeSnapshots" else None
        )
        wanted = {self.account_id if owner == "self" else owner for owner in owners or ()}
        return [one for one in describe(self, *args, **kwargs) if not wanted or one.owner_id in wanted]

    substitute(Ami, "__init__", init)
    substitute(Ami, "block_device_mappings", property(block_device_mappings))
    substitute(AmiBackend, "create_image", _create)
    substitute(InstanceBackend, "run_instances", run_instances)
    substitute(EBSBackend, "describe_snapshots", describe_snapshots)


def _with_root(asked: list[dict[str, Any]], default: dict[str, Any]) -> list[dict[str, Any]]:
    """Fill in what a launch leaves open about the root volume with what the image says."""
    root = next((one for one in asked if one["DeviceName"] == default["DeviceName"]), None)
    if root is None:
        return [default, *asked]
    ebs = {name: value for name, value in root["Ebs"].items() if value is not None}
    # An encrypted snapshot makes no other volume.
    ebs["Encrypted"] = ebs.get("Encrypted") or default["Ebs"]["Encrypted"]
    root["Ebs"] = default["Ebs"] | ebs
    return asked


def _create(self: Any, instance_id: str, name: str, description: str, tag_specifications: Any) -> Any:
    """Enter the image, pending; moto takes no tags for the snapshot, and knows no instance's disk."""
    instance = self.get_instance(instance_id)
    root = instance.block_device_mapping[instance.root_device_name]
    volume, source = self.volumes[root.volume_id], self.amis.get(instance.image_id)
    tags = {
        kind: {
            tag["Key"]: tag["Value"]
            for specification in tag_specifications
            if specification["ResourceType"] == kind
            for tag in specification["Tags"]
        }
        for kind in _TAGGED
    }
    own = OwnImage(
        region=self.region_name,
        image_id=random_ami_id(),
        snapshot_id=random_snapshot_id(),
        name=name,
        description=description,
        architecture=instance.architecture,
        root_device_name=instance.root_device_name,
        boot_mode=source.boot_mode if source is not None else "uefi-preferred",
        size_gib=int(volume.size),
        encrypted=volume.encrypted is True or str(volume.encrypted).lower() == "true",
        instance_id=instance.id,
        created=utcnow().isoformat(),
        image_tags=tags["image"],
        snapshot_tags=tags["snapshot"],
    )
    image = enter(own, "pending")
    call = current_call.get()
    if call is not None:
        call.notes["image"] = (instance, own, image)
    return image


@correction.refuses("ec2", "CreateImage")
def _check_image(call: Call) -> None:
    backend, params = account.ec2(call.region), call.params
    name, instance_id = str(params.get("Name") or ""), str(params.get("InstanceId") or "")
    for parameter, value in (("instanceId", instance_id), ("name", name)):
        if not value:
            raise Refusal("MissingParameter", f"The request must contain the parameter {parameter}")
    if not _NAME.fullmatch(name):
        raise Refusal(
            "InvalidAMIName.Malformed",
            "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, "
            "'(', ')', '.', '-', '/' and '_'",
        )
    for image in backend.amis.values():
        if image.name == name and image.owner_id == account.ACCOUNT_ID:
            raise Refusal("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {image.id}")
    for specification in params.get("TagSpecifications") or ():
        kind = specification.get("ResourceType")
        if kind not in _TAGGED:
            raise Refusal(
                "InvalidParameterValue", f"'{kind}' is not a valid taggable resource type for this operation."
            )
    instance = backend.get_instance_by_id(instance_id)
    if instance is not None and instance.state not in {"running", "stopping", "stopped"}:
        raise Refusal(
            "InvalidParameterValue",
            f"Invalid value '{instance_id}' for instanceId. Instance is not in state 'running' or "
            "'stopping' or 'stopped'",
        )


@correction.acts("ec2", "CreateImage")
def _make(call: Call, infrastructure: Infrastructure) -> None:
    instance, own, image = call.notes["image"]
    reboot = instance.state == "running" and str(call.params.get("NoReboot")).lower() != "true"
    infrastructure.hosts.make_image(instance, own, image, reboot=reboot)


@correction.refuses("ec2", "DeregisterImage")
def _keep_others(call: Call) -> None:
    image = account.ec2(call.region).amis.get(str(call.params.get("ImageId")))
    if image is not None and image.owner_id != account.ACCOUNT_ID:
        raise Refusal("AuthFailure", f"Not authorized for image:{image.id}", 403)


@correction.refuses("ec2", "DeleteSnapshot")
def _keep_others_snapshot(call: Call) -> None:
    snapshot = account.ec2(call.region).snapshots.get(str(call.params.get("SnapshotId")))
    if snapshot is not None and snapshot.owner_id != account.ACCOUNT_ID:
        raise Refusal("AuthFailure", f"Not authorized for snapshot:{snapshot.id}", 403)


@correction.settles("ec2", "DeregisterImage", "DeleteSnapshot")
def _forget(call: Call, infrastructure: Infrastructure) -> None:
    infrastructure.images.forget(str(call.params.get("ImageId") or call.params.get("SnapshotId")))
