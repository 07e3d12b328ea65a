"""The resources of a deployment and what each needs."""

import graphlib
from collections.abc import Iterator, Sequence

from provisioner.resources.base import Owner, Resource


class Graph:
    """Every resource of a deployment, those that others need first.

    Args:
        resources: at least those that nothing else needs; what they need is taken along.

    Raises:
        ValueError: two resources have the same name.

    """

    def __init__(self, resources: Sequence[Resource]) -> None:
        sorter: graphlib.TopologicalSorter[Resource] = graphlib.TopologicalSorter()
        pending, seen = list(reversed(resources)), set[Resource]()
        while pending:
            resource = pending.pop()
            if resource not in seen:
                seen.add(resource)
                sorter.add(resource, *resource.needs)
                pending.extend(resource.needs)
        self._resources = tuple(sorter.static_order())
        self._by_name = {resource.name: resource for resource in self._resources}
        if len(self._by_name) != len(self._resources):
            message = "two resources of one deployment have the same name"
            raise ValueError(message)

    def __iter__(self) -> Iterator[Resource]:
        """Every resource after those that it needs."""
        return iter(self._resources)

    def __getitem__(self, name: str) -> Resource:
        """Look a resource up by its logical name."""
        return self._by_name[name]

    @property
    def owner(self) -> Owner:
        """Whose they all are."""
        return self._resources[0].owner

    @property
    def deployment(self) -> str:
        """The name of the deployment, which all of them have."""
        return self.owner.deployment

    def __len__(self) -> int:
        """How many there are."""
        return len(self._resources)
