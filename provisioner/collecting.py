"""The outputs of a deployment, collected from what there is in the account."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.aws import Aws
from provisioner.config import Deployment
from provisioner.config.database import VOLUME
from provisioner.engine import plan as planning
from provisioner.errors import FlowsteadError
from provisioner.outputs import (
    DatabaseLoginsOutputs,
    DatabaseOutputs,
    LoginOutputs,
    Outputs,
    ProjectOutputs,
    ServerOutputs,
    VolumeOutputs,
)
from provisioner.resources.base import Live, Resource
from provisioner.resources.ec2 import attachment
from provisioner.resources.move_tags import MOVING_FROM_TAG
from provisioner.resources.rds.database import Database
from provisioner.resources.state import State
from provisioner.stack import Project, Stack
from provisioner.stack.context import engine_word
from provisioner.stack.secrets import Login
from provisioner.stack.servers import Servers
from provisioner.systems import systems

if TYPE_CHECKING:
    from provisioner.session import Session

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


def outputs(session: Session) -> Outputs:
    """Find what a deployment has, and read its outputs; reading calls only.

    Args:
        session: the run.

    Returns:
        The outputs; while data are moved, with both stores.

    Raises:
        FlowsteadError: something is not there yet, or AWS could not be asked.

    """
    stack, source = session.names(), None
    state = look_up(stack, session.aws)
    store = state.get(stack.store)
    if store and MOVING_FROM_TAG in store.tags:
        source = planning.find_stores(stack.graph, session.aws).source()
    if source:
        stack = session.names(moving_from=source[1].id)
        state = look_up(stack, session.aws)
    return collect(session.deployment, stack, state, session.place, source)


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


def collect(
    deployment: Deployment,
    stack: Stack,
    state: State,
    place: Place,
    moving_from: tuple[Resource, Live] | None = None,
) -> Outputs:
    """Read the outputs from live resources.

    Args:
        deployment: what deployment.yml says.
        stack: its resources.
        state: them as found in the account.
        place: where that is, and what is written there.
        moving_from: the store that serves, while its data are moved to the one that deployment.yml asks for.

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
    public_address = str(state[stack.entrance].facts["PublicIp"]) if stack.entrance else ""
    secrets = stack.secrets
    wanted = _store(stack.store, state[stack.store])
    return Outputs(
        deployment=deployment.name,
        region=deployment.region,
        account_id=place.account_id,
        endpoint_url=place.endpoint_url,
        url=f"https://{public_address}" if public_address else "",
        public_address=public_address,
        hostnames=(public_address, "localhost") if public_address else (),
        ca_file=str(place.ca_file),
        ca_secret_arn=state[secrets.tls_ca].arn,
        host_secret_arns=tuple(state[one].arn for one in secrets.of_hosts),
        server=_server(deployment, stack.servers, state) if stack.servers else None,
        bucket=state[stack.storage.bucket].id,
        image_repository=str(state[stack.images].facts["repositoryUri"]) if stack.images else "",
        database=_store(*moving_from) if moving_from else wanted,
        moving_to=wanted if moving_from else None,
        projects=tuple(_project(one, state) for one in stack.projects),
    )


def _server(deployment: Deployment, servers: Servers, state: State) -> ServerOutputs:
    role = state[servers.role]
    return ServerOutputs(
        instance_id=state[servers.instances[0]].id,
        ssh_user=systems[deployment.server.system].user,
        role_name=role.id,
        role_arn=role.arn,
    )


def _project(one: Project, state: State) -> ProjectOutputs:
    names, secrets, logins = one.names, one.secrets, one.secrets.database
    return ProjectOutputs(
        name=names.name,
        path="" if names.is_default else f"/{names.name}",
        artifacts_prefix=names.artifacts_prefix,
        backups_prefix=names.backups_prefix,
        artifacts_role_arn=state[one.artifacts_role].arn if one.artifacts_role else "",
        admin=_login(secrets.admin, state),
        server_keys_secret_arn=state[secrets.server_keys].arn,
        database_logins=DatabaseLoginsOutputs(
            owner=_login(logins.owner, state), application=_login(logins.application, state)
        )
        if logins
        else None,
    )


def _store(store: Resource, live: Live) -> DatabaseOutputs | VolumeOutputs:
    if isinstance(store, Database):
        return _service(store, live)
    return VolumeOutputs(VOLUME, live.id, attachment.DEVICE)


def _service(service: Database, live: Live) -> DatabaseOutputs:
    endpoint = service.endpoint(live)
    if not endpoint:
        raise FlowsteadError(
            f"The database {live.id} has no endpoint yet: it is {live.status or 'being made'}.",
            next_step="Run python provision.py: it waits for it.",
        )
    return DatabaseOutputs(
        engine=engine_word(live.facts["Engine"]),
        identifier=live.id,
        is_cluster=service.is_cluster,
        endpoint=endpoint[0],
        port=endpoint[1],
        ca_url=DATABASE_CA_URL,
        master_secret_arn=str(live.facts["MasterUserSecret"]["SecretArn"]),
    )


def _login(one: Login, state: State) -> LoginOutputs:
    return LoginOutputs(one.username, state[one.secret].arn)


def _needed(stack: Stack) -> tuple[Resource, ...]:
    """Name what the outputs are made of."""
    servers = stack.servers
    return (
        *((*servers.instances, servers.role, *servers.artifacts_roles) if servers else ()),
        *(one for one in (stack.entrance, stack.database, stack.volume, stack.images) if one),
        stack.storage.bucket,
        stack.secrets.tls_ca,
        *stack.secrets.of_hosts,
    )
