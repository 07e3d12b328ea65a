"""What RDS tells of databases and of their versions, asked once for all who want to know."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from provisioner.aws import Aws
from provisioner.resources.rds.calls import Calls


@dataclass(frozen=True)
class Engine:
    """A kind and version of database, as RDS has it.

    Args:
        name: RDS's name ("postgres").
        version: in full ("17.6"), or the major one ("17"): RDS chooses the minor one and keeps it current.
        family: RDS's name for the parameters of the major version ("postgres17").
        shown: what people call it.
        port: where it answers.

    """

    name: str
    version: str
    family: str
    shown: str
    port: int

    @property
    def is_kept_current(self) -> bool:
        """RDS may go to newer minor versions by itself."""
        return self.family.endswith(self.version)


def described(aws: Aws, calls: Calls, identifier: str) -> dict[str, Any] | None:
    """Get RDS's description of whatever has a database's name, None when nothing has."""

    def ask() -> dict[str, Any] | None:
        answer = aws.call_or(calls.absent, "rds", calls.describe, **{calls.named: identifier})
        items: list[dict[str, Any]] = answer[calls.items] if answer else []
        return items[0] if items else None

    return aws.remembered((calls.describe, identifier), ask)


def others(aws: Aws, calls: Calls, own: Collection[str]) -> list[dict[str, Any]]:
    """List what the region has but for some; tags do not tell: one that was restored has them too."""
    items = aws.remembered(calls.describe, lambda: aws.page("rds", calls.describe, calls.items))
    return [item for item in items if item[calls.named] not in own]


def is_version(version: str, wanted: str) -> bool:
    """Tell whether a version is the wanted one, or a part of the wanted major one.

    Args:
        version: in full ("17.6").
        wanted: in full, or the major version only ("17").

    """
    return version == wanted or version.startswith(f"{wanted}.")


def parts(version: str) -> list[int]:
    """Give the numbers in a version, by which versions are in order."""
    return [int(part) for part in version.split(".") if part.isdigit()]


def versions(aws: Aws, engine: Engine) -> list[dict[str, Any]]:
    """List what RDS tells of those versions that are the wanted one or a part of it, the newest last."""
    items = aws.remembered(
        ("describe_db_engine_versions", engine),
        lambda: aws.page(
            "rds",
            "describe_db_engine_versions",
            "DBEngineVersions",
            Engine=engine.name,
            DBParameterGroupFamily=engine.family,
        ),
    )
    fitting = [item for item in items if is_version(item["EngineVersion"], engine.version)]
    return sorted(fitting, key=lambda item: parts(item["EngineVersion"]))
