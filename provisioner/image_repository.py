"""The repository of container images in ECR: what it has, and how images come and go."""

from __future__ import annotations

import base64
import platform
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.container_tool import ContainerTool, Login
from provisioner.errors import FlowsteadError, UsageError

if TYPE_CHECKING:
    from provisioner.aws import Aws
    from provisioner.resources.base import Live
    from provisioner.session import Session

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_TAKEN = ("ImageTagAlreadyExistsException", "tag invalid", "immutable", "cannot be overwritten")
"""What is said of a tag that has an image by now: the service's code, and the registry's words for it."""


def of(session: Session) -> Live:
    """Find a deployment's repository.

    Args:
        session: the deployment.

    Raises:
        UsageError: deployment.yml has none.
        FlowsteadError: it is not there yet.

    """
    wanted = session.names().images
    if wanted is None:
        raise UsageError(
            f"{session.options.config} has no repository for images (images.repository is none).",
            next_step="Set images.repository: auto and run python provision.py; or give --no-push.",
        )
    found = wanted.find(session.aws)
    if found is None:
        raise FlowsteadError(
            f"The image repository {wanted.repository_name} is not there yet.",
            next_step=f"Run: {session.again}",
        )
    return found


def machine() -> str:
    """Name this machine's processor as images do."""
    own = platform.machine()
    return _MACHINES.get(own, own)


def name(repository: Live, tag: str) -> str:
    """Name an image in a repository as container tools do."""
    return f"{repository.facts['repositoryUri']}:{tag}"


def pushed(aws: Aws, repository: Live, tag: str) -> tuple[str, int] | None:
    """Give digest and packed size in MiB of an image in the repository; None: there is none."""
    answer = aws.call_or(
        ("ImageNotFoundException",),
        "ecr",
        "describe_images",
        repositoryName=repository.id,
        imageIds=[{"imageTag": tag}],
    )
    if answer is None:
        return None
    (found,) = answer["imageDetails"]
    return str(found["imageDigest"]), round(int(found["imageSizeInBytes"]) / 2**20)


def push(aws: Aws, tool: ContainerTool, here: str, there: str, directory: Path) -> bool:
    """Push with a token of a moment ago; False: somebody else has pushed the same meanwhile."""
    try:
        with _login(aws, there, directory) as login:
            tool.push(here, there, login)
    except FlowsteadError as error:
        if not any(word in error.message for word in _TAKEN):
            raise
        return False
    return True


def pull(aws: Aws, tool: ContainerTool, repository: str, release: str, directory: Path) -> str:
    """Have the newest image of a release and of this machine's processor here.

    Args:
        aws: the AWS client.
        tool: what pulls.
        repository: the repository, as container tools name it.
        release: the release of MLflow.
        directory: a directory of the caller's alone, in which the login is kept for that long.

    Returns:
        its name.

    Raises:
        FlowsteadError: there is none, or it cannot be pulled.

    """
    within = repository.partition("/")[2]
    images = aws.page("ecr", "describe_images", "imageDetails", repositoryName=within)
    tagged = [(one["imagePushedAt"], tag) for one in images for tag in one.get("imageTags", ())]
    form = re.compile(rf"{re.escape(release)}-[0-9a-f]+-{re.escape(machine())}")
    fitting = [one for one in tagged if form.fullmatch(one[1])]
    if not fitting:
        raise FlowsteadError(
            f"The repository {within} has no image of MLflow {release} for {machine()}.",
            next_step="Build and push one: python provision.py image",
        )
    image = f"{repository}:{max(fitting)[1]}"
    if not tool.has(image):
        with _login(aws, image, directory) as login:
            tool.pull(image, login)
    return image


@contextmanager
def _login(aws: Aws, image: str, directory: Path) -> Iterator[Login]:
    """Have a login at an image's registry, of which nothing is left on this machine."""
    (data,) = aws.call("ecr", "get_authorization_token")["authorizationData"]
    username, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    with tempfile.TemporaryDirectory(prefix="login-", dir=directory) as own:
        yield Login(image.partition("/")[0], username, password, Path(own))
