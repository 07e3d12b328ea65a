"""The availability zones to build in: those that offer the host's type and the database's class."""

from dataclasses import dataclass
from typing import Any, ClassVar

from provisioner.aws import Aws
from provisioner.errors import NotOfferedError
from provisioner.resources.base import RESOURCE_TAG, Live
from provisioner.resources.database_facts import database_of, is_version
from provisioner.resources.ec2 import Description, as_tags, tagged
from provisioner.resources.instance_facts import instances_of
from provisioner.resources.looked_up import LookedUp
from provisioner.resources.state import State

SUBNETS = Description(
    "describe_subnets", "Subnets", "SubnetId", "SubnetIds", "subnet", "InvalidSubnetID.NotFound"
)

_SHOWN = 12
"""How many types or classes a message names at most."""


@dataclass(frozen=True, eq=False)
class Zones(LookedUp):
    """As many zones as there are groups of subnets; those of subnets that are there already stay.

    Args:
        subnets: logical names of the subnets that share a zone, a group for each zone.
        instance_type: EC2 type that all the zones must offer.
        instance_class: RDS class that all the zones must offer; empty: there is no database.
        engine_version: PostgreSQL version ("17", "17.6") that they must offer for it.

    """

    kind: ClassVar[str] = "zones"

    subnets: tuple[tuple[str, ...], ...]
    instance_type: str
    instance_class: str = ""
    engine_version: str = ""

    def pick(self, state: State, index: int) -> str:
        """Name one of the zones.

        Args:
            state: what is known.
            index: the group of subnets, from 0.

        """
        live = state.get(self)
        return str(live.facts["zones"][index]) if live else "(no zone)"

    def find(self, aws: Aws) -> Live:
        """Choose the zones; asks AWS what it offers only if something is to be made or changed.

        Raises:
            NotOfferedError: the type, the class or the version is not offered in enough zones.

        """
        taken = self._taken(aws)
        if None in taken or not self._is_built(aws):
            offered = self._offered(aws, [zone for zone in taken if zone])
            free = iter(zone for zone in sorted(offered) if zone not in taken)
            zones = [zone or next(free) for zone in taken]
        else:
            zones = [zone for zone in taken if zone]
        return Live(id=", ".join(zones), facts={"zones": zones})

    def _taken(self, aws: Aws) -> list[str | None]:
        """Give the zone of each group that has a subnet already."""
        zone_of = {
            as_tags(item.get("Tags", [])).get(RESOURCE_TAG): str(item["AvailabilityZone"])
            for item in tagged(aws, SUBNETS, self.owner.deployment)
        }
        return [next((zone_of[name] for name in group if name in zone_of), None) for group in self.subnets]

    def _is_built(self, aws: Aws) -> bool:
        """Tell whether host and database run already as they are wanted."""
        types = [item["InstanceType"] for item in instances_of(aws, self.owner.deployment)]
        if not self.instance_class:
            return types == [self.instance_type]
        database = database_of(aws, self.owner.deployment)
        return (
            types == [self.instance_type]
            and database is not None
            and database.get("DBInstanceClass") == self.instance_class
            and is_version(database.get("EngineVersion", ""), self.engine_version)
        )

    def _offered(self, aws: Aws, taken: list[str]) -> set[str]:
        """Ask where both are offered; all that is wrong is said at once."""
        hosts = self._host_zones(aws)
        databases, mistakes = self._database_zones(aws) if self.instance_class else (hosts, [])
        if not hosts:
            text = f"{self.instance_type!r} is not an instance type that AWS offers in {aws.region}"
            mistakes.append(("server.instance_type", text + _instead(self.instance_type, _types(aws))))
        both = hosts & databases
        if not mistakes and len(both) < len(self.subnets):
            text = (
                f"{self.instance_type} is offered in {_listed(hosts)}, {self.instance_class} in "
                f"{_listed(databases)}: {len(self.subnets)} zones that offer both are needed; "
                "choose other sizes or another region"
            )
            mistakes.append(("server.instance_type", text))
        if not mistakes and not both.issuperset(taken):
            text = f"{self.instance_type} and {self.instance_class} are offered in {_listed(both)} only, "
            mistakes.append(
                ("server.instance_type", f"{text}but this deployment is in {_listed(set(taken))}")
            )
        if mistakes:
            raise NotOfferedError(mistakes)
        return both

    def _host_zones(self, aws: Aws) -> set[str]:
        """Name the zones that offer the type, without Local and Wavelength Zones: they offer little else."""
        offerings = aws.page(
            "ec2",
            "describe_instance_type_offerings",
            "InstanceTypeOfferings",
            LocationType="availability-zone",
            Filters=[{"Name": "instance-type", "Values": [self.instance_type]}],
        )
        ordinary = aws.page(
            "ec2",
            "describe_availability_zones",
            "AvailabilityZones",
            Filters=[{"Name": "zone-type", "Values": ["availability-zone"]}],
        )
        return {str(item["Location"]) for item in offerings} & {str(item["ZoneName"]) for item in ordinary}

    def _database_zones(self, aws: Aws) -> tuple[set[str], list[tuple[str, str]]]:
        options = _options(aws, DBInstanceClass=self.instance_class)
        if not options:
            text = f"{self.instance_class!r} is not a class that AWS offers for PostgreSQL in {aws.region}"
            classes = _classes(aws, self.engine_version)
            return set(), [("database.instance_class", text + _instead(self.instance_class, classes))]
        fitting = [item for item in options if is_version(item["EngineVersion"], self.engine_version)]
        if not fitting:
            text = (
                f"PostgreSQL {self.engine_version} is not offered for {self.instance_class} in {aws.region}; "
                f"allowed: {_versions(options)}"
            )
            return set(), [("database.engine_version", text)]
        return {str(zone["Name"]) for item in fitting for zone in item["AvailabilityZones"]}, []


