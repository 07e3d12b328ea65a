"""Where RDS has room for a class of database."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from provisioner.aws import Aws
from provisioner.errors import NotOfferedError
from provisioner.resources.ec2.zones import Offer, instead
from provisioner.resources.rds.database_facts import Engine, described, is_version


@dataclass(frozen=True)
class DatabaseOffer(Offer):
    """A class of database, for a version of an engine.

    Args:
        identifier: the database's name in RDS.
        instance_class: RDS's name of the class.
        engine: kind and version.

    """

    identifier: str
    instance_class: str
    engine: Engine

    @property
    def key(self) -> str:
        """The key in deployment.yml."""
        return f"{self.section}.instance_class"

    def __str__(self) -> str:
        """Name the class."""
        return self.instance_class

    def is_built(self, aws: Aws, deployment: str) -> bool:
        """Tell whether the database is of this class and version."""
        database = described(aws, self.identifier) or {}
        return database.get("DBInstanceClass") == self.instance_class and is_version(
            database.get("EngineVersion", ""), self.engine.version
        )

    def zones(self, aws: Aws) -> set[str]:
        """Ask where it is offered."""
        engine, options = self.engine, self._options(aws, DBInstanceClass=self.instance_class)
        if not options:
            text = (
                f"{self.instance_class!r} is not a class that AWS offers for {engine.shown} in {aws.region}"
            )
            raise NotOfferedError([(self.key, text + instead(self.instance_class, self._classes(aws)))])
        fitting = [item for item in options if is_version(item["EngineVersion"], engine.version)]
        if not fitting:
            text = (
                f"{engine.shown} {engine.version} is not offered for {self.instance_class} in {aws.region}; "
                f"allowed: {_versions(options)}"
            )
            raise NotOfferedError([(f"{self.section}.engine_version", text)])
        return {str(zone["Name"]) for item in fitting for zone in item["AvailabilityZones"]}

    def _options(self, aws: Aws, **narrowing: str) -> list[dict[str, Any]]:
        return aws.page(
            "rds",
            "describe_orderable_db_instance_options",
            "OrderableDBInstanceOptions",
            Engine=self.engine.name,
            Vpc=True,
            **narrowing,
        )

    def _classes(self, aws: Aws) -> set[str]:
        """Name the classes that are offered for the version: RDS lists them by a version in full."""
        versions = aws.page(
            "rds",
            "describe_db_engine_versions",
            "DBEngineVersions",
            Engine=self.engine.name,
            DBParameterGroupFamily=self.engine.family,
        )
        names = [item["EngineVersion"] for item in versions]
        fitting = [name for name in names if is_version(name, self.engine.version)]
        options = self._options(aws, EngineVersion=fitting[-1]) if fitting else []
        return {str(item["DBInstanceClass"]) for item in options}


def _versions(options: Iterable[dict[str, Any]]) -> str:
    versions = {str(item["EngineVersion"]) for item in options}
    return ", ".join(
        sorted(versions, key=lambda text: [int(part) for part in text.split(".") if part.isdigit()])
    )
