"""The hosts, with roles instead of keys."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.resources.image import Image
from provisioner.resources.instance import Instance
from provisioner.resources.instance_profile import InstanceProfile
from provisioner.resources.key_pair import KeyPair
from provisioner.resources.role import AccessRole
from provisioner.resources.security_group import Rule, SecurityGroup
from provisioner.stack.context import Context
from provisioner.stack.network import HTTPS, SSH, WORLD, Network
from provisioner.stack.secrets import Secrets
from provisioner.stack.storage import Storage


@dataclass(frozen=True)
class Servers:
    """The hosts that MLflow runs on.

    Args:
        instances: the hosts.
        firewall: which packets reach them.
        role: what a host may do in AWS.
        artifacts_role: what MLflow's process, which users talk to, may do: root on the host takes it, and
            hands it on.

    """

    instances: tuple[Instance, ...]
    firewall: SecurityGroup
    role: AccessRole
    artifacts_role: AccessRole


def make_servers(context: Context, network: Network, storage: Storage, secrets: Secrets) -> Servers:
    """Compose the hosts.

    Args:
        context: what is wanted.
        network: where they are.
        storage: what they keep files in.
        secrets: what they read.

    """
    owner, server = context.owner, context.deployment.server
    firewall = SecurityGroup(
        "server_firewall",
        owner,
        vpc=network.vpc,
        purpose="MLflow server: HTTPS and SSH",
        inbound=(Rule("tcp", HTTPS, context.access_cidrs), Rule("tcp", SSH, context.access_cidrs)),
        outbound=(Rule("-1", None, WORLD),),
    )
    role = AccessRole(
        "server_role",
        owner,
        role_name=context.role_name("server"),
        bucket=storage.bucket,
        prefix=storage.artifacts_prefix,
        backups_prefix=storage.backups_prefix,
        secrets=secrets.of_hosts,
    )
    artifacts_role = AccessRole(
        "artifacts_role",
        owner,
        role_name=context.role_name("mlflow"),
        bucket=storage.bucket,
        prefix=storage.artifacts_prefix,
        taken_by=role,
    )
    host = Instance(
        "server",
        owner,
        role="tracking_server",
        image=Image(
            "image",
            owner,
            system=server.system,
            instance_type=server.instance_type,
            baked=server.baked,
            code=context.code,
        ),
        instance_type=server.instance_type,
        volume_gib=server.volume_gib,
        subnet=network.public[0],
        groups=(firewall,),
        key_pair=KeyPair("ssh_key", owner, public_key=context.ssh_public_key),
        profile=InstanceProfile("server_profile", owner, role=role),
        routes=network.public_routes,
        user_data=context.user_data,
    )
    return Servers((host,), firewall, role, artifacts_role)
