"""The hosts, with roles instead of keys."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.resources.ec2.image import Image
from provisioner.resources.ec2.instance import Instance
from provisioner.resources.ec2.key_pair import KeyPair
from provisioner.resources.ec2.security_group import Rule, SecurityGroup
from provisioner.resources.ec2.volume import Volume
from provisioner.resources.iam.instance_profile import InstanceProfile
from provisioner.resources.iam.policy import Arn, Statement
from provisioner.resources.iam.role import EC2, Role
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
    role: Role
    artifacts_role: Role


def make_servers(
    context: Context, network: Network, storage: Storage, secrets: Secrets, volume: Volume | None
) -> Servers:
    """Compose the hosts.

    Args:
        context: what is wanted.
        network: where they are.
        storage: what they keep files in.
        secrets: what they read.
        volume: where the one host keeps its data; None: in a database service.

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
    role = Role(
        "server_role",
        owner,
        role_name=context.role_name("server"),
        taken_by=EC2,
        statements=_of_host(storage, secrets),
    )
    artifacts_role = Role(
        "artifacts_role",
        owner,
        role_name=context.role_name("mlflow"),
        taken_by=role,
        statements=(_artifacts(storage), _listing("ListThem", storage, storage.artifacts_prefix)),
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
    return Servers((host,), firewall, role, artifacts_role)


def _of_host(storage: Storage, secrets: Secrets) -> tuple[Statement, ...]:
    """Write what a host may do: its two folders of the bucket, its own secrets, nothing else."""
    backups = Arn(storage.bucket, f"/{storage.backups_prefix}/*")
    return (
        _artifacts(storage),
        Statement(
            "BackupsAreAddedNeverDeleted",
            ("s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"),
            (backups,),
        ),
        Statement(
            "NorOverwritten",
            ("s3:PutObject",),
            (backups,),
            effect="Deny",
            condition={"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}},
        ),
        _listing("ListOwnFolders", storage, storage.artifacts_prefix, storage.backups_prefix),
        Statement("OwnSecrets", ("secretsmanager:GetSecretValue",), tuple(map(Arn, secrets.of_hosts))),
    )


def _artifacts(storage: Storage) -> Statement:
    """Write the use of artifacts; "*" stands only for keys in their folder."""
    return Statement(
        "Artifacts",
        (
            "s3:GetObject",
            "s3:PutObject",
            "s3:DeleteObject",
            "s3:AbortMultipartUpload",
            "s3:ListMultipartUploadParts",
        ),
        (Arn(storage.bucket, f"/{storage.artifacts_prefix}/*"),),
    )


def _listing(sid: str, storage: Storage, *folders: str) -> Statement:
    keys = [key for folder in folders for key in (folder, f"{folder}/*")]
    condition = {"StringLike": {"s3:prefix": keys}}
    return Statement(sid, ("s3:ListBucket",), (Arn(storage.bucket),), condition=condition)
