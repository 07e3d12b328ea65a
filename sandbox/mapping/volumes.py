"""Keeps the blocks of every EBS volume, and gives them to real hosts as disks."""

from __future__ import annotations

import copy
import itertools
import logging
import threading
import time
from typing import Any

from sandbox import account
from sandbox.mapping.hosts import Hosts, is_nitro
from sandbox.mapping.turns import Turns
from sandbox.real.devices import Disk
from sandbox.real.site import Site
from sandbox.real.volumes import Volume, remove_snapshot

log = logging.getLogger(__name__)

_LOOK_S = 0.5


class Volumes:
    """The real volumes of a sandbox; root volumes are not among them: they are a part of their host.

    What the account shows of one while something is under way stands in attributes of moto's volume:
    ``shown`` is its state.

    Args:
        site: its piece of the machine.
        hosts: what has them.
    """

    def __init__(self, site: Site, hosts: Hosts) -> None:
        self._site = site
        self._hosts = hosts
        self._lock = threading.Lock()
        self._disks: dict[str, Disk] = {}
        self._turns = Turns()
        hosts.on_end = self.let_go

    def _real(self, volume_id: str) -> Volume:
        return Volume(self._site, volume_id)

    def create(self, volume: Any) -> None:
        """Make a volume's blocks; it is ``creating`` until they are there.

        Args:
            volume: moto's volume.
        """
        volume.shown = "creating"

        def act() -> None:
            self._real(volume.id).make(int(volume.size), volume.snapshot_id)
            show(None)

        def show(state: str | None) -> None:
            with account.lock:
                volume.shown = state

        self._turns.begin(volume.id, "create", act, lambda _: show("error"))

    def grow(self, volume: Any) -> None:
        """Make a volume larger, while its host uses it.

        Args:
            volume: moto's volume, with the new size.
        """
        self._turns.begin(
            volume.id, "grow", lambda: self._real(volume.id).grow(int(volume.size)), lambda _: None
        )

    def remove(self, volume_id: str) -> None:
        """Remove a volume's blocks; nothing to do without any."""
        self._turns.begin(volume_id, "remove", self._real(volume_id).remove, lambda _: None)

    def attach(self, volume: Any, attachment: Any) -> None:
        """Give a host a volume; it is ``attaching`` until the host shows it.

        Args:
            volume: moto's volume.
            attachment: moto's attachment, new.

        Raises:
            CommandError: this machine has no loop device for it.
        """
        instance = attachment.instance
        device = self._real(volume.id).plug()
        disk = Disk(device, *_names(volume.id, instance, attachment.device, self._taken(instance)))
        with self._lock:
            self._disks[volume.id] = disk
        attachment.status = "attaching"

        def act() -> None:
            if host := self._hosts.of(instance.id):
                host.attach(disk)
            with account.lock:
                attachment.status = "attached"

        self._hosts.do(instance, "attach", act)

    def _taken(self, instance: Any) -> set[str]:
        """Name the disks that a host has besides its root."""
        volumes = instance.ec2_backend.volumes.values()
        held = {one.id for one in volumes if one.attachment and one.attachment.instance is instance}
        with self._lock:
            return {disk.name for volume_id, disk in self._disks.items() if volume_id in held}

    def detach(self, volume: Any, attachment: Any, *, force: bool) -> None:
        """Take a volume from a host: it stays ``busy`` for as long as the host has it mounted.

        Args:
            volume: moto's volume.
            attachment: moto's attachment, which lasts until then.
            force: take it away from under the host.
        """
        instance, disk = attachment.instance, self._disks.get(volume.id)
        if disk is None:
            return
        attachment.status = "detaching"
        host = self._hosts.of(instance.id)
        if host is not None and force:
            host.unmount(disk)

        def act() -> None:
            while host is not None and host.is_using(disk):
                if self._disks.get(volume.id) is not disk:
                    return  # the host has ended
                with account.lock:
                    attachment.status = "busy"
                time.sleep(_LOOK_S)
            if host is not None:
                host.detach(disk)
            self._free(volume, disk)

        self._turns.begin(f"{volume.id} {instance.id}", "detach", act, lambda _: None)

    def _free(self, volume: Any, disk: Disk | None) -> None:
        """Make a volume available, once nothing uses its blocks any more."""
        real = self._real(volume.id)
        if self._disks.get(volume.id) is not disk:
            return  # another host has it by now
        real.unplug()
        while real.is_plugged:
            time.sleep(_LOOK_S)
        with self._lock:
            self._disks.pop(volume.id, None)
        with account.lock:
            attachment, volume.attachment = volume.attachment, None
            if attachment is not None:
                attachment.instance.block_device_mapping.pop(attachment.device, None)

    def let_go(self, instance: Any) -> None:
        """Free the volumes of a host that is gone; those that go with it are removed.

        Args:
            instance: moto's instance.
        """
        with account.lock:
            volumes = instance.ec2_backend.volumes
            held = [one for one in volumes.values() if one.attachment and one.attachment.instance is instance]
        for volume in held:
            goes = volume.attachment.delete_on_termination
            self._free(volume, self._disks.get(volume.id))
            if goes:
                with account.lock:
                    volumes.pop(volume.id, None)
                self._real(volume.id).remove()

    def snapshot(self, volume: Any, snapshot: Any) -> None:
        """Copy a volume's blocks as they are now; the snapshot is ``pending`` until they are copied.

        Args:
            volume: moto's volume.
            snapshot: moto's snapshot of it.
        """
        # It keeps the size that the volume has now.
        snapshot.status, snapshot.real, snapshot.volume = "pending", True, copy.copy(volume)

        def act() -> None:
            disk, attachment = self._disks.get(volume.id), volume.attachment
            host = self._hosts.of(attachment.instance.id) if attachment is not None else None
            mounted_at = host.mount_of(disk) if host is not None and disk is not None else None
            self._real(volume.id).snapshot(snapshot.id, mounted_at)
            show("completed")

        def show(state: str) -> None:
            with account.lock:
                snapshot.status = state

        self._turns.begin(volume.id, "snapshot", act, lambda _: show("error"))

    def drop_snapshot(self, snapshot_id: str) -> None:
        """Remove a snapshot's blocks; nothing to do without any."""
        remove_snapshot(self._site, snapshot_id)


def _names(volume_id: str, instance: Any, device: str, taken: set[str]) -> tuple[str, tuple[str, ...]]:
    """Name a disk as the host's kernel does: by a number of its own, or by what the attachment says.

    Source: "Amazon EBS volumes and NVMe", EBS User Guide; "Device names for volumes", EC2 User Guide.
    """
    if not is_nitro(instance.instance_type):
        return f"xvd{device.removeprefix('/dev/').removeprefix('sd').removeprefix('xvd')}", ()
    link = f"disk/by-id/nvme-Amazon_Elastic_Block_Store_{volume_id.replace('-', '')}"
    return next(name for n in itertools.count(1) if (name := f"nvme{n}n1") not in taken), (link,)
