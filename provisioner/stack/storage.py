"""The bucket that keeps artifacts and backups, and the way to it."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.resources.ec2.s3_endpoint import S3Endpoint
from provisioner.resources.s3.bucket import Bucket
from provisioner.resources.s3.lifecycle_rules import Expiry
from provisioner.stack.context import Context
from provisioner.stack.network import Network
from provisioner.systems import systems


@dataclass(frozen=True)
class Storage:
    """Where files are kept.

    Args:
        bucket: the bucket.
        artifacts_prefix: the folder in it that the server may read, write and delete in.
        backups_prefix: the folder that it may add to.
        endpoint: the network's way to S3.

    """

    bucket: Bucket
    artifacts_prefix: str
    backups_prefix: str
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
    artifacts, backups = deployment.artifacts, deployment.backups
    bucket = Bucket(
        "artifacts",
        owner,
        bucket_name=_bucket_name(context),
        account_id=context.account_id,
        lifecycle=(
            Expiry(
                "flowstead",
                "days that overwritten artifacts are kept",
                artifacts.prefix,
                noncurrent_days=artifacts.noncurrent_days,
            ),
            # An overwritten backup is kept as long again.
            Expiry(
                "flowstead-backups",
                "days that backups are kept",
                backups.prefix,
                noncurrent_days=backups.keep_days,
                days=backups.keep_days,
            ),
        ),
    )
    endpoint = S3Endpoint(
        "s3_endpoint",
        owner,
        vpc=network.vpc,
        route_tables=(network.public_routes, network.private_routes),
        bucket=bucket,
        packages=systems[deployment.server.system].packages.format(region=deployment.region),
    )
    return Storage(bucket, artifacts.prefix, backups.prefix, endpoint)


def _bucket_name(context: Context) -> str:
    """Choose a name that is the deployment's alone in all of AWS, within S3's 63 characters."""
    deployment = context.deployment
    if deployment.artifacts.bucket != "auto":
        return deployment.artifacts.bucket
    return f"{deployment.name}-{context.account_id}-{deployment.region}"
