"""What RDS tells of a deployment's database, asked once for all who want to know."""

from typing import Any

from provisioner.aws import Aws
from provisioner.resources.base import DEPLOYMENT_TAG
from provisioner.resources.ec2 import as_tags


def identifier(deployment: str) -> str:
    """Name the database of a deployment, and what belongs to it."""
    return f"flowstead-{deployment}"


def described(aws: Aws, deployment: str) -> dict[str, Any] | None:
    """Get RDS's description of whatever has the database's name, None when nothing has."""

    def ask() -> dict[str, Any] | None:
        answer = aws.call_or(
            ("DBInstanceNotFound", "DBInstanceNotFoundFault"),
            "rds",
            "describe_db_instances",
            DBInstanceIdentifier=identifier(deployment),
        )
        items: list[dict[str, Any]] = answer["DBInstances"] if answer else []
        return items[0] if items else None

    return aws.remembered(("describe_db_instances", deployment), ask)


def database_of(aws: Aws, deployment: str) -> dict[str, Any] | None:
    """Get RDS's description of the deployment's own database, None when there is none."""
    item = described(aws, deployment)
    owned = item and as_tags(item.get("TagList", [])).get(DEPLOYMENT_TAG) == deployment
    return item if owned else None


def others(aws: Aws, deployment: str) -> list[dict[str, Any]]:
    """List the databases of the region that are not the deployment's own."""
    items = aws.remembered(
        "describe_db_instances", lambda: aws.page("rds", "describe_db_instances", "DBInstances")
    )
    return [item for item in items if item["DBInstanceIdentifier"] != identifier(deployment)]


def is_version(version: str, wanted: str) -> bool:
    """Tell whether a version is the wanted one, or a part of the wanted major one.

    Args:
        version: in full ("17.6").
        wanted: in full, or the major version only ("17").

    """
    return version == wanted or version.startswith(f"{wanted}.")
