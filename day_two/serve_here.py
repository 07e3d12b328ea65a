"""A project's server of MLflow on one's own machine, with its database and bucket: fab serve-here."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from fabric import Connection, task

from day_two import tracking
from day_two.containers import Container, check_free, checked_port, newest
from day_two.guest import guest
from day_two.handed_over import IMAGE_USER, SECRETS, HandedOver, User
from day_two.own_directory import own_directory
from day_two.sentences import sentences
from day_two.tracking import TrackingServer, read_file
from provisioner import container_tool, image_repository
from provisioner.aws import Aws
from provisioner.container_tool import ContainerTool
from provisioner.errors import FlowsteadError, UsageError
from provisioner.outputs import DatabaseOutputs

TASK = "fab serve-here"
LABEL = "flowstead.serve-here"
# The host's settings that hold for every server of the project.
COMMON = ("MLFLOW_ARTIFACTS_DESTINATION", "AWS_REGION", "AWS_DEFAULT_REGION", "PGTARGETSESSIONATTRS")
LOOK_S = 2.0


@task(
    name="serve-here",
    help={
        "port": "Port on this machine.",
        "image": "The image; otherwise the newest of the project's release, of the repository or built here.",
    },
)
def serve_here(
    _context: Any, project: str = "", port: int = 5001, image: str = "", inventory: str = "inventory"
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
        tool = container_tool.find()
        name = f"flowstead-{server.outputs.deployment}-{server.project.name}-{port}"
        with (
            own_directory(name, lambda left: _clear(tool, left)) as directory,
            server.connect() as connection,
            guest(connection, server.name, port) as known,
        ):
            # A reboot leaves the container and no directory.
            _clear(tool, name)
            check_free(port, TASK)
            container = Container(tool, name, LABEL, TASK)
            release = server.serving(connection)
            wanted = _image(tool, server, release, image, directory)
            near = _free_port()
            told = _settings(server, connection, release, near)
            handed = HandedOver(directory / "secrets", server, _user(tool))
            handed.write(read_file(connection, told.ca_file))
            database = server.outputs.database
            with connection.forward_local(
                near, remote_port=database.port, remote_host=database.endpoint, local_host="127.0.0.1"
            ):
                environment = {**told.environment, "MLFLOW_HOST": "127.0.0.1", "MLFLOW_PORT": str(port)}
                try:
                    container.start(wanted, *_options(environment, database.endpoint, handed))
                    container.wait(port)
                    _say(server, port, release, project)
                    _watch(container, known, handed)
                finally:
                    container.remove()


def _clear(tool: ContainerTool, name: str) -> None:
    """Remove the container of a task that was killed.

    Raises:
        UsageError: one of that name is somebody else's.

    """
    left = Container(tool, name, LABEL, TASK)
    if left.is_there:
        left.remove()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
            f"{image} has MLflow {of or 'of no release that it names'}, and {server.url} serves {release}: "
            "servers of one database are of one release.",
            next_step="Build one: python provision.py image",
        )
    return image


@dataclass(frozen=True)
class Settings:
    """What a server here is told.

    Args:
        environment: its variables; nothing secret.
        ca_file: the file on the host with the authorities that sign the database's certificate.

    """

    environment: dict[str, str]
    ca_file: str


def _settings(server: TrackingServer, connection: Connection, release: str, port: int) -> Settings:
    """Take over the settings of the host's server: the same database and bucket, reached from here.

    Args:
        server: the project's server.
        connection: to the host.
        release: the release that serves there.
        port: where the tunnel to the database begins.

    Raises:
        FlowsteadError: they are not there.

    """
    text = read_file(connection, f"/etc/{server.name}/{release}.env")
    of_host = dict(re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE))
    logins = configparser.ConfigParser()
    logins.read_string(read_file(connection, f"/etc/{server.name}/basic_auth.ini"))
    try:
        stores = of_host["MLFLOW_BACKEND_STORE_URI"], logins["mlflow"]["database_uri"]
        environment = {name: of_host[name] for name in COMMON if name in of_host}
    except KeyError as error:
        raise FlowsteadError(
            f"The host's settings have no {error.args[0]}.", next_step="Run: ansible-playbook site.yml"
        ) from error
    trust = parse_qs(urlsplit(stores[0]).query)
    ca_file = (trust.get("sslrootcert") or trust.get("ssl_ca") or [""])[0]
    for name, uri in zip(("MLFLOW_BACKEND_STORE_URI", "FLOWSTEAD_LOGINS_URI"), stores, strict=True):
        environment[name] = from_here(uri, port)
    environment |= {"PGPASSFILE": f"{SECRETS}/pgpass", "AWS_CONFIG_FILE": f"{SECRETS}/aws.conf"}
    if server.outputs.endpoint_url:
        environment["AWS_ENDPOINT_URL"] = server.outputs.endpoint_url
    if os.environ.get("AWS_CA_BUNDLE"):
        environment["AWS_CA_BUNDLE"] = f"{SECRETS}/aws-ca.pem"
    return Settings(environment, ca_file)


def from_here(uri: str, port: int) -> str:
    """Give a database's address as it is in a container here, at the near end of the tunnel.

    Args:
        uri: the address on the host, with no password in it.
        port: where the tunnel begins.

    """
    parts = urlsplit(uri)
    own = {"sslrootcert": "rds-ca.pem", "ssl_ca": "rds-ca.pem", "read_default_file": "pgpass"}
    options = {name: values[0] for name, values in parse_qs(parts.query).items()}
    options |= {name: f"{SECRETS}/{file}" for name, file in own.items() if name in options}
    where = f"{quote(parts.username or '')}@{parts.hostname}:{port}"
    return parts._replace(netloc=where, query=urlencode(options, safe="/")).geturl()


def _user(tool: ContainerTool) -> User:
    """Choose as whom the container runs, so that it can read what is this user's alone."""
    if os.getuid() == 0:
        return User(IMAGE_USER, ())
    if tool.is_docker:
        return User(os.getuid(), ("--user", f"{os.getuid()}:{os.getgid()}"))
    return User(os.getuid(), (f"--userns=keep-id:uid={IMAGE_USER},gid={IMAGE_USER}",))


