"""What RDS tells of a deployment's database, asked once for all who want to know."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from provisioner.aws import Aws


@dataclass(frozen=True)
class Engine:
    """A kind and version of database, as RDS has it.

    Args:
        name: RDS's name ("postgres").
        version: in full ("17.6"), or the major one ("17"): RDS chooses the minor one and keeps it current.
        family: RDS's name for the parameters of the major version ("postgres17").
        shown: what people call it.

    """

    name: str
    version: str
    family: str
    shown: str


def described(aws: Aws, identifier: str) -> dict[str, Any] | None:
    """Get RDS's description of whatever has a database's name, None when nothing has."""

    def ask() -> dict[str, Any] | None:
        answer = aws.call_or(
            ("DBInstanceNotFound", "DBInstanceNotFoundFault"),
            "rds",
            "describe_db_instances",
            DBInstanceIdentifier=identifier,
        )
        items: list[dict[str, Any]] = answer["DBInstances"] if answer else []
        return items[0] if items else None

    return aws.remembered(("describe_db_instances", identifier), ask)


def others(aws: Aws, own: Collection[str]) -> list[dict[str, Any]]:
    """List the databases of the region but for some; tags do not tell: one that was restored has them too."""
    items = aws.remembered(
        "describe_db_instances", lambda: aws.page("rds", "describe_db_instances", "DBInstances")
    )
    return [item for item in items if item["DBInstanceIdentifier"] not in own]


def is_version(version: str, wanted: str) -> bool:
    """Tell whether a version is the wanted one, or a part of the wanted major one.

    Args:
        version: in full ("17.6").
        wanted: in full, or the major version only ("17").

    """
    return version == wanted or version.startswith(f"{wanted}.")
