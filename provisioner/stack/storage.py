"""The bucket that keeps artifacts and backups, and the way to it."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.resources.ec2.s3_endpoint import S3Endpoint
from provisioner.resources.s3.bucket import Bucket
from provisioner.resources.s3.lifecycle_rules import PROJECT_RULES, Expiry
from provisioner.stack.context import Context, ProjectNames
from provisioner.stack.network import Network
from provisioner.systems import systems


@dataclass(frozen=True)
class Storage:
    """Where files are kept.

    Args:
        bucket: the bucket.
        artifacts_prefix: the folder in it that the default project's server may read, write and delete in.
        endpoint: the network's way to S3.

    """

    bucket: Bucket
    artifacts_prefix: str
    endpoint: S3Endpoint

    @property
    def artifacts(self) -> str:
        """The URI of the artifacts' folder."""
        return f"s3://{self.bucket.bucket_name}/{self.artifacts_prefix}"


def make_storage(context: Context, network: Network) -> Storage:
    """Compose the bucket and the way to it.

    Args:
        context: what is wanted.
        network: whose hosts use it.

    """
    deployment, owner = context.deployment, context.owner
    bucket = Bucket(
        "artifacts",
        owner,
        bucket_name=_bucket_name(context),
        account_id=context.account_id,
        lifecycle=tuple(rule for project in context.projects for rule in _lifecycle(context, project)),
    )
    endpoint = S3Endpoint(
        "s3_endpoint",
        owner,
        vpc=network.vpc,
        route_tables=(network.public_routes, network.private_routes),
        bucket=bucket,
        packages=systems[deployment.server.system].packages.format(region=deployment.region),
    )
    return Storage(bucket, deployment.artifacts.prefix, endpoint)


def _lifecycle(context: Context, project: ProjectNames) -> tuple[Expiry, ...]:
    """Say what expires in a project's folders."""
    artifacts, backups = context.deployment.artifacts, context.deployment.backups
    names = ("flowstead", "flowstead-backups")
    of = ""
    if not project.is_default:
        names = (f"{PROJECT_RULES}{project.name}-artifacts", f"{PROJECT_RULES}{project.name}-backups")
        of = f" of {project.name}"
    return (
        Expiry(
            names[0],
            f"days that overwritten artifacts{of} are kept",
            project.artifacts_prefix,
            noncurrent_days=artifacts.noncurrent_days,
        ),
        # An overwritten backup is kept as long again.
        Expiry(
            names[1],
            f"days that backups{of} are kept",
            project.backups_prefix,
            noncurrent_days=backups.keep_days,
            days=backups.keep_days,
        ),
    )


def _bucket_name(context: Context) -> str:
    """Choose a name that is the deployment's alone in all of AWS, within S3's 63 characters."""
    deployment = context.deployment
    if deployment.artifacts.bucket != "auto":
        return deployment.artifacts.bucket
    return f"{deployment.name}-{context.account_id}-{deployment.region}"
