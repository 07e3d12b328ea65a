"""The availability zones to build in: those that offer all that a deployment is made of."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from provisioner.aws import Aws
from provisioner.errors import NotOfferedError
from provisioner.resources.base import RESOURCE_TAG, Live
from provisioner.resources.ec2.kind import Description, tagged
from provisioner.resources.looked_up import LookedUp
from provisioner.resources.state import State
from provisioner.resources.tags import as_tags

SUBNETS = Description(
    "describe_subnets", "Subnets", "SubnetId", "SubnetIds", "subnet", "InvalidSubnetID.NotFound"
)

_SHOWN = 12
"""How many sizes a message names at most."""


@dataclass(frozen=True)
class Offer(ABC):
    """Something that AWS offers in some zones and not in others.

    Args:
        section: where deployment.yml asks for it ("server").

    """

    section: str

    @property
    @abstractmethod
    def key(self) -> str:
        """The dotted key in deployment.yml that decides where it is offered."""

    @abstractmethod
    def __str__(self) -> str:
        """Say what it is ("t3.small")."""

    @abstractmethod
    def is_built(self, aws: Aws, deployment: str) -> bool:
        """Tell whether the deployment has it already as it is wanted."""

    @abstractmethod
    def zones(self, aws: Aws) -> set[str]:
        """Ask where it is offered.

        Raises:
            NotOfferedError: nowhere in the region.

        """


@dataclass(frozen=True, eq=False)
class Zones(LookedUp):
    """As many zones as there are groups of subnets; those of subnets that are there already stay.

    Args:
        subnets: logical names of the subnets that share a zone, a group for each zone.
        offers: what all the zones must offer.

    """

    kind: ClassVar[str] = "zones"

    subnets: tuple[tuple[str, ...], ...]
    offers: tuple[Offer, ...]

    def pick(self, state: State, index: int) -> str:
        """Name one of the zones.

        Args:
            state: what is known.
            index: the group of subnets, from 0.

        """
        live = state.get(self)
        return str(live.facts["zones"][index]) if live else "(no zone)"

    def find(self, aws: Aws) -> Live:
        """Choose the zones; asks AWS what it offers only if something must be made or changed.

        Raises:
            NotOfferedError: something is not offered in enough zones.

        """
        taken = self._taken(aws)
        if None in taken or not all(one.is_built(aws, self.owner.deployment) for one in self.offers):
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

    def _offered(self, aws: Aws, taken: Sequence[str]) -> set[str]:
        """Ask where all are offered; everything that is wrong is reported together."""
        where: dict[Offer, set[str]] = {}
        mistakes: list[tuple[str, str]] = []
        for offer in self.offers:
            try:
                where[offer] = offer.zones(aws)
            except NotOfferedError as error:
                mistakes += error.mistakes
        all_of_them = set.intersection(*where.values()) if where else set()
        key, names = self.offers[0].key, " and ".join(map(str, self.offers))
        if not mistakes and len(all_of_them) < len(self.subnets):
            each = ", ".join(f"{offer} in {_listed(zones)}" for offer, zones in where.items())
            text = f"{len(self.subnets)} zones that offer {names} are needed, and AWS has {each}"
            mistakes.append((key, f"{text}; choose other sizes or another region"))
        elif not mistakes and not all_of_them.issuperset(taken):
            text = f"{names}: offered in {_listed(all_of_them)} only"
            mistakes.append((key, f"{text}, but this deployment is in {_listed(set(taken))}"))
        if mistakes:
            raise NotOfferedError(mistakes)
        return all_of_them


def instead(wanted: str, offered: set[str]) -> str:
    """Name what is offered of the same family or size, failing that whatever is; small ones first."""
    family, _, size = wanted.rpartition(".")
    near = {one for one in offered if one.startswith(f"{family}.") or one.endswith(f".{size}")}
    names = sorted(near or offered, key=lambda one: ("xlarge" in one or "metal" in one, one))
    more = " and others" if len(names) > _SHOWN else ""
    return f"; offered there: {', '.join(names[:_SHOWN])}{more}" if names else ""


def _listed(zones: set[str]) -> str:
    return ", ".join(sorted(zones)) or "no zone"
