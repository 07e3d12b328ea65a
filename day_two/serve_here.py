"""A project's server of MLflow on one's own machine, with its database and bucket: fab serve-here."""

from __future__ import annotations

import os
import shlex
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from fabric import task

from day_two import tracking
from day_two.containers import Container, check_free, checked_port, newest
from day_two.handed_over import IMAGE_USER, SECRETS, HandedOver, User
from day_two.own_directory import own_directory
from day_two.schema import Schema
from day_two.sentences import sentences
from day_two.tracking import TrackingServer
from day_two.ways import Way, way
from provisioner import container_tool, image_repository
from provisioner.aws import Aws
from provisioner.container_tool import ContainerTool
from provisioner.errors import FlowsteadError, UsageError
from provisioner.outputs import DatabaseOutputs

TASK = "fab serve-here"
LABEL = "flowstead.serve-here"
LOOK_S = 2.0
# What the name of a container ends with that compares schemas, or migrates.
MIGRATION = "-schema"


@task(
    name="serve-here",
    help={
        "port": "Port on this machine.",
        "image": "The image; otherwise the newest of the project's release, of the repository or built here.",
        "migrate": "Where there is no server: first bring the databases to this release, after a snapshot.",
    },
)
def serve_here(
    _context: Any,
    project: str = "",
    port: int = 5001,
    image: str = "",
    migrate: bool = False,
    inventory: str = "inventory",
) -> None:
    """Run a server of a project on this machine, from the container image, until Ctrl-C."""
    # Ended by whatever, it ends what it began.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with sentences():
        port, server = checked_port(port), tracking.find(inventory, project)
        if not isinstance(server.outputs.database, DatabaseOutputs):
            raise UsageError(
                "database.engine is none: the data are files of the host, which only the host's server has.",
                next_step="Use that server; or fab laptop, which has data of its own.",
            )
        if migrate and server.outputs.server:
            raise UsageError(
                "--migrate is for deployments without a server.", next_step="Run ansible-playbook site.yml."
            )
        tool = container_tool.find()
        name = f"flowstead-{server.outputs.deployment}-{server.project.name}-{port}"
        with (
            own_directory(name, lambda left: _clear(tool, left)) as directory,
            way(server, port) as found,
        ):
            # A reboot leaves the container and no directory.
            _clear(tool, name)
            check_free(port, TASK)
            container = Container(tool, name, LABEL, TASK)
            wanted = _image(tool, server, found.release, image, directory)
            handed = HandedOver(directory / "secrets", server, _user(tool))
            handed.write(found.database_ca)
            options = _options(found, port, handed)
            if server.outputs.server is None:
                moment = replace(container, name=f"{name}{MIGRATION}")
                Schema(server, found, handed, moment, wanted, options).have_current(migrate=migrate)
            try:
                container.start(wanted, *options)
                container.wait(port)
                _say(server, port, found.release, project)
                _watch(container, found, handed)
            finally:
                container.remove()


def _clear(tool: ContainerTool, name: str) -> None:
    """Remove the container of a task that was killed.

    Raises:
        UsageError: one of that name is somebody else's, or migrates the databases.

    """
    if Container(tool, f"{name}{MIGRATION}", LABEL, TASK).is_running:
        raise UsageError(
            f"The databases are looked at or migrated by {name}{MIGRATION}, which a start before has begun.",
            next_step="Wait until that is over, then run this again.",
        )
    left = Container(tool, name, LABEL, TASK)
    if left.is_there:
        left.remove()


def _image(tool: ContainerTool, server: TrackingServer, release: str, image: str, directory: Path) -> str:
    """Choose the image, have it on this machine, and see that it is of the release that serves.

    Raises:
        FlowsteadError: there is none, or it is of another release.

    """
    repository = server.outputs.image_repository
    if not image:
        aws = Aws(server.outputs.region)
        image = (
            image_repository.pull(aws, tool, repository, release, directory) if repository else newest(tool)
        )
    elif not tool.has(image):
        tool.run("pull", "--quiet", image)
    form = '{{index .Config.Labels "org.opencontainers.image.version"}}'
    of = tool.run("image", "inspect", "--format", form, image)
    if of != release:
        raise UsageError(
            f"{image} has MLflow {of or 'of no release that it names'}, and the project's is {release}: "
            "servers of one database are of one release.",
            next_step="Build one: python provision.py image",
        )
    return image


def _user(tool: ContainerTool) -> User:
    """Choose as whom the container runs, so that it can read what is this user's alone."""
    if os.getuid() == 0:
        return User(IMAGE_USER, ())
    if tool.is_docker:
        return User(os.getuid(), ("--user", f"{os.getuid()}:{os.getgid()}"))
    return User(os.getuid(), (f"--userns=keep-id:uid={IMAGE_USER},gid={IMAGE_USER}",))


def _options(found: Way, port: int, handed: HandedOver) -> tuple[str, ...]:
    """Say how the container is run: on this machine's own network."""
    environment = {**found.environment, "MLFLOW_HOST": "127.0.0.1", "MLFLOW_PORT": str(port)}
    told = (word for name, value in environment.items() for word in ("--env", f"{name}={value}"))
    volume = ("--volume", f"{handed.directory}:{SECRETS}:ro")
    return (*handed.user.options, "--network=host", *found.options, *volume, *told)


def _say(server: TrackingServer, port: int, release: str, project: str) -> None:
    of = f" of {server.project.name}" if project else ""
    others = server.url if server.outputs.server else f"all who use {server.outputs.deployment}"
    command = ["fab", "password", *([f"--project={project}"] if project else [])]
    print(f"MLflow {release}{of} runs here until Ctrl-C: http://127.0.0.1:{port}, with the users and runs of")
    print(f"{others}. For a client:\n")
    print(f"export MLFLOW_TRACKING_URI=http://127.0.0.1:{port}")
    print(f"export MLFLOW_TRACKING_USERNAME={server.project.admin.username}")
    print(f'export MLFLOW_TRACKING_PASSWORD="$({shlex.join(command)})"', flush=True)


def _watch(container: Container, found: Way, handed: HandedOver) -> None:
    """Keep credentials fresh until somebody ends it.

    Raises:
        FlowsteadError: the server, or the way to its database, has ended.

    """
    while True:
        time.sleep(LOOK_S)
        if not container.is_running:
            raise FlowsteadError(f"The server has ended: {container.last_words()}")
        found.check()
        handed.renew()
