"""Keeps a host's disk for every image of the account's own, and boots hosts from it.

The disks outlive the sandbox: what one has made, the next one of the same clone finds in its account.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from moto.ec2.models.amis import Ami

from sandbox import account, amis
from sandbox.real import disks, images
from sandbox.real.certificates import Authority
from sandbox.real.hosts import Host

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OwnImage:
    """An image of the account's own, with its snapshot, as it is written down with the disk.

    Attributes:
        region: where it is.
        image_id: the AMI's id.
        snapshot_id: the id of the snapshot it is made on.
        name: unique in the region.
        description: the caller's.
        architecture: AWS's name of it, ``x86_64``.
        root_device_name: e.g. ``/dev/xvda``.
        boot_mode: e.g. ``uefi-preferred``.
        size_gib: the size of the root volume it was made of.
        encrypted: whether that was encrypted.
        instance_id: what it was made of.
        created: when, in ISO 8601.
        image_tags: the tags that the call gave the image; later ones are not written down.
        snapshot_tags: those of the snapshot.
    """

    region: str
    image_id: str
    snapshot_id: str
    name: str
    description: str
    architecture: str
    root_device_name: str
    boot_mode: str
    size_gib: int
    encrypted: bool
    instance_id: str
    created: str
    image_tags: Mapping[str, str] = field(default_factory=dict)
    snapshot_tags: Mapping[str, str] = field(default_factory=dict)


def enter(own: OwnImage, state: str, *, with_image: bool = True, with_snapshot: bool = True) -> Any:
    """Enter an image and its snapshot in the account.

    Args:
        own: the image.
        state: ``pending`` or ``available``.
        with_image: whether there is the image still.
        with_snapshot: whether there is the snapshot.

    Returns:
        Moto's image.
    """
    backend = account.ec2(own.region)
    image = Ami(
        backend,
        own.image_id,
        name=own.name,
        description=own.description,
        virtualization_type="hvm",
        architecture=own.architecture,
        state=state,
        creation_date=datetime.fromisoformat(own.created),
        image_location=f"{account.ACCOUNT_ID}/{own.name}",
        hypervisor="xen",
        root_device_type="ebs",
        root_device_name=own.root_device_name,
        boot_mode=own.boot_mode,
        snapshot_description=f"Created by CreateImage({own.instance_id}) for {own.image_id}",
        tags=dict(own.image_tags),
    )
    image.instance_id = own.instance_id
    snapshot = image.ebs_snapshot
    del backend.snapshots[snapshot.id]
    snapshot.id, snapshot.start_time = own.snapshot_id, image.creation_date
    snapshot.volume.size, snapshot.encrypted = own.size_gib, own.encrypted
    snapshot.status = "completed" if state == "available" else state
    snapshot.add_tags(own.snapshot_tags)
    if with_image:
        backend.amis[image.id] = image
    if with_snapshot:
        backend.snapshots[snapshot.id] = snapshot
    return image


class Images:
    """The images that a sandbox's hosts boot from.

    Args:
        clone: the short name of the clone that its own images are kept for.
        authority: the authority that every host trusts.
    """

    def __init__(self, clone: str, authority: Authority) -> None:
        self._clone = clone
        self._authority = authority
        self._lock = threading.Lock()
        self._own: dict[str, str] = {}  # image -> whose clone's it is
        self._gone: set[str] = set()

    def boot(self, image_id: str) -> str:
        """Return podman's reference of what an image's hosts boot, which trusts the authority.

        Args:
            image_id: the image.

        Raises:
            LookupError: nothing stands for this image.
            RealError: it cannot be built, or is gone.
        """
        system, ca = amis.system_of(image_id), self._authority.ca_pem_path
        if system is not None:
            return images.ensure(system, lambda line: log.info("%s", line), ca=ca)
        with self._lock:
            clone = self._own.get(image_id)
        if clone is None:
            raise LookupError(f"no host image for {image_id}")
        return images.trusting(disks.reference(clone, image_id), ca)

    def keep(self, host: Host, own: OwnImage, image: Any) -> None:
        """Keep a host's disk as an image; it is available then, or has failed.

        Args:
            host: the host, running or not.
            own: what to write down.
            image: moto's image.
        """
        names = {own.image_id, own.snapshot_id}
        try:
            host.keep_disk(self._clone, sorted(names), asdict(own))
        except Exception as error:
            log.exception("%s: the disk of %s cannot be kept", own.image_id, own.instance_id)
            fail(image, str(error))
            return
        with self._lock:
            self._own[own.image_id] = self._clone
            gone = names & self._gone
        for name in gone:  # removed while it was being made
            disks.forget(self._clone, name)
        with account.lock:
            image.state, image.ebs_snapshot.status = "available", "completed"

    def forget(self, name: str) -> None:
        """Forget an image or a snapshot for good; another clone's is forgotten in this sandbox only.

        Args:
            name: the id of either.
        """
        with self._lock:
            self._gone.add(name)
        disks.forget(self._clone, name)

    def prune(self) -> None:
        """Remove the disks of which nothing is left, after a host that used one."""
        disks.prune()

    def take(self, clone: str) -> list[str]:
        """Enter in the account what a clone keeps and the account has not.

        Args:
            clone: the clone's short name.

        Returns:
            The ids of the images that came.
        """
        came = []
        for disk in disks.kept(clone):
            own = OwnImage(**disk.facts)
            with account.lock, self._lock:
                backend = account.ec2(own.region)
                names = disk.names & {own.image_id, own.snapshot_id}
                names -= self._gone | set(backend.amis) | set(backend.snapshots)
                if not names:
                    continue
                enter(
                    own,
                    "available",
                    with_image=own.image_id in names,
                    with_snapshot=own.snapshot_id in names,
                )
                self._own[own.image_id] = clone
                came += sorted(names & {own.image_id})
        return came


def fail(image: Any, why: str) -> None:
    """Report an image that could not be made the way AWS does: it has failed, with a reason.

    Args:
        image: moto's image.
        why: the reason.
    """
    with account.lock:
        image.state, image.ebs_snapshot.status = "failed", "error"
        message = f"Server.InternalError: {why}"[:400]
        image.state_reason = {"Code": "Server.InternalError", "Message": message}
