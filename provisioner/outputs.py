"""What a deployment tells others: Ansible, scripts, MLflow clients. Nothing secret."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from provisioner.aws import Aws
from provisioner.config import Deployment
from provisioner.errors import FlowsteadError
from provisioner.resources.base import Resource
from provisioner.resources.state import State
from provisioner.stack import Stack
from provisioner.systems import systems

# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html: the CAs of every region.
DATABASE_CA_URL = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"


@dataclass(frozen=True)
class Outputs:
    """A deployment's endpoints, names and ARNs.

    Args:
        deployment: its name.
        region: AWS region.
        account_id: AWS account.
        public_address: the server's address; stays when the instance is stopped and started.
        url: where MLflow answers.
        hostnames: names and addresses that clients use.
        instance_id: the server's EC2 id.
        instance_role_name: the role that the server has.
        instance_role_arn: its ARN.
        artifacts_role_arn: the role that MLflow's server on it has.
        bucket: artifact bucket.
        artifacts_prefix: the server's folder in it.
        backups_prefix: the folder in it for backups of the databases.
        database_identifier: the RDS instance's name.
        database_endpoint: name at which PostgreSQL answers.
        database_port: its port.
        database_master_secret_arn: secret that RDS keeps for the master user.
        database_ca_url: the CAs that sign the database's certificate.
        secret_arns: our own secrets by what they hold.
        ssh_user: the image's user.

    """

    deployment: str
    region: str
    account_id: str
    public_address: str
    url: str
    hostnames: tuple[str, ...]
    instance_id: str
    instance_role_name: str
    instance_role_arn: str
    artifacts_role_arn: str
    bucket: str
    artifacts_prefix: str
    backups_prefix: str
    database_identifier: str
    database_endpoint: str
    database_port: int
    database_master_secret_arn: str
    database_ca_url: str
    secret_arns: Mapping[str, str]
    ssh_user: str

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return {**asdict(self), "hostnames": list(self.hostnames), "secret_arns": dict(self.secret_arns)}


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


def collect(deployment: Deployment, stack: Stack, state: State, account_id: str) -> Outputs:
    """Read the outputs from live resources.

    Args:
        deployment: what deployment.yml says.
        stack: its resources.
        state: them as found in the account.
        account_id: the AWS account.

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
    return Outputs(
        deployment=deployment.name,
        region=deployment.region,
        account_id=account_id,
        public_address=public_address,
        url=f"https://{public_address}",
        hostnames=(public_address, "localhost"),
        instance_id=state[stack.servers.instances[0]].id,
        instance_role_name=role.id,
        instance_role_arn=role.arn,
        artifacts_role_arn=state[stack.servers.artifacts_role].arn,
        bucket=state[stack.storage.bucket].id,
        artifacts_prefix=stack.storage.artifacts_prefix,
        backups_prefix=stack.storage.backups_prefix,
        database_identifier=database.id,
        database_endpoint=str(endpoint["Address"]),
        database_port=int(endpoint["Port"]),
        database_master_secret_arn=str(database.facts["MasterUserSecret"]["SecretArn"]),
        database_ca_url=DATABASE_CA_URL,
        secret_arns={use: state[secret].arn for use, secret in stack.secrets.by_use.items()},
        ssh_user=systems[deployment.server.system].user,
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
        *stack.secrets.by_use.values(),
    )
