"""The outputs of a deployment, collected from what there is in the account."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from provisioner.aws import Aws
from provisioner.config import Deployment
from provisioner.errors import FlowsteadError
from provisioner.outputs import DatabaseOutputs, LoginOutputs, Outputs, ServerOutputs, StorageOutputs
from provisioner.resources.base import Resource
from provisioner.resources.state import State
from provisioner.stack import Stack
from provisioner.stack.secrets import Login
from provisioner.systems import systems

# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html: the CAs of every region.
DATABASE_CA_URL = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"


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
    endpoint = stack.database.endpoint(database)
    if not endpoint:
        raise FlowsteadError(
            f"The database {database.id} has no endpoint yet: it is {database.status or 'being made'}.",
            next_step="Run python provision.py: it waits for it.",
        )
    servers, storage, secrets = stack.servers, stack.storage, stack.secrets

    def login(one: Login) -> LoginOutputs:
        return LoginOutputs(one.username, state[one.secret].arn)

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
        server=ServerOutputs(
            instance_id=state[servers.instances[0]].id,
            ssh_user=systems[deployment.server.system].user,
            role_name=role.id,
            role_arn=role.arn,
            artifacts_role_arn=state[servers.artifacts_role].arn,
        ),
        storage=StorageOutputs(state[storage.bucket].id, storage.artifacts_prefix, storage.backups_prefix),
        database=DatabaseOutputs(
            identifier=database.id,
            is_cluster=stack.database.is_cluster,
            endpoint=endpoint[0],
            port=endpoint[1],
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