def _options(aws: Aws, **narrowing: str) -> list[dict[str, Any]]:
    return aws.page(
        "rds",
        "describe_orderable_db_instance_options",
        "OrderableDBInstanceOptions",
        Engine="postgres",
        Vpc=True,
        **narrowing,
    )


def _types(aws: Aws) -> set[str]:
    offerings = aws.page(
        "ec2", "describe_instance_type_offerings", "InstanceTypeOfferings", LocationType="region"
    )
    return {str(item["InstanceType"]) for item in offerings}


def _classes(aws: Aws, wanted: str) -> set[str]:
    """Name the classes that are offered for a version: RDS lists them by a version in full."""
    family = f"postgres{wanted.partition('.')[0]}"
    versions = aws.page(
        "rds",
        "describe_db_engine_versions",
        "DBEngineVersions",
        Engine="postgres",
        DBParameterGroupFamily=family,
    )
    fitting = [item["EngineVersion"] for item in versions if is_version(item["EngineVersion"], wanted)]
    return (
        {str(item["DBInstanceClass"]) for item in _options(aws, EngineVersion=fitting[-1])}
        if fitting
        else set()
    )


def _instead(wanted: str, offered: set[str]) -> str:
    """Name what is offered of the same family or size, failing that whatever is; small ones first."""
    family, _, size = wanted.rpartition(".")
    near = {one for one in offered if one.startswith(f"{family}.") or one.endswith(f".{size}")}
    names = sorted(near or offered, key=lambda one: ("xlarge" in one or "metal" in one, one))
    more = " and others" if len(names) > _SHOWN else ""
    return f"; offered there: {', '.join(names[:_SHOWN])}{more}" if names else ""


def _listed(zones: set[str]) -> str:
    return ", ".join(sorted(zones)) or "no zone"


def _versions(options: list[dict[str, Any]]) -> str:
    versions = {str(item["EngineVersion"]) for item in options}
    return ", ".join(
        sorted(versions, key=lambda text: [int(part) for part in text.split(".") if part.isdigit()])
    )
