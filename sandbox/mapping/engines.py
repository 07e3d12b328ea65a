"""The database engines of RDS that real servers stand for."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.real import images
from sandbox.real.databases import Database
from sandbox.real.members import Member
from sandbox.real.mysql_member import MysqlMember
from sandbox.real.postgresql_member import PostgresqlMember
from sandbox.real.postgresql_server import PostgresqlServer

_minor_versions: dict[str, str] = {}
"""Kinds of image, and the minor version that each turned out to hold: ``postgresql-17`` → ``17.6``."""


@dataclass(frozen=True)
class Engine:
    """A database engine.

    Attributes:
        name: RDS's name of it.
        title: what people call it.
        program: what the kinds of its images begin with.
        license_model: RDS's name of its licence.
        server: makes a real server.
    """

    name: str
    title: str
    program: str
    license_model: str
    server: type[Database]

    @property
    def is_clustered(self) -> bool:
        """Whether its instances are members of clusters."""
        return issubclass(self.server, Member)

    def majors(self) -> list[str]:
        """List the major versions that there are images of, newest first."""
        return list(images.versions(self.program))

    def versions(self) -> list[str]:
        """List the versions as RDS names them: the minor one where it is known, else the major one."""
        return [_minor_versions.get(self.image(major), major) for major in self.majors()]

    def is_offered(self, version: str) -> bool:
        """Say whether a version can be asked for: a major one, or a minor one that an image holds.

        Args:
            version: e.g. ``17`` or ``17.6``.

        Returns:
            Whether it can.
        """
        return version in {*self.majors(), *self.versions()}

    def major(self, version: str) -> str:
        """Return the major version that a version belongs to."""
        return version.split(".", 1)[0]

    def family(self, version: str) -> str:
        """Return the family of the parameter groups for a version, e.g. ``postgres17``."""
        return f"{self.name}{self.major(version)}"

    def image(self, version: str) -> str:
        """Return the kind of image that a server of a version runs from, e.g. ``postgresql-17``."""
        return f"{self.program}-{self.major(version)}"

    def note(self, version: str) -> str:
        """Learn which minor version the image of its major one holds.

        Args:
            version: as a server says it.

        Returns:
            The version as RDS says it.
        """
        _minor_versions[self.image(version)] = version
        return version


class AuroraMysql(Engine):
    """Aurora MySQL, for which one server stands that is newer: Debian has none of its version."""

    _MAJOR = "8.0"
    _VERSION = "8.0.mysql_aurora.3.10.0"
    """Source: "Aurora MySQL version 3.10 (compatible with MySQL 8.0.42)", Release Notes for Aurora MySQL."""

    def majors(self) -> list[str]:
        """List the major versions, as `Engine.majors` says."""
        return [self._MAJOR]

    def versions(self) -> list[str]:
        """List the versions, as `Engine.versions` says."""
        return [self._VERSION]

    def major(self, version: str) -> str:
        """Return the major version, as `Engine.major` says."""
        del version
        return self._MAJOR

    def image(self, version: str) -> str:
        """Return the kind of image, as `Engine.image` says."""
        del version
        (only,) = images.versions(self.program)
        return f"{self.program}-{only}"

    def note(self, version: str) -> str:
        """Return the version that RDS says, as `Engine.note` says."""
        del version
        return self._VERSION


ENGINES = {
    engine.name: engine
    for engine in (
        Engine("postgres", "PostgreSQL", "postgresql", "postgresql-license", PostgresqlServer),
        Engine(
            "aurora-postgresql",
            "Aurora PostgreSQL",
            "postgresql",
            "postgresql-license",
            PostgresqlMember,
        ),
        AuroraMysql(
            "aurora-mysql",
            "Aurora MySQL",
            "mysql",
            "general-public-license",
            MysqlMember,
        ),
    )
}
"""By RDS's name."""
