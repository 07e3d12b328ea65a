"""Where RDS has room for a class of database."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from provisioner.aws import Aws
from provisioner.errors import NotOfferedError
from provisioner.resources.ec2.zones import Offer, instead
from provisioner.resources.rds.calls import CLUSTERS, INSTANCES
from provisioner.resources.rds.database_facts import Engine, described, is_version, parts, versions
from provisioner.resources.rds.db_member import SERVERLESS


@dataclass(frozen=True)
class DatabaseOffer(Offer):
    """A class of database, for a version of an engine.

    Args:
        identifier: the database's name in RDS.
        engine: kind and version.

    """

    identifier: str
    engine: Engine

    def _options(self, aws: Aws, **narrowing: str) -> list[dict[str, Any]]:
        return aws.page(
            "rds",
            "describe_orderable_db_instance_options",
            "OrderableDBInstanceOptions",
            Engine=self.engine.name,
            Vpc=True,
            **narrowing,
        )


@dataclass(frozen=True)
class ClassOffer(DatabaseOffer):
    """A class of database, for a version of an engine.

    Args:
        instance_class: RDS's name of the class.

    """

    instance_class: str

    @property
    def key(self) -> str:
        """The key in deployment.yml."""
        return f"{self.section}.instance_class"

    def __str__(self) -> str:
        """Name the class."""
        return self.instance_class

    def is_built(self, aws: Aws, deployment: str) -> bool:
        """Tell whether the database is of this class and version."""
        database = described(aws, INSTANCES, self.identifier) or {}
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
        return _zones(fitting)

    def _classes(self, aws: Aws) -> set[str]:
        """Name the classes that are offered for the version: RDS lists them by a version in full."""
        known = versions(aws, self.engine)
        options = self._options(aws, EngineVersion=known[-1]["EngineVersion"]) if known else []
        return {str(item["DBInstanceClass"]) for item in options}


@dataclass(frozen=True)
class ServerlessOffer(DatabaseOffer):
    """A version of an engine whose instances are as large as they need to be, within limits.

    Args:
        min_acu: the fewest capacity units that one has.
        max_acu: the most.

    """

    min_acu: float
    max_acu: float

    @property
    def key(self) -> str:
        """The key in deployment.yml."""
        return f"{self.section}.engine_version"

    def __str__(self) -> str:
        """Name engine and version."""
        return f"{self.engine.shown} {self.engine.version}"

    def is_built(self, aws: Aws, deployment: str) -> bool:
        """Tell whether the cluster is of this version and has these limits."""
        cluster = described(aws, CLUSTERS, self.identifier) or {}
        capacity = cluster.get("ServerlessV2ScalingConfiguration", {})
        has = capacity.get("MinCapacity"), capacity.get("MaxCapacity")
        return has == (self.min_acu, self.max_acu) and is_version(
            cluster.get("EngineVersion", ""), self.engine.version
        )

    def zones(self, aws: Aws) -> set[str]:
        """Ask where it is offered."""
        options = self._options(aws, DBInstanceClass=SERVERLESS)
        known = versions(aws, self.engine)
        chosen = known[-1] if known else {}
        fitting = [item for item in options if item["EngineVersion"] == chosen.get("EngineVersion")]
        if not fitting:
            text = (
                f"{self} is not offered as Aurora Serverless v2 in {aws.region}; "
                f"allowed: {_versions(options) or 'none'}"
            )
            raise NotOfferedError([(self.key, text)])
        limits = chosen.get("ServerlessV2FeaturesSupport", {})
        least, most = limits.get("MinCapacity", self.min_acu), limits.get("MaxCapacity", self.max_acu)
        mistakes = []
        if self.min_acu < least:
            text = f"must be at least {least:g} with {self}, is {self.min_acu:g}"
            mistakes.append((f"{self.section}.min_acu", text))
        if self.max_acu > most:
            text = f"must be at most {most:g} with {self}, is {self.max_acu:g}"
            mistakes.append((f"{self.section}.max_acu", text))
        if mistakes:
            raise NotOfferedError(mistakes)
        return _zones(fitting)


def _zones(options: Iterable[dict[str, Any]]) -> set[str]:
    return {str(zone["Name"]) for item in options for zone in item["AvailabilityZones"]}


def _versions(options: Iterable[dict[str, Any]]) -> str:
    return ", ".join(sorted({str(item["EngineVersion"]) for item in options}, key=parts))
