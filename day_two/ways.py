"""How a server on one's own machine reaches a project's databases: through the host, or directly."""

from __future__ import annotations

import configparser
import json
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from day_two.guest import guest
from day_two.handed_over import SECRETS
from day_two.tracking import read_file
from provisioner.errors import FlowsteadError

if TYPE_CHECKING:
    from fabric import Connection

    from day_two.tracking import TrackingServer

STORE, LOGINS = "MLFLOW_BACKEND_STORE_URI", "FLOWSTEAD_LOGINS_URI"
# The host's settings that hold for every server of the project.
COMMON = ("MLFLOW_ARTIFACTS_DESTINATION", "AWS_REGION", "AWS_DEFAULT_REGION", "PGTARGETSESSIONATTRS")
NOT_CONFIGURED = "Run: ansible-playbook site.yml"
KEEPALIVE_S = 15


@dataclass(frozen=True)
class Way:
    """What a server here must know of a project's data.

    Args:
        release: the release of MLflow that it must be of.
        environment: its variables; nothing secret.
        database_ca: the authorities that sign the database's certificate.
        options: how its container is told where the database is.
        check: raises FlowsteadError once the way has ended.

    """

    release: str
    environment: dict[str, str]
    database_ca: str
    options: tuple[str, ...]
    check: Callable[[], None]


def way(server: TrackingServer, port: int) -> AbstractContextManager[Way]:
    """Have the way to a project's data for a block.

    Args:
        server: the project's server; there may be none.
        port: where the server here answers.

    Raises:
        FlowsteadError: there is none now.

    """
    return through_host(server, port) if server.outputs.server else nullcontext(direct(server))


def direct(server: TrackingServer) -> Way:
    """Go straight to the database, where there is no host: by what Ansible has written down.

    Raises:
        FlowsteadError: it has not.

    """
    folder = server.directory / "serve_here"
    try:
        told: dict[str, Any] = json.loads((folder / f"{server.project.name}.json").read_text("utf-8"))
        authorities = (folder / "database-ca.pem").read_text("utf-8")
        environment = {name: str(value) for name, value in told["environment"].items()}
        stores = {name: from_here(environment[name]) for name in (STORE, LOGINS)}
        release = str(told["release"])
        _check_current(server, environment)
    except (OSError, ValueError, KeyError) as error:
        raise FlowsteadError(
            f"The databases of {server.project.name} are not configured yet, or not from this machine.",
            next_step=NOT_CONFIGURED,
        ) from error
    return Way(release, environment | stores | _for_container(server), authorities, (), lambda: None)


def _check_current(server: TrackingServer, environment: dict[str, str]) -> None:
    """See that what Ansible has written down is of the database and the bucket that there are now.

    Raises:
        ValueError: it is not.

    """
    outputs, project = server.outputs, server.project
    database: Any = outputs.database
    there = urlsplit(environment[STORE])
    bucket = f"s3://{outputs.bucket}/{project.artifacts_prefix}"
    if (there.hostname, there.port) != (database.endpoint, database.port) or (
        environment["MLFLOW_ARTIFACTS_DESTINATION"] != bucket
    ):
        raise ValueError


@contextmanager
def through_host(server: TrackingServer, port: int) -> Iterator[Way]:
    """Go through SSH, known to the host, which changes no data meanwhile."""
    database: Any = server.outputs.database
    with server.connect() as connection, guest(connection, server.name, port) as known:
        release = server.serving(connection)
        near = _free_port()
        told = _settings(server, connection, release, near)
        transport = known.get_transport()
        transport.set_keepalive(KEEPALIVE_S)

        def check() -> None:
            if known.exit_status_ready() or not transport.is_active():
                raise FlowsteadError(
                    "The connection to the host, and so to the database, has ended.",
                    next_step="Run the same command again.",
                )

        with connection.forward_local(
            near, remote_port=database.port, remote_host=database.endpoint, local_host="127.0.0.1"
        ):
            options = (f"--add-host={database.endpoint}:127.0.0.1",)
            yield Way(release, told.environment, read_file(connection, told.ca_file), options, check)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
        stores = of_host[STORE], logins["mlflow"]["database_uri"]
        environment = {name: of_host[name] for name in COMMON if name in of_host}
    except KeyError as error:
        raise FlowsteadError(
            f"The host's settings have no {error.args[0]}.", next_step=NOT_CONFIGURED
        ) from error
    trust = parse_qs(urlsplit(stores[0]).query)
    ca_file = (trust.get("sslrootcert") or trust.get("ssl_ca") or [""])[0]
    for name, uri in zip((STORE, LOGINS), stores, strict=True):
        environment[name] = from_here(uri, port)
    return Settings(environment | _for_container(server), ca_file)


def _for_container(server: TrackingServer) -> dict[str, str]:
    """Say where secrets are in the container, and whom it is to trust."""
    environment = {"PGPASSFILE": f"{SECRETS}/pgpass", "AWS_CONFIG_FILE": f"{SECRETS}/aws.conf"}
    if server.outputs.endpoint_url:
        environment["AWS_ENDPOINT_URL"] = server.outputs.endpoint_url
    if os.environ.get("AWS_CA_BUNDLE"):
        environment["AWS_CA_BUNDLE"] = f"{SECRETS}/aws-ca.pem"
    return environment


def from_here(uri: str, port: int = 0) -> str:
    """Give a database's address as it is in a container here.

    Args:
        uri: the address on the host, with no password in it.
        port: where the tunnel begins; 0: there is none.

    """
    parts = urlsplit(uri)
    own = {"sslrootcert": "rds-ca.pem", "ssl_ca": "rds-ca.pem", "read_default_file": "pgpass"}
    options = {name: values[0] for name, values in parse_qs(parts.query).items()}
    options |= {name: f"{SECRETS}/{file}" for name, file in own.items() if name in options}
    where = f"{quote(parts.username or '')}@{parts.hostname}:{port or parts.port}"
    return parts._replace(netloc=where, query=urlencode(options, safe="/")).geturl()


def as_owner(uri: str, username: str, passfile: str) -> str:
    """Give a database's address for who owns the tables.

    Args:
        uri: the address for who serves.
        username: the owner's name.
        passfile: the file with the owner's password, as the driver reads it.

    """
    parts = urlsplit(uri)
    options = {name: values[0] for name, values in parse_qs(parts.query).items()}
    options["read_default_file" if parts.scheme.startswith("mysql") else "passfile"] = passfile
    where = f"{quote(username)}@{parts.hostname}:{parts.port}"
    return parts._replace(netloc=where, query=urlencode(options, safe="/")).geturl()
