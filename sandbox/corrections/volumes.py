"""EBS volumes: what AWS checks, the states they go through, and the blocks behind each.

Root volumes are a part of their host: of them there is only what the account shows.

Source: CreateVolume, AttachVolume, DetachVolume, DeleteVolume, CreateSnapshot and ModifyVolume, Amazon EC2
API Reference; "Error codes for the Amazon EC2 API"; "Requirements for EBS volume modifications", Amazon EBS
User Guide.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from moto.ec2.models.elastic_block_store import Volume, VolumeAttachment, VolumeModification

from sandbox import account
from sandbox.api import wire
from sandbox.api.call import Call
from sandbox.api.correction import Correction, substitute
from sandbox.api.refusal import Refusal, unsupported
from sandbox.mapping.infrastructure import Infrastructure
from sandbox.real.commands import RealError
from sandbox.ways import ways
from sandbox.web import HttpResponse

correction = Correction()

_CHANGES = 4
_WINDOW_S = 24 * 3600.0
"""So many changes of a volume are made in so long. Source: ModifyVolume, as above."""
_WAY = "volume-modification"
_DEVICE = re.compile(r"/dev/(sd|xvd)([b-z]|[b-c][a-z])")
"""Source: "Device names for volumes on Amazon EC2 instances", EC2 User Guide."""

_changed: dict[str, list[float]] = defaultdict(list)


@correction.patch
def _patch(_: Infrastructure) -> None:
    """Show what is under way: with moto, everything has ended."""

    def state(modification: Any) -> str:
        last = modification.volume.modifications[-1] is modification
        return "optimizing" if last and ways.lags(_WAY, modification.volume_id) else "completed"

    substitute(VolumeModification, "modification_state", property(state))
    substitute(Volume, "status", property(_status))
    substitute(VolumeAttachment, "delete_on_termination", property(_goes_along))


def _status(volume: Any) -> str:
    return getattr(volume, "shown", None) or ("in-use" if volume.attachment else "available")


def _goes_along(attachment: Any) -> bool:
    """Tell whether a volume goes with its host, as the instance says; moto tells it of the instance only."""
    block = attachment.instance.block_device_mapping.get(attachment.device)
    return bool(block is not None and block.delete_on_termination)


@correction.refuses("ec2", "ModifyVolume")
def _check_change(call: Call) -> None:
    volume_id = str(call.params.get("VolumeId"))
    volume, size = account.ec2(call.region).volumes.get(volume_id), call.params.get("Size")
    if volume is None:
        return
    if size is not None and int(size) < volume.size:
        raise Refusal("InvalidParameterValue", "New size cannot be smaller than existing size")
    if ways.lags(_WAY, volume_id):
        raise Refusal(
            "IncorrectModificationState",
            f"Volume {volume_id} cannot be modified in modification state OPTIMIZING",
        )
    if sum(moment > ways.clock() - _WINDOW_S for moment in _changed[volume_id]) >= _CHANGES:
        raise Refusal(
            "VolumeModificationRateExceeded",
            "You've reached the maximum modification rate per volume limit. "
            f"A volume can be modified {_CHANGES} times in 24 hours.",
        )


@correction.follows("ec2", "ModifyVolume")
def _note_change(call: Call) -> None:
    volume_id = str(call.params["VolumeId"])
    ways.begin(_WAY, volume_id)
    _changed[volume_id].append(ways.clock())


@correction.acts("ec2", "ModifyVolume")
def _grow(call: Call, infrastructure: Infrastructure) -> None:
    volume = _named(call)
    if not _is_root(volume) and call.params.get("Size"):
        infrastructure.volumes.grow(volume)


def _named(call: Call) -> Any:
    """Find the volume that a call is about; moto refuses one that is not there."""
    return account.ec2(call.region).volumes.get(str(call.params.get("VolumeId")))


def _is_root(volume: Any) -> bool:
    held = volume.attachment
    return held is not None and held.device == held.instance.root_device_name


@correction.refuses("ec2", "CreateVolume")
def _check_new(call: Call) -> None:
    backend, params = account.ec2(call.region), call.params
    zone = params.get("AvailabilityZone")
    if not zone:
        raise Refusal("MissingParameter", "The request must contain the parameter zone")
    if zone not in {one.name for one in backend.describe_availability_zones()}:
        raise Refusal("InvalidZone.NotFound", f"The zone '{zone}' does not exist.")
    if str(params.get("MultiAttachEnabled")).lower() == "true":
        raise unsupported("a volume of several instances")
    snapshot = backend.snapshots.get(str(params.get("SnapshotId")))
    if snapshot is None:
        return
    if snapshot.from_ami or not getattr(snapshot, "real", False):
        raise unsupported("a volume made from the snapshot of an image")
    if snapshot.status != "completed":
        raise Refusal("IncorrectState", f"Snapshot '{snapshot.id}' is not in the 'completed' state.")
    if params.get("Size") and int(params["Size"]) < snapshot.volume.size:
        raise Refusal(
            "InvalidParameterValue",
            f"The size of a volume cannot be smaller than its snapshot's, {snapshot.volume.size}GiB",
        )


@correction.acts("ec2", "CreateVolume")
def _create(call: Call, infrastructure: Infrastructure) -> None:
    volume_id = wire.parse_response(call)["VolumeId"]
    infrastructure.volumes.create(account.ec2(call.region).volumes[volume_id])


@correction.refuses("ec2", "AttachVolume")
def _check_attachment(call: Call) -> None:
    volume, params = _named(call), call.params
    instance = account.ec2(call.region).get_instance_by_id(params.get("InstanceId"))
    device = str(params.get("Device") or "")
    if not device:
        raise Refusal("MissingParameter", "The request must contain the parameter device")
    if not _DEVICE.fullmatch(device):
        raise Refusal(
            "InvalidParameterValue",
            f"Value ({device}) for parameter device is invalid. {device} is not a valid EBS device name.",
        )
    if volume is None or instance is None:
        return
    if volume.attachment is not None:
        raise Refusal("VolumeInUse", f"{volume.id} is already attached to an instance")
    if volume.status != "available":
        raise Refusal("IncorrectState", f"{volume.id} is not 'available'.")
    if instance.state not in {"running", "stopped"}:
        raise Refusal("IncorrectState", f"Instance '{instance.id}' is not 'running'.")
    if volume.availability_zone != instance.nics[0].subnet.availability_zone:
        raise Refusal(
            "InvalidVolume.ZoneMismatch",
            f"The volume '{volume.id}' is not in the same availability zone as instance '{instance.id}'",
        )
    if device in instance.block_device_mapping:
        raise Refusal(
            "InvalidParameterValue",
            f"Invalid value '{device}' for unixDevice. Attachment point {device} is already in use",
        )


@correction.acts("ec2", "AttachVolume")
def _attach(call: Call, infrastructure: Infrastructure) -> None:
    volume = _named(call)
    try:
        infrastructure.volumes.attach(volume, volume.attachment)
    except RealError:
        volume.attachment.instance.block_device_mapping.pop(volume.attachment.device)
        volume.attachment = None
        raise


@correction.refuses("ec2", "DetachVolume")
def _check_detachment(call: Call) -> None:
    volume, params = _named(call), call.params
    if volume is None:
        return
    held = volume.attachment
    if held is None:
        raise Refusal("IncorrectState", f"Volume '{volume.id}' is in the 'available' state.")
    if params.get("InstanceId") not in {None, held.instance.id} or params.get("Device") not in {
        None,
        held.device,
    }:
        raise Refusal(
            "InvalidAttachment.NotFound",
            f"There is no volume '{volume.id}' attached to instance '{params.get('InstanceId')}'",
        )
    if _is_root(volume):
        if held.instance.state != "stopped":
            raise Refusal(
                "OperationNotPermitted",
                f"Unable to detach root volume '{volume.id}' from instance '{held.instance.id}'",
            )
        raise unsupported("a root volume that is taken from its host")


@correction.answers("ec2", "DetachVolume")
def _detach(call: Call) -> HttpResponse | None:
    """Answer that it begins: it has ended only when the host has let go."""
    volume = _named(call)
    if volume is None:
        return None
    held = volume.attachment
    call.notes["detaching"] = held
    return wire.render_result(
        call,
        {
            "AttachTime": held.attach_time,
            "Device": held.device,
            "InstanceId": held.instance.id,
            "State": "detaching",
            "VolumeId": volume.id,
        },
    )


@correction.settles("ec2", "DetachVolume")
def _let_go(call: Call, infrastructure: Infrastructure) -> None:
    force = str(call.params.get("Force")).lower() == "true"
    infrastructure.volumes.detach(_named(call), call.notes["detaching"], force=force)


@correction.refuses("ec2", "TerminateInstances")
def _note_held(call: Call) -> None:
    """Note what volumes the hosts have that end: they have them until they are gone."""
    volumes, ids = account.ec2(call.region).volumes.values(), call.params.get("InstanceIds") or []
    held = [
        one for one in volumes if one.attachment and one.attachment.instance.id in ids and not _is_root(one)
    ]
    call.notes["held"] = [(one, one.attachment, _goes_along(one.attachment)) for one in held]


@correction.follows("ec2", "TerminateInstances")
def _hold(call: Call) -> None:
    for volume, attachment, goes in call.notes["held"]:
        account.ec2(call.region).volumes[volume.id] = volume
        instance = attachment.instance
        instance.ec2_backend.attach_volume(volume.id, instance.id, attachment.device, goes)
        volume.attachment = attachment


@correction.acts("ec2", "DeleteVolume")
def _remove(call: Call, infrastructure: Infrastructure) -> None:
    infrastructure.volumes.remove(str(call.params["VolumeId"]))


@correction.refuses("ec2", "DeleteVolume")
def _check_removal(call: Call) -> None:
    volume = _named(call)
    if volume is not None and volume.attachment is None and volume.status not in {"available", "error"}:
        raise Refusal("IncorrectState", f"{volume.id} is not 'available'.")


@correction.refuses("ec2", "CreateSnapshot")
def _check_snapshot(call: Call) -> None:
    volume = _named(call)
    if volume is not None and _is_root(volume):
        raise unsupported("a snapshot of a root volume; CreateImage makes one")
    if volume is not None and volume.status not in {"available", "in-use"}:
        raise Refusal("IncorrectState", f"Volume '{volume.id}' is in the '{volume.status}' state.")


@correction.acts("ec2", "CreateSnapshot")
def _snapshot(call: Call, infrastructure: Infrastructure) -> None:
    snapshot = account.ec2(call.region).snapshots[wire.parse_response(call)["SnapshotId"]]
    infrastructure.volumes.snapshot(_named(call), snapshot)


@correction.settles("ec2", "DeleteSnapshot")
def _drop_snapshot(call: Call, infrastructure: Infrastructure) -> None:
    infrastructure.volumes.drop_snapshot(str(call.params["SnapshotId"]))
