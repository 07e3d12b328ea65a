"""The hosts, with roles instead of keys."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.resources.ec2.image import Image
from provisioner.resources.ec2.instance import Instance
from provisioner.resources.ec2.instance_memory import InstanceMemory
from provisioner.resources.ec2.key_pair import KeyPair
from provisioner.resources.ec2.security_group import Rule, SecurityGroup
from provisioner.resources.ec2.volume import Volume
from provisioner.resources.iam.instance_profile import InstanceProfile
from provisioner.resources.iam.policy import Arn, Statement
from provisioner.resources.iam.role import EC2, Role
from provisioner.stack.context import Context, ProjectNames
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
        artifacts_roles: what MLflow's process of each project, which users talk to, may do: root on the
            host takes it, and hands it on.
        memory: what the projects need of it.

    """

    instances: tuple[Instance, ...]
    firewall: SecurityGroup
    role: Role
    artifacts_roles: tuple[Role, ...]
    memory: InstanceMemory


def make_servers(
    context: Context, network: Network, storage: Storage, secrets: Secrets, volume: Volume | None
) -> Servers | None:
    """Compose the hosts.

    Args:
        context: what is wanted.
        network: where they are.
        storage: what they keep files in.
        secrets: what they read.
        volume: where the one host keeps its data; None: in a database service.

    Returns:
        None where each runs a server of one's own.

    """
    owner, server = context.owner, context.deployment.server
    if not server.count:
        return None
    firewall = SecurityGroup(
        "server_firewall",
        owner,
        vpc=network.vpc,
        purpose="MLflow server: HTTPS and SSH",
        inbound=(Rule("tcp", HTTPS, context.access_cidrs), Rule("tcp", SSH, context.access_cidrs)),
        outbound=(Rule("-1", None, WORLD),),
    )
    role = Role(
        "server_role",
        owner,
        role_name=context.role_name("server"),
        taken_by=EC2,
        statements=_of_host(storage, context.projects, secrets),
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
        data=volume,
    )
    roles = tuple(_artifacts_role(context, storage, role, project) for project in context.projects)
    memory = InstanceMemory(
        "memory", owner, instance_type=server.instance_type, projects=len(context.projects)
    )
    return Servers((host,), firewall, role, roles, memory)


def _artifacts_role(context: Context, storage: Storage, host: Role, project: ProjectNames) -> Role:
    """Compose what a project's process may do: its own folder of the bucket."""
    artifacts = project.artifacts_prefix
    return Role(
        "artifacts_role" if project.is_default else f"artifacts_role_{project.name.replace('-', '_')}",
        context.owner,
        role_name=context.project_role_name(project),
        taken_by=host,
        statements=(_artifacts(storage, artifacts), _listing("ListThem", storage, artifacts)),
    )


def _of_host(storage: Storage, projects: tuple[ProjectNames, ...], secrets: Secrets) -> tuple[Statement, ...]:
    """Write what a host may do: two folders of the bucket for each project, its own secrets, nothing else."""
    artifacts, kept = (
        tuple(getattr(one, prefix) for one in projects) for prefix in ("artifacts_prefix", "backups_prefix")
    )
    backups = tuple(Arn(storage.bucket, f"/{prefix}/*") for prefix in kept)
    return (
        _artifacts(storage, *artifacts),
        Statement(
            "BackupsAreAddedNeverDeleted",
            ("s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"),
            backups,
        ),
        Statement(
            "NorOverwritten",
            ("s3:PutObject",),
            backups,
            effect="Deny",
            condition={"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}},
        ),
        _listing("ListOwnFolders", storage, *artifacts, *kept),
        Statement("OwnSecrets", ("secretsmanager:GetSecretValue",), tuple(map(Arn, secrets.of_hosts))),
    )


def _artifacts(storage: Storage, *folders: str) -> Statement:
    """Write the use of artifacts; "*" stands only for keys in their folders."""
    return Statement(
        "Artifacts",
        (
            "s3:GetObject",
            "s3:PutObject",
            "s3:DeleteObject",
            "s3:AbortMultipartUpload",
            "s3:ListMultipartUploadParts",
        ),
        tuple(Arn(storage.bucket, f"/{folder}/*") for folder in folders),
    )


def _listing(sid: str, storage: Storage, *folders: str) -> Statement:
    keys = [key for folder in folders for key in (folder, f"{folder}/*")]
    condition = {"StringLike": {"s3:prefix": keys}}
    return Statement(sid, ("s3:ListBucket",), (Arn(storage.bucket),), condition=condition)
