"""Seam 2: what a deployment tells others (Ansible, scripts, MLflow clients). Nothing secret.

playbooks/check_configuration.yml holds the same names and types, and checks them before a host is changed.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from provisioner.aws import Aws
from provisioner.config import Deployment
from provisioner.entrance import filled_in
from provisioner.errors import FlowsteadError
from provisioner.resources.base import Resource
from provisioner.resources.state import State
from provisioner.stack import Stack
from provisioner.stack import secrets as stack_secrets
from provisioner.systems import systems

# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html: the CAs of every region.
DATABASE_CA_URL = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"

_NEXT = "Run: python provision.py"


@dataclass(frozen=True)
class Login:
    """Who somebody is, and where the password is.

    Args:
        username: the name.
        secret_arn: the secret with name and password.

    """

    username: str
    secret_arn: str


@dataclass(frozen=True)
class Server:
    """What runs MLflow.

    Args:
        instance_id: its EC2 id.
        ssh_user: the image's user.
        role_name: the role that it has.
        role_arn: the role's ARN.
        artifacts_role_arn: the role that MLflow's process on it has.

    """

    instance_id: str
    ssh_user: str
    role_name: str
    role_arn: str
    artifacts_role_arn: str


@dataclass(frozen=True)
class Storage:
    """Where files are kept.

    Args:
        bucket: the bucket's name.
        artifacts_prefix: the folder in it for artifacts.
        backups_prefix: the folder in it for backups of the databases.

    """

    bucket: str
    artifacts_prefix: str
    backups_prefix: str


@dataclass(frozen=True)
class Database:
    """Where runs, models and users are kept.

    Args:
        identifier: the RDS instance's name.
        endpoint: the name at which PostgreSQL answers.
        port: its port.
        ca_url: the CAs that sign its certificate.
        master_secret_arn: the secret that RDS keeps for the master user.
        owner: the login that migrates.
        application: the login of MLflow's server.

    """

    identifier: str
    endpoint: str
    port: int
    ca_url: str
    master_secret_arn: str
    owner: Login
    application: Login


@dataclass(frozen=True)
class Outputs:
    """A deployment's endpoints, names and ARNs: the variable `flowstead` of Ansible.

    Args:
        deployment: its name.
        region: AWS region.
        account_id: AWS account.
        endpoint_url: where the AWS configuration sends calls instead of to AWS; empty: AWS itself.
        url: where MLflow answers.
        public_address: the entrance's address; stays when the instance is stopped and started.
        hostnames: names and addresses that clients use; localhost is for a tunnel.
        ca_file: the authority's certificate that clients trust, a file in the inventory directory.
        ca_secret_arn: the secret with that certificate and its key, which stays where provision.py runs.
        host_secret_arns: the secrets that the server reads.
        server: what runs MLflow.
        storage: where files are kept.
        database: where runs, models and users are kept.
        admin: MLflow's first administrator.
        server_keys_secret_arn: the secret with what MLflow signs and encrypts with.

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
    server: Server
    storage: Storage
    database: Database
    admin: Login
    server_keys_secret_arn: str

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data, for JSON and YAML."""
        lists = {"hostnames": list(self.hostnames), "host_secret_arns": list(self.host_secret_arns)}
        return asdict(self) | lists


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


@dataclass(frozen=True)
class Place:
    """Where a deployment is, as its resources do not tell.

    Args:
        account_id: the AWS account.
        endpoint_url: the configured endpoint; empty: AWS itself.
        ca_file: the file of the authority's certificate.

    """

    account_id: str
    endpoint_url: str
    ca_file: Path


def look_up(stack: Stack, aws: Aws) -> State:
    """Find what the outputs are made of; reading calls only, no comparison with deployment.yml.

    Args:
        stack: the deployment's resources.
        aws: the AWS client.

    Returns:
        The state of those that exist.

    Raises:
        FlowsteadError: AWS could not be asked.

    """
    resources = _needed(stack)
    with ThreadPoolExecutor(len(resources)) as pool:
        lives = list(pool.map(lambda resource: resource.find(aws), resources))
    return State({resource: live for resource, live in zip(resources, lives, strict=True) if live})


def collect(deployment: Deployment, stack: Stack, state: State, place: Place) -> Outputs:
    """Read the outputs from live resources.

    Args:
        deployment: what deployment.yml says.
        stack: its resources.
        state: them as found in the account.
        place: where that is, and what is written there.

    Returns:
        The outputs.

    Raises:
        FlowsteadError: something is not there yet; names it.

    """
    missing = [str(resource) for resource in _needed(stack) if resource not in state]
    if missing:
        raise FlowsteadError(
            f"The deployment {deployment.name} is not complete in {deployment.region}: "
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing.",
            next_step="Run: python provision.py",
        )
    address, database, role = state[stack.entrance], state[stack.database], state[stack.servers.role]
    public_address = str(address.facts["PublicIp"])
    endpoint = database.facts.get("Endpoint") or {}
    if not endpoint.get("Address"):
        raise FlowsteadError(
            f"The database {database.id} has no endpoint yet: it is {database.status or 'being made'}.",
            next_step="Run python provision.py: it waits for it.",
        )
    servers, storage, secrets = stack.servers, stack.storage, stack.secrets

    def login(one: stack_secrets.Login) -> Login:
        return Login(one.username, state[one.secret].arn)

    return Outputs(
        deployment=deployment.name,
        region=deployment.region,
        account_id=place.account_id,
        endpoint_url=place.endpoint_url,
        url=f"https://{public_address}",
        public_address=public_address,
        hostnames=(public_address, "localhost"),
        ca_file=str(place.ca_file),
        ca_secret_arn=state[secrets.tls_ca].arn,
        host_secret_arns=tuple(state[one].arn for one in secrets.of_hosts),
        server=Server(
            instance_id=state[servers.instances[0]].id,
            ssh_user=systems[deployment.server.system].user,
            role_name=role.id,
            role_arn=role.arn,
            artifacts_role_arn=state[servers.artifacts_role].arn,
        ),
        storage=Storage(state[storage.bucket].id, storage.artifacts_prefix, storage.backups_prefix),
        database=Database(
            identifier=database.id,
            endpoint=str(endpoint["Address"]),
            port=int(endpoint["Port"]),
            ca_url=DATABASE_CA_URL,
            master_secret_arn=str(database.facts["MasterUserSecret"]["SecretArn"]),
            owner=login(secrets.database_owner),
            application=login(secrets.database_application),
        ),
        admin=login(secrets.admin),
        server_keys_secret_arn=state[secrets.server_keys].arn,
    )


def _needed(stack: Stack) -> tuple[Resource, ...]:
    """Name what the outputs are made of."""
    servers = stack.servers
    return (
        *servers.instances,
        stack.entrance,
        servers.role,
        servers.artifacts_role,
        stack.database,
        stack.storage.bucket,
        stack.secrets.tls_ca,
        *stack.secrets.of_hosts,
    )
