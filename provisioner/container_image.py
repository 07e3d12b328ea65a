"""MLflow's container image: gathered from the roles, built by podman or docker, pushed to ECR once.

Its tag follows from all that goes into it: what was pushed already need not be built again, and a tag never
means two images.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provisioner import code, image_repository
from provisioner.container_tool import ContainerTool
from provisioner.errors import FlowsteadError
from provisioner.session import PROJECT

if TYPE_CHECKING:
    from provisioner.session import Session

LOCAL = "localhost/flowstead-mlflow"
"""What images are called on the machine that builds them."""
LOCK_LABEL = "flowstead.lock"
SETTINGS = "mlflow.env"
_DIGITS = 12
_VERSION = "# Settings of MLflow "


@dataclass(frozen=True)
class Made:
    """What came of it.

    Args:
        image: the image, as container tools name it.
        tag: its tag.
        release: the release of MLflow in it.
        lock: the SHA-256 of its lock.
        was_there: nothing had to be done.
        digest: its digest in the repository; empty: it is on this machine only.
        size_mib: its size: packed in the repository, unpacked on this machine.
        seconds: how long it took.

    """

    image: str
    tag: str
    release: str
    lock: str
    was_there: bool
    digest: str
    size_mib: int
    seconds: float

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return {**asdict(self), "seconds": round(self.seconds, 1)}


@dataclass(frozen=True)
class Hands:
    """What is done outside AWS.

    Args:
        play: runs ansible-playbook with a command line; returns its exit status.
        tool: what builds and pushes.

    """

    play: Callable[[Sequence[str]], int]
    tool: ContainerTool


@dataclass(frozen=True)
class Contents:
    """What an image is built from.

    Args:
        directory: the files.
        base: the image that it builds on.

    """

    directory: Path
    base: str

    @property
    def release(self) -> str:
        """The release of MLflow, as its settings say it."""
        lines = (self.directory / SETTINGS).read_text(encoding="utf-8").splitlines()
        line = next(line for line in lines if line.startswith(_VERSION))
        return line.removeprefix(_VERSION).partition(". ")[0]

    @property
    def lock(self) -> str:
        """The SHA-256 of the lock."""
        return hashlib.sha256((self.directory / "lock.txt").read_bytes()).hexdigest()

    @property
    def tag(self) -> str:
        """The tag: the release, all that goes into the image, and the processor that it runs on."""
        digest = hashlib.sha256(self.base.encode())
        for path in self.files():
            content = path.read_bytes()
            digest.update(f"\0{path.relative_to(self.directory).as_posix()}\0{len(content)}\0".encode())
            digest.update(content)
        return f"{self.release}-{digest.hexdigest()[:_DIGITS]}-{image_repository.machine()}"

    def files(self) -> Iterator[Path]:
        """List what goes in, in an order that is the same everywhere."""
        yield from (path for path in sorted(self.directory.rglob("*")) if path.is_file())

    def labels(self) -> dict[str, str]:
        """Say what is in the image: https://specs.opencontainers.org/image-spec/annotations/."""
        return {
            "org.opencontainers.image.title": "MLflow's server as Flowstead runs it",
            "org.opencontainers.image.version": self.release,
            "org.opencontainers.image.vendor": "Flowstead",
            "org.opencontainers.image.revision": code.current(PROJECT),
            "org.opencontainers.image.base.name": self.base,
            LOCK_LABEL: f"sha256:{self.lock}",
            "flowstead.bill-of-materials": "/usr/share/doc/mlflow/bom.cdx.json",
        }


def make(session: Session, hands: Hands, *, push: bool) -> Made:
    """Build the image, and push it unless the repository has it.

    Args:
        session: the deployment that it is for.
        hands: what is done outside AWS.
        push: push it; otherwise it stays on this machine, and AWS is not asked.

    Raises:
        UsageError: deployment.yml has no repository.
        FlowsteadError: the repository is not there, or something failed.

    """
    begun = time.monotonic()
    repository = image_repository.of(session) if push else None
    with tempfile.TemporaryDirectory(prefix="flowstead-image-") as name:
        contents = gather(session, hands, Path(name))
        here = f"{LOCAL}:{contents.tag}"

        def made(image: str, digest: str, size_mib: int, *, was_there: bool) -> Made:
            taken_s = time.monotonic() - begun
            return Made(
                image, contents.tag, contents.release, contents.lock, was_there, digest, size_mib, taken_s
            )

        if repository and (found := image_repository.pushed(session.aws, repository, contents.tag)):
            return made(image_repository.name(repository, contents.tag), *found, was_there=True)
        is_new = not hands.tool.has(here)
        if is_new:
            session.say(f"Building {here} with {hands.tool.name}")
            hands.tool.build(
                here, contents.directory, Path(name) / "pip.conf", contents.labels(), contents.base
            )
        if repository is None:
            return made(here, "", hands.tool.size_mib(here), was_there=not is_new)
        there = image_repository.name(repository, contents.tag)
        session.say(f"Pushing {there}")
        was_there = not image_repository.push(session.aws, hands.tool, here, there, Path(name))
        found = image_repository.pushed(session.aws, repository, contents.tag)
        if found is None:
            raise FlowsteadError(
                f"{hands.tool.name} has pushed {there}, and ECR does not list it.",
                next_step="Run the same command again.",
            )
        return made(there, *found, was_there=was_there)


def gather(session: Session, hands: Hands, directory: Path) -> Contents:
    """Have the roles write what the image is built from.

    Args:
        session: the deployment that it is for.
        hands: what runs the playbook.
        directory: a directory that is this build's alone.

    Raises:
        FlowsteadError: the playbook failed.

    """
    own = session.inventory.directory / "group_vars" / "tracking_servers.yml"
    options = own if own.is_file() else PROJECT / "inventory" / "group_vars" / "tracking_servers.yml"
    target = directory / "image"
    target.mkdir()
    said = {
        "image_options": options,
        "image_dir": target,
        "image_region": session.deployment.region,
        "image_owner": target.owner(),
        "image_group": target.group(),
    }
    arguments = ["-i", "localhost,", str(PROJECT / "playbooks" / "build_image.yml")]
    arguments += [word for name, value in said.items() for word in ("-e", f"{name}={value}")]
    if status := hands.play(arguments):
        raise FlowsteadError(
            f"playbooks/build_image.yml failed (ansible-playbook ended with {status}).",
            next_step="Its output above says why; nothing was built.",
        )
    return Contents(target, session.deployment.images.base)
