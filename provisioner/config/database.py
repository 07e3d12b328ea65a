"""What deployment.yml may say of the database: each engine has keys of its own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    StrictBool,
    StrictInt,
    Tag,
    field_validator,
    model_validator,
)

from provisioner.config import network_rules, rules
from provisioner.config.messages import not_among
from provisioner.config.section import Section, Text

PostgresqlVersion = Annotated[str, BeforeValidator(rules.version_text), AfterValidator(rules.engine_version)]
AuroraMysqlVersion = Annotated[
    str, BeforeValidator(rules.version_text), AfterValidator(rules.aurora_mysql_version)
]


VOLUME: Final = "none"
"""The word for no database service: a volume keeps the data."""


class OfRds(Section):
    """A database of Amazon RDS.

    Args:
        engine: what tells it from other engines, each with keys of its own.
        engine_version: the engine's version, in full or the major one.
        backup_days: days that automatic backups are kept.
        deletion_protection: refuse to delete it until this is false.
        monitoring_s: seconds between two looks of RDS at the processes of its hosts; 0: it does not look.
        access_cidrs: networks that may reach the database itself, where there is no server (server.count: 0);
            `auto` is the address this machine is seen from.

    """

    engine: str
    engine_version: str
    backup_days: Annotated[StrictInt, Field(ge=1, le=35)] = 7
    deletion_protection: StrictBool = True
    monitoring_s: Literal[0, 1, 5, 10, 15, 30, 60] = 0
    access_cidrs: Literal["auto"] | tuple[str, ...] = ()

    @field_validator("access_cidrs", mode="before")
    @classmethod
    def _check_cidrs(cls, value: object) -> object:
        return network_rules.database_cidrs(value)

    @staticmethod
    @abstractmethod
    def across(written: Mapping[str, object]) -> rules.Mistakes:
        """Find what crosses values as written; what is wrong with one of them is reported by itself."""

    @model_validator(mode="after")
    def _check_across(self) -> Self:
        rules.refuse(self.across(dict(self)))
        return self


class Postgresql(OfRds):
    """A PostgreSQL instance of Amazon RDS.

    Args:
        engine_version: "17" or "17.6".
        instance_class: RDS instance class.
        storage_gib: size at first.
        max_storage_gib: size up to which RDS lets it grow by itself.
        multi_az: a standby in a second zone, at twice the price.

    """

    engine: Literal["postgresql"] = "postgresql"
    engine_version: PostgresqlVersion = "17"
    instance_class: Annotated[Text, AfterValidator(rules.instance_class)] = "db.t4g.micro"
    storage_gib: Annotated[StrictInt, Field(ge=20, le=65536)] = 20
    max_storage_gib: Annotated[StrictInt, Field(ge=20, le=65536)] = 100
    multi_az: StrictBool = False

    @staticmethod
    def across(written: Mapping[str, object]) -> rules.Mistakes:
        """Find a limit of growth that RDS refuses."""
        return rules.storage_growth(written.get("storage_gib"), written.get("max_storage_gib"))


class Aurora(OfRds):
    """A cluster of Amazon Aurora, as large and as fast as it is used (Serverless v2).

    Args:
        min_acu: the fewest capacity units of each instance, in steps of 0.5; 0: it pauses when unused.
        max_acu: the most.
        readers: instances that take over when the one that writes is lost.

    """

    min_acu: Annotated[float, BeforeValidator(rules.capacity), Field(ge=0, le=256)] = 0.5
    max_acu: Annotated[float, BeforeValidator(rules.capacity), Field(ge=1, le=256)] = 2
    readers: Annotated[StrictInt, Field(ge=0, le=15)] = 0

    @staticmethod
    def across(written: Mapping[str, object]) -> rules.Mistakes:
        """Find limits of capacity the wrong way round."""
        return rules.capacities(written.get("min_acu"), written.get("max_acu"))


class AuroraPostgresql(Aurora):
    """A cluster of Aurora with PostgreSQL.

    Args:
        engine_version: "17" or "17.5".

    """

    engine: Literal["aurora-postgresql"] = "aurora-postgresql"
    engine_version: PostgresqlVersion = "17"


class AuroraMysql(Aurora):
    """A cluster of Aurora with MySQL.

    Args:
        engine_version: "8.0" or "8.0.mysql_aurora.3.10.0".

    """

    engine: Literal["aurora-mysql"] = "aurora-mysql"
    engine_version: AuroraMysqlVersion = "8.0"


class Sqlite(Section):
    """No database service: SQLite's files on a volume of their own, which outlives the host.

    Args:
        engine: what tells it from other engines.
        volume_gib: size of the volume; it can grow.
        snapshot_days: days that nightly snapshots of it are kept.
        deletion_protection: refuse to delete it until this is false.

    """

    engine: Literal["none"] = VOLUME
    volume_gib: Annotated[StrictInt, Field(ge=1, le=16384)] = 20
    snapshot_days: Annotated[StrictInt, Field(ge=1, le=3650)] = 7
    deletion_protection: StrictBool = True

    @staticmethod
    def across(written: Mapping[str, object]) -> rules.Mistakes:
        """Find what crosses values: nothing does."""
        del written
        return []


ENGINES: Mapping[str, type[OfRds | Sqlite]] = {
    "postgresql": Postgresql,
    "aurora-postgresql": AuroraPostgresql,
    "aurora-mysql": AuroraMysql,
    VOLUME: Sqlite,
}
"""The kinds of database that a deployment may have, by `engine`."""
DEFAULT_ENGINE = "postgresql"


def engine_of(written: object) -> str:
    """Tell which engine a database as written is of; empty: of none that there is."""
    if isinstance(written, OfRds | Sqlite):
        return written.engine
    engine = written.get("engine", DEFAULT_ENGINE) if isinstance(written, dict) else DEFAULT_ENGINE
    return engine if isinstance(engine, str) and engine in ENGINES else ""


def _check_engine(value: object) -> object:
    """Check a database's engine before its keys: another engine has others."""
    if isinstance(value, dict) and not engine_of(value):
        rules.refuse([(("engine",), not_among(tuple(ENGINES), value["engine"]))])
    return value


Database = Annotated[
    Annotated[Postgresql, Tag("postgresql")]
    | Annotated[AuroraPostgresql, Tag("aurora-postgresql")]
    | Annotated[AuroraMysql, Tag("aurora-mysql")]
    | Annotated[Sqlite, Tag("none")],
    Discriminator(engine_of),
    BeforeValidator(_check_engine),
]
"""What keeps runs, models and users: the union of all engines."""
