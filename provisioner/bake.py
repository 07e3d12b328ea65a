"""Make an image with everything installed: a temporary host, the roles' install parts, an image of its disk.

Whoever has imported the temporary host's key pair bakes, alone in the account; nobody else touches what
carries its tags. What a bake leaves that was killed, the next one removes.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provisioner import code
from provisioner.aws import RetryOn
from provisioner.bake_files import BakeFiles, Report
from provisioner.engine import plan
from provisioner.errors import AwsError, FlowsteadError
from provisioner.host import Host
from provisioner.lock import LockedError
from provisioner.resources.ec2.image import BASE_TAG, CODE_TAG, PACKAGES_TAG, RELEASES_TAG, SYSTEM_TAG
from provisioner.resources.tags import as_items
from provisioner.session import PROJECT, Session
from provisioner.systems import systems

if TYPE_CHECKING:
    from provisioner.resources.base import Live
    from provisioner.stack import BakeHost

_LIFETIME_MIN = 60
"""A bake takes a few minutes; after this the host ends itself, should nobody come back to remove it."""
_EXPIRES = timedelta(hours=2)
"""A bake this old was killed: its host ends itself after an hour, its image takes half an hour at most."""
_STOP_S = 600
_IMAGE_S = 1800


@dataclass(frozen=True)
class Hands:
    """What baking does outside AWS.

    Args:
        play: runs ansible-playbook with a command line; returns its exit status.
        meet: waits for a host and pins its key in a known_hosts file.
        workspace: directory for the bakes' files, one below it for each deployment.

    """

    play: Callable[[Sequence[str]], int]
    meet: Callable[[Host, Path], object]
    workspace: Path = PROJECT / ".cache" / "bake"


@dataclass(frozen=True)
class Baked:
    """A new image.

    Args:
        image_id: its id.
        name: its name.
        system: its operating system, as deployment.yml names it.
        size_gib: the disk that a host made from it has at least.
        releases: versions of MLflow in it.
        seconds: how long it took.

    """

    image_id: str
    name: str
    system: str
    size_gib: int
    releases: tuple[str, ...]
    seconds: float

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return {**asdict(self), "releases": list(self.releases), "seconds": round(self.seconds, 1)}


def bake(session: Session, hands: Hands, extra_vars: Sequence[str] = ()) -> Baked:
    """Make an image of deployment.yml's system; the temporary host is gone at the end, however that comes.

    Args:
        session: the deployment that the image is for.
        hands: what is done outside AWS.
        extra_vars: handed to ansible-playbook, each behind an -e of its own.

    Returns:
        The image.

    Raises:
        LockedError: a bake runs on this machine already.
        ConfigurationError: AWS offers no such image, or no such instance type.
        FlowsteadError: somebody else bakes, or something failed.
        KeyboardInterrupt: it was stopped, by the keyboard or a signal.

    """
    begun, baked_code = time.monotonic(), code.current(PROJECT)
    deployment = session.deployment
    place = f"{deployment.name}-{session.account_id}-{deployment.region}"
    bake_files = BakeFiles(hands.workspace / place)
    with bake_files.exclusive(), _signals_interrupt():
        key = bake_files.key()
        bake_host = session.bake_host(key.public, lifetime_min=_LIFETIME_MIN)
        _remove(session, bake_host, "Removing what an interrupted bake left")
        found = session.plan(bake_host.graph)
        key.save()
        with _always_removed(session, bake_host):
            session.say(f"Making a temporary host for an image of {deployment.server.system}")
            state = session.execute(found, patient=True)
            host = Host(
                address=str(state[bake_host.address].facts["PublicIp"]),
                instance_id=state[bake_host.host].id,
                user=systems[deployment.server.system].user,
                system=deployment.server.system,
                private_key=key.private_path,
            )
            hands.meet(host, bake_files.known_hosts)
            report = _install(session, hands, host, bake_files, extra_vars)
            image = _image(session, state[bake_host.host], report, baked_code)
        bake_files.clear()
    return Baked(
        image_id=image["ImageId"],
        name=image["Name"],
        system=deployment.server.system,
        size_gib=int(image["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"]),
        releases=report.releases,
        seconds=time.monotonic() - begun,
    )


def _install(
    session: Session, hands: Hands, host: Host, bake_files: BakeFiles, extra_vars: Sequence[str]
) -> Report:
    """Run the playbook that installs, and takes away what makes the host this host."""
    bake_files.write(host, session.inventory.directory)
    session.say("Installing, with playbooks/bake_image.yml")
    arguments = ["-i", str(bake_files.inventory), str(PROJECT / "playbooks" / "bake_image.yml")]
    for text in (f"bake_report={bake_files.report}", *extra_vars):
        arguments += ["-e", text]
    status = hands.play(arguments)
    if status:
        raise FlowsteadError(
            f"playbooks/bake_image.yml failed on the temporary host {host.instance_id} "
            f"(ansible-playbook ended with {status}).",
            next_step="Its output above says why; no image was made.",
        )
    return bake_files.read_report()


def _image(session: Session, host: Live, report: Report, baked_code: str) -> dict[str, Any]:
    """Stop the host, so that its disk is whole, and make an image of it."""
    aws, system = session.aws, session.deployment.server.system
    session.say(f"Stopping {host.id}")
    aws.call("ec2", "stop_instances", InstanceIds=[host.id])
    aws.wait("ec2", "instance_stopped", deadline_s=_STOP_S, InstanceIds=[host.id])
    name = f"flowstead-{system}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    tags = {
        **session.deployment.tags,
        "Name": name,
        SYSTEM_TAG: system,
        BASE_TAG: str(host.facts["ImageId"]),
        CODE_TAG: baked_code,
        RELEASES_TAG: " ".join(report.releases),
        PACKAGES_TAG: report.packages,
    }
    answer = aws.call(
        "ec2",
        "create_image",
        InstanceId=host.id,
        Name=name,
        Description=f"Flowstead's server on {system}: packages and MLflow {', '.join(report.releases)}",
        TagSpecifications=[{"ResourceType": kind, "Tags": as_items(tags)} for kind in ("image", "snapshot")],
    )
    image_id = str(answer["ImageId"])
    session.say(f"Waiting for {image_id}, {name}")
    _described(session, image_id)
    try:
        aws.wait("ec2", "image_available", deadline_s=_IMAGE_S, ImageIds=[image_id])
    except AwsError as error:
        made = _described(session, image_id)
        if made["State"] != "failed":
            raise
        reason = made.get("StateReason", {}).get("Message", "it gave no reason")
        raise FlowsteadError(
            f"EC2 could not make the image {image_id}: {reason}.",
            next_step="Bake again; `python provision.py images --keep 1` removes the one that failed.",
        ) from error
    return _described(session, image_id)


def _described(session: Session, image_id: str) -> dict[str, Any]:
    retry = RetryOn(("InvalidAMIID.NotFound",))
    return session.aws.page("ec2", "describe_images", "Images", retry, ImageIds=[image_id])[0]


@contextlib.contextmanager
def _always_removed(session: Session, bake_host: BakeHost) -> Iterator[None]:
    """Remove the temporary host at the end, whatever the end is."""
    text = "Removing the temporary host"
    try:
        yield
    except KeyboardInterrupt:
        session.say("Stopping: what has begun is removed; interrupt again to leave that to the next bake")
        _remove(session, bake_host, text)
        raise KeyboardInterrupt("Stopped; the temporary host is removed.") from None
    except BaseException as error:
        try:
            _remove(session, bake_host, text)
        except LockedError as taken:
            # Somebody was quicker: that is why it failed, and what carries the tags is theirs.
            raise taken from error
        except FlowsteadError as second:
            session.say(f"The temporary host is not removed: {second.message} The next bake removes it.")
        raise
    _remove(session, bake_host, text)


def _remove(session: Session, bake_host: BakeHost, text: str) -> None:
    """Remove what carries the temporary host's tags, unless it is somebody else's who still bakes.

    The key pair is looked at after the rest: it is imported first and deleted last, so whatever was found
    before belongs to the one who has it now, or to nobody any more.
    """
    found = plan.destroy(bake_host.graph, session.aws)
    holder = bake_host.lock.find(session.aws)
    if holder and not bake_host.lock.fits(holder) and _age(holder) < _EXPIRES:
        raise _taken(session, found.state.get(bake_host.host), holder)
    if found.changes:
        session.say(text)
        session.execute(found)


def _age(holder: Live) -> timedelta:
    made: datetime = holder.facts["CreateTime"]
    return datetime.now(UTC) - made


def _taken(session: Session, host: Live | None, holder: Live) -> LockedError:
    until = holder.facts["CreateTime"] + _EXPIRES
    return LockedError(
        f"Another machine is baking for {session.deployment.name} in {session.deployment.region} since "
        f"{holder.facts['CreateTime']:%Y-%m-%d %H:%M} UTC (key pair {holder.id}, "
        f"{f'host {host.id}' if host else 'no host yet'}).",
        next_step=f"Wait for it to end; if it was killed, a bake after {until:%H:%M} UTC clears it away.",
    )


@contextlib.contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Let SIGTERM and SIGHUP do what an interrupt from the keyboard does."""

    def interrupt(number: int, frame: object) -> None:
        del number, frame
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
