"""Seam 2: what a deployment tells others (Ansible, scripts, MLflow clients). Nothing secret.

playbooks/check_configuration.yml holds the same names and types, and checks them before a host is changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from provisioner.entrance import filled_in
from provisioner.errors import FlowsteadError, UsageError

_NEXT = "Run: python provision.py"
Kind = TypeVar("Kind")


@dataclass(frozen=True)
class LoginOutputs:
    """Who somebody is, and where the password is.

    Args:
        username: the name.
        secret_arn: the secret with name and password.

    """

    username: str
    secret_arn: str


@dataclass(frozen=True)
class ServerOutputs:
    """What runs MLflow.

    Args:
        instance_id: its EC2 id.
        ssh_user: the image's user.
        role_name: the role that it has.
        role_arn: the role's ARN.

    """

    instance_id: str
    ssh_user: str
    role_name: str
    role_arn: str


@dataclass(frozen=True)
class DatabaseOutputs:
    """Where runs, models and users are kept: a database service.

    Args:
        engine: deployment.yml's word for it.
        identifier: the name of the RDS instance or cluster.
        is_cluster: it is a cluster.
        endpoint: the name at which it takes writes.
        port: its port.
        ca_url: the CAs that sign its certificate.
        master_secret_arn: the secret that RDS keeps for the master user.

    """

    engine: str
    identifier: str
    is_cluster: bool
    endpoint: str
    port: int
    ca_url: str
    master_secret_arn: str


@dataclass(frozen=True)
class VolumeOutputs:
    """Where runs, models and users are kept: SQLite's files on a volume that the server has.

    Args:
        engine: deployment.yml's word for it.
        volume_id: the volume's EC2 id.
        device: the name that it is attached by, which tells it where the host shows no ids.

    """

    engine: str
    volume_id: str
    device: str


@dataclass(frozen=True)
class DatabaseLoginsOutputs:
    """Who uses a project's databases.

    Args:
        owner: the login that migrates.
        application: the login of MLflow's server.

    """

    owner: LoginOutputs
    application: LoginOutputs


@dataclass(frozen=True)
class ProjectOutputs:
    """A server of MLflow, and what it has of its own.

    Args:
        name: the project, as in deployment.yml.
        path: where it answers at the server's address: nothing for the default one, "/churn" for another.
        artifacts_prefix: the folder in the bucket for artifacts.
        backups_prefix: the folder in it for backups of the databases.
        artifacts_role_arn: the role that its process on the host has; empty: there is no host.
        admin: its first administrator.
        server_keys_secret_arn: the secret with what it signs and encrypts with.
        database_logins: who uses its databases; None where a volume keeps the data.

    """

    name: str
    path: str
    artifacts_prefix: str
    backups_prefix: str
    artifacts_role_arn: str
    admin: LoginOutputs
    server_keys_secret_arn: str
    database_logins: DatabaseLoginsOutputs | None


@dataclass(frozen=True)
class Outputs:
    """A deployment's endpoints, names and ARNs: the variable `flowstead` of Ansible.

    Args:
        deployment: its name.
        region: AWS region.
        account_id: AWS account.
        endpoint_url: where the AWS configuration sends calls instead of to AWS; empty: AWS itself.
        url: where the server answers, the default project with it; empty: there is none.
        public_address: the entrance's address, which stays when the instance is stopped; likewise.
        hostnames: names and addresses that clients use; localhost is for a tunnel.
        ca_file: the authority's certificate that clients trust, a file in the inventory directory.
        ca_secret_arn: the secret with that certificate and its key, which stays where provision.py runs.
        host_secret_arns: the secrets that the server reads.
        server: what runs MLflow; None: each runs a server of one's own.
        bucket: where files are kept.
        image_repository: the repository of container images, as container tools name it; empty: none.
        database: where runs, models and users are kept.
        moving_to: where they are being moved; None: nowhere.
        projects: the servers of MLflow; the default one comes first.

    """

    deployment: str
    region: str
    account_id: str
    endpoint_url: str
    url: str
    public_address: str
    hostnames: tuple[str, ...]
    ca_file: str
    ca_secret_arn: str
    host_secret_arns: tuple[str, ...]
    server: ServerOutputs | None
    bucket: str
    image_repository: str
    database: DatabaseOutputs | VolumeOutputs
    moving_to: DatabaseOutputs | VolumeOutputs | None
    projects: tuple[ProjectOutputs, ...]

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data, for JSON and YAML."""
        data = asdict(self)
        return data | {name: list(value) for name, value in data.items() if isinstance(value, tuple)}

    def project(self, name: str = "") -> ProjectOutputs:
        """Pick a project.

        Args:
            name: its name; empty: the default one.

        Raises:
            UsageError: there is none of that name.

        """
        return pick(name, {one.name: one for one in self.projects})


def pick(name: str, projects: Mapping[str, Kind]) -> Kind:
    """Pick a project; the first is the default one.

    Args:
        name: its name; empty: the default one.
        projects: those that there are.

    Raises:
        UsageError: there is none of that name.

    """
    if name and name not in projects:
        raise UsageError(f"There is no project {name!r} (there is {', '.join(projects)}).")
    return projects[name or next(iter(projects))]


def file_in(directory: Path) -> Path:
    """Name the file in an inventory directory that has the outputs, as variables for Ansible.

    Args:
        directory: the inventory directory.

    """
    return directory / "group_vars" / "all" / "provisioned.yml"


def variables(directory: Path) -> dict[str, Any]:
    """Read the variables that provision.py wrote for Ansible, templates as they stand.

    Args:
        directory: the inventory directory.

    Raises:
        FlowsteadError: nothing has been written there, or by another release of Flowstead.

    """
    path = file_in(directory)
    if not path.is_file():
        raise FlowsteadError(f"There is no {path}.", next_step=_NEXT)
    try:
        found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise _unreadable(path) from error
    return found


def read(directory: Path) -> Outputs:
    """Read what provision.py wrote into an inventory directory.

    Args:
        directory: the inventory directory.

    Returns:
        The outputs.

    Raises:
        FlowsteadError: nothing has been written there, or by another release of Flowstead.

    """
    try:
        data = variables(directory)["flowstead"]
        ca_file = filled_in(directory, "flowstead.ca_file", data["ca_file"])
        return TypeAdapter(Outputs).validate_python(data | {"ca_file": ca_file})
    except (KeyError, TypeError, ValidationError) as error:
        raise _unreadable(file_in(directory)) from error


def _unreadable(path: Path) -> FlowsteadError:
    return FlowsteadError(f"{path} is not as this release of Flowstead writes it.", next_step=_NEXT)
