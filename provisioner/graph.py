"""The resources of a deployment and what each needs, and the one loop that works through them."""

import graphlib
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from provisioner.aws import Aws
from provisioner.errors import AwsError, DriftError, FlowsteadError, combine
from provisioner.resources.base import Live, Resource, State

if TYPE_CHECKING:
    from provisioner.plan import Change, Plan

Phase = Literal["started", "waiting", "done", "failed", "skipped"]


@dataclass(frozen=True)
class Event:
    """Something happened to a resource; for progress on a terminal.

    Args:
        resource: which one.
        phase: started, waiting (for AWS), done, failed, or skipped (something it needs failed).
        detail: what is done, what is waited for, or the error.
    """

    resource: Resource
    phase: Phase
    detail: str = ""


class Graph:
    """Every resource of a deployment, those that others need first.

    Args:
        resources: at least those that nothing else needs; what they need is taken along.

    Raises:
        ValueError: two resources have the same name.
    """

    def __init__(self, resources: Sequence[Resource]) -> None:
        sorter: graphlib.TopologicalSorter[Resource] = graphlib.TopologicalSorter()
        pending, seen = list(resources), set[Resource]()
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
        """The resource of that logical name."""
        return self._by_name[name]

    def __len__(self) -> int:
        """How many there are."""
        return len(self._resources)
