"""The volume with data that a host has: which one, and that it outlives the host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from provisioner.aws import Aws
from provisioner.resources.ec2.volume import Volume, release
from provisioner.resources.setting import Setting

if TYPE_CHECKING:
    from provisioner.resources.base import Live
    from provisioner.resources.state import State

DEVICE = "/dev/sdf"
"""Its name where the instance type is not of the Nitro system, which names by volume:
https://docs.aws.amazon.com/ebs/latest/userguide/nvme-ebs-volumes.html"""

_ATTACH_S = 300


def settings(volume: Volume, host: Live, state: State) -> Iterable[Setting]:
    """Declare that a host has a volume, and leaves it behind.

    Args:
        volume: the volume.
        host: the host as found.
        state: what is known of the volume.

    """
    mappings = host.facts.get("BlockDeviceMappings", [])
    there = next((item for item in mappings if item["Ebs"]["VolumeId"] == state.id(volume)), None)
    has = there["Ebs"]["VolumeId"] if there and there["Ebs"].get("Status") == "attached" else "none"
    yield Setting("data volume", has, state.id(volume), partial(_attach, state.id(volume)))
    if there:
        goes = "deleted" if there["Ebs"].get("DeleteOnTermination") else "kept"
        keep = partial(_keep, there["DeviceName"])
        yield Setting("data volume at the host's end", goes, "kept", keep)


def _attach(volume_id: str, aws: Aws, host: Live, _: Mapping[str, Any]) -> None:
    """Attach it, once whatever had it has let it go."""
    release(aws, volume_id, keeper=host.id)

    def attachment() -> str | None:
        (volume,) = aws.page("ec2", "describe_volumes", "Volumes", VolumeIds=[volume_id])
        return next((str(item["State"]) for item in volume["Attachments"]), None)

    if attachment() is None:
        aws.call("ec2", "attach_volume", VolumeId=volume_id, InstanceId=host.id, Device=DEVICE)
    what = f"volume {volume_id} being attached to {host.id}"
    aws.until(lambda: attachment() == "attached" or None, what=what, deadline_s=_ATTACH_S)


def _keep(device: str, aws: Aws, host: Live, _: Mapping[str, Any]) -> None:
    mapping = {"DeviceName": device, "Ebs": {"DeleteOnTermination": False}}
    aws.call("ec2", "modify_instance_attribute", InstanceId=host.id, BlockDeviceMappings=[mapping])
