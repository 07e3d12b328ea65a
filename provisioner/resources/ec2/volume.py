"""A disk with data on it, which outlives the host that has it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar

from provisioner.aws import Aws, RetryOn
from provisioner.errors import AwsError, FlowsteadError, UsageError
from provisioner.resources.base import IN_USE, Live, Teardown
from provisioner.resources.ec2.kind import Description, Ec2Resource
from provisioner.resources.ec2.subnet import Subnet
from provisioner.resources.move_tags import moving
from provisioner.resources.place_of_artifacts import ARTIFACTS_TAG, place_of_artifacts
from provisioner.resources.refusals import foreign_key, in_the_way
from provisioner.resources.setting import Setting
from provisioner.resources.state import State
from provisioner.resources.tags import as_items

NIGHTLY_TAG = "flowstead:nightly"
"""What is snapshotted every night, and those snapshots; its value is the deployment's name."""

_NO_SNAPSHOT = "InvalidSnapshot.NotFound"
_FREE_S = 300
_SNAPSHOT_S = 2700
"""Seconds that a snapshot may take; chosen, AWS names none: the first one copies the whole disk."""


@dataclass(frozen=True, eq=False)
class Volume(Ec2Resource):
    """An EBS volume with data: encrypted, gp3. Who has it is the host's to say.

    Args:
        size_gib: its size; it grows and never shrinks.
        subnet: in whose zone it is.
        deletion_protection: a destroy refuses to delete it: EBS has no such protection itself.
        artifacts: URI of the folder under which what it lists has its artifacts.
        moving_from: id of the store whose data it is made for; empty: of none.
        account_id: the AWS account.

    """

    kind: ClassVar[str] = "volume"
    description: ClassVar[Description] = Description(
        "describe_volumes", "Volumes", "VolumeId", "VolumeIds", "volume", "InvalidVolume.NotFound"
    )
    holds_data: ClassVar[bool] = True
    keeps_runs: ClassVar[bool] = True

    size_gib: int
    subnet: Subnet
    deletion_protection: bool
    artifacts: str
    moving_from: str
    account_id: str

    @property
    def tags(self) -> Mapping[str, str]:
        """Every tag that it is to carry, with the place of the artifacts and the mark for snapshots."""
        own = {ARTIFACTS_TAG: self.artifacts, NIGHTLY_TAG: self.owner.deployment}
        return MappingProxyType({**super().tags, **own, **moving(self.moving_from)})

    def live(self, item: dict[str, Any]) -> Live:
        """Read EC2's description of one."""
        return replace(super().live(item), ready=item["State"] != "creating")

    def exists(self, item: dict[str, Any]) -> bool:
        """Tell it from one that is being deleted."""
        return item["State"] not in {"deleting", "deleted"}

    def find(self, aws: Aws) -> Live | None:
        """Look it up by its tags, with its nightly snapshots; of several, only a person may remove one."""
        live = super().find(aws)
        if live is None:
            return None
        twins = tuple(replace(twin, status=IN_USE) for twin in live.twins)
        return self._with_snapshots(aws, replace(live, twins=twins))

    def at(self, aws: Aws, id_: str) -> Live | None:
        """Look at one by its id, with its nightly snapshots."""
        live = super().at(aws, id_)
        return self._with_snapshots(aws, live) if live else None

    def _with_snapshots(self, aws: Aws, live: Live) -> Live:
        filters = [{"Name": "volume-id", "Values": [live.id]}, {"Name": "tag-key", "Values": [NIGHTLY_TAG]}]
        found = aws.page("ec2", "describe_snapshots", "Snapshots", OwnerIds=["self"], Filters=filters)
        return replace(live, facts={**live.facts, "Nightly": [item["SnapshotId"] for item in found]})

    def parts(self, live: Live) -> Collection[str]:
        """Give the ids of its nightly snapshots: they go with it, as automated backups go with a database."""
        return tuple(live.facts.get("Nightly", ()))

    def uses(self, aws: Aws, live: Live) -> int:
        """Count what has it."""
        return len(live.facts.get("Attachments", ()))

    def is_spared(self, live: Live, teardown: Teardown) -> bool:
        """Leave the root disk of a host to the host, whose tags it has."""
        return any(item.get("DeleteOnTermination") for item in live.facts.get("Attachments", ()))

    def settings(self, live: Live, state: State) -> Iterable[Setting]:
        """Zone, encryption and the place of the artifacts (for ever), size and type."""
        note = "make one from a snapshot there: docs/bring_data_back.md"
        zone = self.subnet.zones.pick(state, self.subnet.zone)
        yield Setting("zone", live.facts["AvailabilityZone"], zone, note=note)
        yield Setting("encryption", "on" if live.facts.get("Encrypted") else "off", "on")
        yield place_of_artifacts(live.tags, self.artifacts)
        note = "EBS cannot use it in this state: see the AWS console"
        yield Setting("state", live.status, "available", note=note, is_wanted=live.status != "error")
        size, wanted = live.facts["Size"], self.size_gib
        note = "a disk cannot shrink"
        yield Setting("database.volume_gib", size, wanted, note=note, is_wanted=size <= wanted)
        note = "the file system grows with the next run of site.yml"
        to: dict[str, Any] = {"Size": wanted}
        yield Setting("volume GiB", size, wanted, self._modify, to, note, is_wanted=size >= wanted)
        to = {"VolumeType": "gp3"}
        yield Setting("volume type", live.facts["VolumeType"], "gp3", self._modify, to)

    def notices(self, live: Live, state: State) -> tuple[str, ...]:
        """Tell of a key that is not the account's."""
        text = foreign_key(live.facts.get("KmsKeyId"), self.account_id)
        return (f"{self} ({live.id}) {text}",) if text else ()

    def create(self, aws: Aws, state: State) -> Live:
        """Make it, empty."""
        return self.make(
            aws,
            "create_volume",
            AvailabilityZone=self.subnet.zones.pick(state, self.subnet.zone),
            Size=self.size_gib,
            VolumeType="gp3",
            Encrypted=True,
            ClientToken=aws.run_token(self.name),
        )

    def wait(self, aws: Aws, live: Live) -> Live:
        """Wait until it can be attached."""
        aws.wait("ec2", "volume_available", deadline_s=_FREE_S, VolumeIds=[live.id])
        return self.read(aws, live.id)

    def _modify(self, aws: Aws, live: Live, to: Mapping[str, Any]) -> None:
        aws.call("ec2", "modify_volume", VolumeId=live.id, **to)

    def obstacles(self, aws: Aws, live: Live, own: Collection[str]) -> Iterable[FlowsteadError]:
        """Find the protection that deployment.yml asks for, and a host of others that has it."""
        if self.deletion_protection:
            yield UsageError(
                f"{self} ({live.id}) is protected from deletion (database.deletion_protection is true).",
                next_step="To destroy it, set that to false in deployment.yml and run destroy again.",
            )
        for item in live.facts.get("Attachments", ()):
            if item["InstanceId"] not in own:
                what = f"the instance {item['InstanceId']} has it"
                yield in_the_way(self, live, what, "Unmount and detach it there")

    def remains(self, live: Live, teardown: Teardown) -> str:
        """Name the final snapshot."""
        if not teardown.final_snapshot or live.status == "error":
            return ""
        return f"final snapshot {self._final(teardown)} of {self.kind} {live.id}"

    def _final(self, teardown: Teardown) -> str:
        return f"flowstead-{self.label}-final-{teardown.stamp}"

    def delete(self, aws: Aws, live: Live, teardown: Teardown) -> None:
        """Take it from its host, take the final snapshot, and delete it with the nightly ones."""
        there = self.at(aws, live.id)
        if there is None:
            return
        release(aws, there.id)
        if self.remains(there, teardown):
            self._snapshot(aws, there, self._final(teardown))
        for snapshot in self.parts(there):
            aws.call_or((_NO_SNAPSHOT,), "ec2", "delete_snapshot", SnapshotId=snapshot)
        super().delete(aws, there, teardown)

    def _snapshot(self, aws: Aws, live: Live, name: str) -> None:
        """Take a snapshot, and return when it is whole: until then it needs the volume."""
        tags = {key: value for key, value in live.tags.items() if not key.startswith("aws:")}
        tags = {**tags, "Name": name}
        tags.pop(NIGHTLY_TAG, None)
        made = aws.call(
            "ec2",
            "create_snapshot",
            VolumeId=live.id,
            Description=f"Last state of {self.label}, a volume of Flowstead",
            TagSpecifications=[{"ResourceType": "snapshot", "Tags": as_items(tags)}],
        )

        def ended() -> str | None:
            asked, retry = [made["SnapshotId"]], RetryOn((_NO_SNAPSHOT,))
            found = aws.page("ec2", "describe_snapshots", "Snapshots", retry, SnapshotIds=asked)
            return None if found[0]["State"] == "pending" else str(found[0]["State"])

        what = f"snapshot {made['SnapshotId']} of {self}"
        if aws.until(ended, what=f"{what} being whole", deadline_s=_SNAPSHOT_S, every_s=3) == "error":
            raise AwsError(
                f"EBS could not take the {what}.",
                code="SnapshotError",
                operation="CreateSnapshot",
                next_step="Run destroy again: the volume is still there.",
            )

    def remove(self, aws: Aws, live: Live) -> None:
        """Delete it."""
        aws.call("ec2", "delete_volume", VolumeId=live.id)
        aws.wait("ec2", "volume_deleted", deadline_s=_FREE_S, VolumeIds=[live.id])


def release(aws: Aws, volume_id: str, keeper: str = "") -> None:
    """Take a volume from whatever instance has it, and return once it is free.

    Args:
        aws: the AWS client.
        volume_id: the volume.
        keeper: the instance that may have it.

    Raises:
        AwsError: it is not let go: it is in use there.

    """

    def others() -> list[str]:
        retry = RetryOn((Volume.description.absent,))
        (volume,) = aws.page("ec2", "describe_volumes", "Volumes", retry, VolumeIds=[volume_id])
        return [item["InstanceId"] for item in volume["Attachments"] if item["InstanceId"] != keeper]

    if not (hosts := others()):
        return
    for host in hosts:
        # An instance that ends lets go of it by itself.
        gone = ("IncorrectState", "InvalidAttachment.NotFound", "InvalidInstanceID.NotFound")
        aws.call_or(gone, "ec2", "detach_volume", VolumeId=volume_id, InstanceId=host)
    what = f"volume {volume_id} being free: unmount it on {', '.join(hosts)}, if it is in use there"
    aws.until(lambda: True if not others() else None, what=what, deadline_s=_FREE_S)
