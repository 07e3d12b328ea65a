"""The volume that keeps runs, models and users where no database service does, and its snapshots."""

from __future__ import annotations

from provisioner.config.database import Sqlite
from provisioner.resources.dlm.lifecycle_policy import LifecyclePolicy
from provisioner.resources.ec2.volume import NIGHTLY_TAG, Volume
from provisioner.resources.iam.policy import Statement
from provisioner.resources.iam.role import Role, Service
from provisioner.stack.context import Context
from provisioner.stack.network import Network
from provisioner.stack.storage import Storage


def make_volume(context: Context, network: Network, storage: Storage) -> Volume | None:
    """Compose the volume.

    Args:
        context: what is wanted.
        network: where the server is that has it.
        storage: where the artifacts are of the runs that it lists.

    Returns:
        None where a database service keeps the data.

    """
    wanted = context.deployment.database
    if not isinstance(wanted, Sqlite):
        return None
    return Volume(
        "data_volume",
        context.owner,
        size_gib=wanted.volume_gib,
        subnet=network.public[0],
        deletion_protection=wanted.deletion_protection,
        artifacts=storage.artifacts,
        moving_from=context.moving_from,
        account_id=context.account_id,
    )


def make_snapshots(context: Context, volume: Volume | None) -> LifecyclePolicy | None:
    """Compose what takes snapshots of the volume every night.

    Args:
        context: what is wanted.
        volume: the volume; None: there is none.

    """
    wanted = context.deployment.database
    if volume is None or not isinstance(wanted, Sqlite):
        return None
    role = _snapshot_role(context)
    return LifecyclePolicy(
        "nightly_snapshots", context.owner, volume=volume, role=role, days=wanted.snapshot_days
    )


def _snapshot_role(context: Context) -> Role:
    """Compose the role with which Data Lifecycle Manager takes and removes snapshots of this volume only.

    What it may do is a part of what AWS's own policy for it allows:
    https://docs.aws.amazon.com/ebs/latest/userguide/managed-policies.html
    """
    region, deployment = context.deployment.region, context.deployment.name
    volumes, snapshots = (
        f"arn:aws:ec2:{region}:{context.account_id}:volume/*",
        f"arn:aws:ec2:{region}::snapshot/*",
    )
    ours = {"StringEquals": {f"aws:ResourceTag/{NIGHTLY_TAG}": deployment}}
    looks = ("ec2:DescribeInstances", "ec2:DescribeSnapshots", "ec2:DescribeVolumes")
    return Role(
        "snapshot_role",
        context.owner,
        role_name=context.role_name("backup"),
        taken_by=Service(
            "dlm.amazonaws.com",
            "Data Lifecycle Manager for policies of this account",
            source_account=context.account_id,
            source_arn=f"arn:aws:dlm:{region}:{context.account_id}:policy/*",
        ),
        statements=(
            Statement("Look", looks, ("*",)),
            Statement("OfTheVolume", ("ec2:CreateSnapshot",), (volumes,), condition=ours),
            Statement("NewOnes", ("ec2:CreateSnapshot", "ec2:CreateTags"), (snapshots,)),
            Statement("OldOnes", ("ec2:DeleteSnapshot",), (snapshots,), condition=ours),
        ),
    )
