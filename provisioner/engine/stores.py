"""Which store has the data: from the beginning of a move until the old store is removed, there are two."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from provisioner.engine.graph import Graph
from provisioner.engine.leftovers import Leftovers
from provisioner.errors import NotOfferedError, UsageError
from provisioner.resources.base import Live, Resource
from provisioner.resources.move_tags import MOVED_TO_TAG, MOVING_FROM_TAG
from provisioner.resources.state import State

MOVE = "python provision.py move"
_KEY = "database.engine"


@dataclass(frozen=True)
class Stores:
    """The stores of a deployment.

    Args:
        wanted: the one that deployment.yml asks for, as found; None: it is not there.
        others: those that it does not ask for.
        going: ids of those of them that the user has given up by name.

    """

    wanted: Live | None
    others: Mapping[Resource, Live]
    going: Collection[str] = ()

    @property
    def is_receiving(self) -> bool:
        """The wanted one was made for the data of another, and does not have them yet."""
        return bool(self.wanted and self._receives(self.wanted))

    def _receives(self, live: Live) -> bool:
        """Tell whether one was made for the data of another that is there."""
        source = live.tags.get(MOVING_FROM_TAG)
        return any(one.id == source for one in (self.wanted, *self.others.values()) if one)

    @property
    def sources(self) -> list[tuple[Resource, Live]]:
        """Those of the others that have the data, or had them until the move's last step."""
        here = self.wanted.id if self.wanted else ""
        return [
            (resource, live)
            for resource, live in self.others.items()
            if not self._receives(live) and live.tags.get(MOVED_TO_TAG, here) == here
        ]

    def check(self) -> None:
        """Refuse to work with a store that does not have the data.

        Raises:
            NotOfferedError: another has them.

        """
        if self.wanted and (elsewhere := self.wanted.tags.get(MOVED_TO_TAG)):
            text = (
                f"the data were moved from {self.wanted.id} to {elsewhere}: set database.engine to what that "
                "is. To move them back, first have it set so, and remove what is out of date: "
                f"python provision.py --remove {self.wanted.id}"
            )
            raise NotOfferedError([(_KEY, text)])
        for resource, live in self.sources:
            if self.wanted is None and live.id not in self.going:
                text = f"the data are in {resource} ({live.id}). To move them: {MOVE}. Otherwise set it back"
                raise NotOfferedError([(_KEY, text)])
            if self.wanted and self.is_receiving:
                text = (
                    f"a move of the data from {resource} ({live.id}) to {self.wanted.id} has begun. "
                    f"To go on: {MOVE}. To give it up, set database.engine back"
                )
                raise NotOfferedError([(_KEY, text)])

    def source(self) -> tuple[Resource, Live] | None:
        """Give the store whose data are to be moved; None: the wanted one has them.

        Raises:
            UsageError: there are no data, or in two stores.
            NotOfferedError: they were moved away from the wanted one.

        """
        if self.wanted and not self.is_receiving:
            self.check()
            return None
        match self.sources:
            case [one]:
                return one
            case []:
                raise UsageError("There are no data to move.", next_step="Run: python provision.py")
            case several:
                named = " and ".join(f"{resource} ({live.id})" for resource, live in several)
                raise UsageError(
                    f"There are data in {named}, and only those of one store can be moved.",
                    next_step=f"Set database.engine to what serves, and remove the other by its id: "
                    f"python provision.py --remove {several[0][1].id}",
                )


def stores(graph: Graph, state: State, left: Leftovers) -> Stores:
    """Tell which stores there are.

    Args:
        graph: what is wanted.
        state: what was found of it.
        left: what was found that is not wanted.

    """
    wanted = [live for resource in graph if resource.keeps_runs and (live := state.get(resource))]
    others = {one: live for one, live in (left.staying | left.going).items() if one.keeps_runs}
    going = {live.id for live in left.going.values()}
    return Stores(wanted[0] if wanted else None, others, going)