def _options(environment: Mapping[str, str], endpoint: str, handed: HandedOver) -> tuple[str, ...]:
    """Say how the container is run: on this machine's own network, where the tunnel begins."""
    told = (word for name, value in environment.items() for word in ("--env", f"{name}={value}"))
    return (
        *handed.user.options,
        *("--network=host", f"--add-host={endpoint}:127.0.0.1"),
        *("--volume", f"{handed.directory}:{SECRETS}:ro"),
        *told,
    )


def _say(server: TrackingServer, port: int, release: str, project: str) -> None:
    of = f" of {server.project.name}" if project else ""
    command = ["fab", "password", *([f"--project={project}"] if project else [])]
    print(f"MLflow {release}{of} runs here until Ctrl-C: http://127.0.0.1:{port}, with the users and runs of")
    print(f"{server.url}. For a client:\n")
    print(f"export MLFLOW_TRACKING_URI=http://127.0.0.1:{port}")
    print(f"export MLFLOW_TRACKING_USERNAME={server.project.admin.username}")
    print(f'export MLFLOW_TRACKING_PASSWORD="$({shlex.join(command)})"', flush=True)


def _watch(container: Container, known: Any, handed: HandedOver) -> None:
    """Keep credentials fresh until somebody ends it.

    Raises:
        FlowsteadError: the server, or the way to its database, has ended.

    """
    known.get_transport().set_keepalive(15)
    while True:
        time.sleep(LOOK_S)
        if not container.is_running:
            raise FlowsteadError(f"The server has ended: {container.last_words()}")
        if known.exit_status_ready() or not known.get_transport().is_active():
            raise FlowsteadError(
                "The connection to the host, and so to the database, has ended.",
                next_step=f"Run {TASK} again.",
            )
        handed.renew()
