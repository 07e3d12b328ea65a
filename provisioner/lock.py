"""One run at a time: a lock on a directory of this machine, and one in the account for any machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provisioner import ssh_key
from provisioner.errors import AwsError, FlowsteadError
from provisioner.resources.tags import as_items

if TYPE_CHECKING:
    from provisioner.aws import Aws

EXPIRES = timedelta(minutes=30)
"""A lock without a sign of life for so long is of a run that was killed, or sleeps: chosen, above `RENEWS`
and the 15 minutes by which a machine's clock may be wrong for AWS (RequestExpired):
https://docs.aws.amazon.com/emr/latest/APIReference/CommonErrors.html"""
RENEWS = timedelta(minutes=5)
"""A run gives a sign of life before the first call that comes so long after the last one: chosen."""

_ALIVE = "flowstead:lock-alive"
_TAG_LENGTH = 256  # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
_TAKE_S = 120


class LockedError(FlowsteadError):
    """Another run is working on the deployment."""


@contextlib.contextmanager
def on_this_machine(path: Path, doing: str) -> Iterator[str]:
    """Keep others of this machine out; the kernel ends the lock with the process, however that ends.

    Args:
        path: the lock's file, made when missing; it stays.
        doing: what is done under the lock, for those who are kept out ("apply").

    Returns:
        The directory's own name: the holder of the lock may take over what an earlier holder of it has left.
        A copy of the directory, here or elsewhere, has another.

    Raises:
        LockedError: another process has it.
        FlowsteadError: the file cannot be used.

    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise FlowsteadError(f"{path} cannot be used: {error.strerror}.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = "".join(file.read().splitlines()[1:]) or "another run"
            raise LockedError(
                f"{path.parent} is in use on this machine: {holder}.",
                next_step="Wait for it to end, and run it again; nothing was changed.",
            ) from error
        file.seek(0)
        own = (file.read().splitlines() or [uuid.uuid4().hex])[0]
        file.truncate(0)
        file.write(f"{own}\n{doing}, process {os.getpid()}, since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC\n")
        file.flush()
        yield f"{own} {platform.node()} {os.fstat(file.fileno()).st_ino}"


@dataclass(frozen=True)
class AccountLock:
    """A key pair that opens nothing: its name is unique in an account and region, so one run imports it.

    Deleted by its id, so that nobody ever deletes the lock that another has just taken.

    Args:
        aws: the AWS client.
        deployment: what is locked.
        own: this directory's name, from `on_this_machine`.

    """

    aws: Aws
    deployment: str
    own: str

    @property
    def name(self) -> str:
        """The key pair's name."""
        return f"{self.deployment}.lock"

    def check(self) -> None:
        """See that nobody else has it.

        Raises:
            LockedError: another run has it.
            AwsError: AWS refused or could not be asked.

        """
        holder = self._holder()
        if holder:
            self._check_dead(holder)

    @contextlib.contextmanager
    def held(self, doing: str) -> Iterator[None]:
        """Hold the lock; given back at the end, whatever the end is.

        The signs of life come with the run's own calls: a run that hangs or sleeps gives none, and makes no
        call before it has looked whether the lock is still its own.

        Args:
            doing: what is done under the lock ("apply").

        Raises:
            LockedError: another run has it; from any call, too: it has taken it meanwhile.
            AwsError: AWS refused or could not be asked.

        """
        id_ = self.aws.until(
            lambda: self._take(doing), what=f"the lock {self.name} could be taken", deadline_s=_TAKE_S
        )
        try:
            with self.aws.before_each_call(_SignsOfLife(self, id_).give):
                yield
        finally:
            # The next run from this directory takes it over; an error here would hide the run's own.
            with contextlib.suppress(AwsError):
                self._delete(id_)

    def _take(self, doing: str) -> str | None:
        tags = {
            "Name": self.name,
            "flowstead:lock": self.deployment,
            "flowstead:lock-holder": self.own,
            "flowstead:lock-by": self.aws.identity()["Arn"],
            "flowstead:lock-on": platform.node(),
            "flowstead:lock-for": doing,
        }
        items = as_items({key: value[:_TAG_LENGTH] for key, value in tags.items()})
        made = self.aws.call_or(
            ("InvalidKeyPair.Duplicate",),
            "ec2",
            "import_key_pair",
            KeyName=self.name,
            PublicKeyMaterial=ssh_key.generate_pair(Path(self.name)).public.encode(),
            TagSpecifications=[{"ResourceType": "key-pair", "Tags": items}],
        )
        if made:
            return str(made["KeyPairId"])
        holder = self._holder()
        if holder:
            self._check_dead(holder)
            self._delete(holder["KeyPairId"])
        return None

    def _holder(self) -> dict[str, Any] | None:
        named = [{"Name": "key-name", "Values": [self.name]}]
        found = self.aws.page("ec2", "describe_key_pairs", "KeyPairs", Filters=named)
        return found[0] if found else None

    def _check_dead(self, holder: dict[str, Any]) -> None:
        """See that the holder was killed: it had the directory that we have now, or it is too old."""
        tags = {one["Key"]: one["Value"] for one in holder.get("Tags", ())}
        since: datetime = holder["CreateTime"]
        expires = (datetime.fromisoformat(tags[_ALIVE]) if _ALIVE in tags else since) + EXPIRES
        if tags.get("flowstead:lock-holder") == self.own or datetime.now(UTC) >= expires:
            return
        who, where, what = (tags.get(f"flowstead:lock-{one}", "?") for one in ("by", "on", "for"))
        by_hand = f"aws ec2 delete-key-pair --region {self.aws.region} --key-pair-id {holder['KeyPairId']}"
        raise LockedError(
            f"Another run is working on {self.deployment} in {self.aws.region}: {who} on {where}, {what}, "
            f"since {since:%Y-%m-%d %H:%M} UTC (key pair {self.name}).",
            next_step="Wait for it to end, and run it again; nothing was changed. If it was killed, a run "
            f"after {expires:%H:%M} UTC takes over, or a run after: {by_hand}",
        )

    def renew(self, id_: str) -> None:
        """Give a sign of life.

        Args:
            id_: of the key pair that this run has imported.

        Raises:
            LockedError: the lock is not its own any more.
            AwsError: AWS refused or could not be asked.

        """
        holder = self._holder()
        if not holder or holder["KeyPairId"] != id_:
            raise LockedError(
                f"Another run has taken over {self.deployment} in {self.aws.region} (key pair {self.name}): "
                f"this one gave no sign of life for {EXPIRES.seconds // 60} min, as when the machine sleeps.",
                next_step="Wait for the other to end, and run it again: it goes on from there.",
            )
        now = [{"Key": _ALIVE, "Value": datetime.now(UTC).isoformat(timespec="seconds")}]
        self.aws.call("ec2", "create_tags", Resources=[id_], Tags=now)

    def _delete(self, id_: str) -> None:
        self.aws.call("ec2", "delete_key_pair", KeyPairId=id_)


class _SignsOfLife:
    """What a run that holds the lock does before each call, from whatever thread."""

    def __init__(self, lock: AccountLock, id_: str) -> None:
        self._lock = lock
        self._id = id_
        self._last = datetime.now(UTC)
        self._renewing = threading.RLock()
        self._is_renewing = False

    def give(self) -> None:
        """Renew the lock when it is time; other threads' calls wait for it, its own do not."""
        if self._age() < RENEWS:
            return
        with self._renewing:
            if self._is_renewing or self._age() < RENEWS:
                return
            self._is_renewing = True
            try:
                self._lock.renew(self._id)
                self._last = datetime.now(UTC)
            except AwsError:
                # Before that, nobody takes it over.
                if self._age() >= EXPIRES:
                    raise
            finally:
                self._is_renewing = False

    def _age(self) -> timedelta:
        # Unlike the monotonic clock, this one goes on while the machine sleeps.
        return datetime.now(UTC) - self._last
