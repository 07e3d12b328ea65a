"""The account's own images: what there is, what it holds and costs, and what is no longer wanted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from provisioner.aws import Aws
from provisioner.resources.ec2.image import CODE_TAG, RELEASES_TAG, SYSTEM_TAG, age_key
from provisioner.resources.ec2.instance_facts import GONE
from provisioner.resources.tags import as_tags

_GIB = 1024**3
_OURS = [{"Name": "tag-key", "Values": [SYSTEM_TAG]}]
_GONE_CODES = ("InvalidAMIID.NotFound", "InvalidAMIID.Unavailable", "InvalidSnapshot.NotFound")


@dataclass(frozen=True)
class OwnImage:
    """An image that was baked in this account.

    Args:
        id: its id.
        name: its name.
        system: its operating system, as deployment.yml names it.
        architecture: the processor it is for.
        state: EC2's word ("available", "pending", "failed").
        made_at: when it was made.
        size_gib: what its snapshots hold, where EC2 tells; the size of the disk otherwise.
        releases: versions of MLflow in it.
        code: the code that it was baked with.
        snapshots: ids of its snapshots.
        instances: ids of this account's instances that run from it.

    """

    id: str
    name: str
    system: str
    architecture: str
    state: str
    made_at: datetime
    size_gib: float
    releases: tuple[str, ...]
    code: str
    snapshots: tuple[str, ...]
    instances: tuple[str, ...]

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return {
            "id": self.id,
            "name": self.name,
            "system": self.system,
            "architecture": self.architecture,
            "state": self.state,
            "made_at": self.made_at.isoformat(),
            "size_gib": self.size_gib,
            "releases": list(self.releases),
            "code": self.code,
            "snapshots": list(self.snapshots),
            "instances": list(self.instances),
        }

    def age(self, now: datetime) -> str:
        """Say how old it is, the way people do: "3 days", "4 h", "12 min"."""
        seconds = int((now - self.made_at).total_seconds())
        for size, word in ((86400, "days"), (3600, "h")):
            if seconds >= 2 * size:
                return f"{seconds // size} {word}"
        return f"{max(0, seconds) // 60} min"


@dataclass(frozen=True)
class Orphan:
    """A snapshot of an image that is gone.

    Args:
        id: its id.
        name: the name of the image that it was of.
        size_gib: as of an image.

    """

    id: str
    name: str
    size_gib: float


@dataclass(frozen=True)
class OwnImages:
    """What the account has.

    Args:
        images: the images, the newest first.
        orphans: snapshots that no image uses.

    """

    images: tuple[OwnImage, ...]
    orphans: tuple[Orphan, ...]

    def newest(self, system: str, processor: str) -> OwnImage | None:
        """Choose what a host made now would start from.

        Args:
            system: the operating system, as deployment.yml names it.
            processor: as EC2 names it ("x86_64").

        """
        fitting = (one for one in self.images if (one.system, one.architecture) == (system, processor))
        return next((one for one in fitting if one.state == "available"), None)

    def beyond(self, keep: int) -> tuple[OwnImage, ...]:
        """Choose what goes: all but the newest of each system and processor.

        One that is still being made is neither counted nor chosen; one that failed is always chosen.

        Args:
            keep: how many stay.

        """
        kept: dict[tuple[str, str], int] = {}
        chosen = []
        for image in self.images:
            kind = image.system, image.architecture
            if image.state == "pending":
                continue
            if image.state == "available" and kept.get(kind, 0) < keep:
                kept[kind] = kept.get(kind, 0) + 1
            else:
                chosen.append(image)
        return tuple(chosen)


def find(aws: Aws) -> OwnImages:
    """List the account's own images, with reading calls only.

    Args:
        aws: the AWS client.

    Raises:
        AwsError: AWS could not be asked.

    """
    # Snapshots first: one whose image is made a moment later is never taken for an orphan.
    snapshots = {
        item["SnapshotId"]: item
        for item in aws.page("ec2", "describe_snapshots", "Snapshots", OwnerIds=["self"], Filters=_OURS)
    }
    everything = aws.page("ec2", "describe_images", "Images", Owners=["self"])
    ours = [item for item in everything if SYSTEM_TAG in as_tags(item.get("Tags", []))]
    instances = _instances(aws, [item["ImageId"] for item in ours])
    images = [_image(item, snapshots, instances) for item in sorted(ours, key=age_key, reverse=True)]
    used = {id_ for item in everything for id_ in _snapshots_of(item)}
    # An image that is being made does not name its snapshot yet; both have the same name.
    unfinished = {image.name for image in images if image.state == "pending"}
    orphans = [
        Orphan(id_, name, _gib(item))
        for id_, item in snapshots.items()
        if id_ not in used
        and item["State"] != "pending"
        and (name := as_tags(item.get("Tags", [])).get("Name", "")) not in unfinished
    ]
    return OwnImages(tuple(images), tuple(orphans))


def remove(aws: Aws, images: Iterable[OwnImage], orphans: Iterable[Orphan]) -> None:
    """Remove images with their snapshots, and snapshots without one; what is gone already is no error.

    An interrupted run leaves orphans, which the next one removes.

    Args:
        aws: the AWS client.
        images: the images.
        orphans: the snapshots.

    Raises:
        AwsError: AWS refused or could not be asked.

    """
    for image in images:
        aws.call_or(_GONE_CODES, "ec2", "deregister_image", ImageId=image.id)
        _remove_snapshots(aws, image.snapshots)
    _remove_snapshots(aws, [orphan.id for orphan in orphans])


def table(found: OwnImages, today: str) -> list[str]:
    """Write a table of the images, for people.

    Args:
        found: the images.
        today: the code that a new one would hold (code.current).

    Returns:
        Its lines.

    """
    now = datetime.now(UTC)
    rows = [("id", "system", "processor", "age", "GiB", "MLflow", "roles", "instances")]
    for image in found.images:
        state = "" if image.state == "available" else f" ({image.state})"
        rows.append(
            (
                image.id,
                image.system + state,
                image.architecture,
                image.age(now),
                f"{image.size_gib:g}",
                " ".join(image.releases),
                "today's" if image.code == today else image.code,
                " ".join(image.instances) or "-",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    if not found.images:
        lines = ["No image was baked in this account and region. To make one: python provision.py bake"]
    lines += [f"{one.id}: {one.size_gib:g} GiB, a snapshot that no image uses" for one in found.orphans]
    return lines


def _remove_snapshots(aws: Aws, ids: Sequence[str]) -> None:
    for id_ in ids:
        aws.call_or(_GONE_CODES, "ec2", "delete_snapshot", SnapshotId=id_)


def _image(
    item: dict[str, Any], snapshots: dict[str, dict[str, Any]], instances: dict[str, list[str]]
) -> OwnImage:
    tags = as_tags(item["Tags"])
    ids = _snapshots_of(item)
    return OwnImage(
        id=item["ImageId"],
        name=item["Name"],
        system=tags[SYSTEM_TAG],
        architecture=item["Architecture"],
        state=item["State"],
        made_at=datetime.fromisoformat(str(item["CreationDate"])).astimezone(UTC),
        size_gib=round(sum(_gib(snapshots[id_]) for id_ in ids if id_ in snapshots), 1),
        releases=tuple(tags.get(RELEASES_TAG, "").split()),
        code=tags.get(CODE_TAG, ""),
        snapshots=tuple(ids),
        instances=tuple(sorted(instances.get(item["ImageId"], ()))),
    )


def _snapshots_of(item: dict[str, Any]) -> list[str]:
    disks = (mapping.get("Ebs", {}).get("SnapshotId") for mapping in item.get("BlockDeviceMappings", []))
    return [str(id_) for id_ in disks if id_]


def _gib(snapshot: dict[str, Any]) -> float:
    """Tell what a snapshot holds.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Snapshot.html
    """
    held = snapshot.get("FullSnapshotSizeInBytes")
    return round(held / _GIB, 1) if held else float(snapshot["VolumeSize"])


def _instances(aws: Aws, image_ids: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    if not image_ids:
        return found
    filters = [{"Name": "image-id", "Values": list(image_ids)}]
    for reservation in aws.page("ec2", "describe_instances", "Reservations", Filters=filters):
        for item in reservation["Instances"]:
            if item["State"]["Name"] not in GONE:
                found.setdefault(item["ImageId"], []).append(item["InstanceId"])
    return found
