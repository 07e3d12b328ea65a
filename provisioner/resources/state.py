"""What is known of the resources of a deployment."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provisioner.resources.base import Live, Resource


class State:
    """What is known of each resource; filled by the plan, kept current by apply, read by several threads."""

    def __init__(self, lives: Mapping[Resource, Live] = MappingProxyType({})) -> None:
        self._lives = dict(lives)
        self._lock = threading.Lock()

    def get(self, resource: Resource) -> Live | None:
        """Tell what is there, None when it is still to be made."""
        with self._lock:
            return self._lives.get(resource)

    def __getitem__(self, resource: Resource) -> Live:
        """Tell what is there.

        Raises:
            KeyError: it is still to be made.

        """
        with self._lock:
            return self._lives[resource]

    def __contains__(self, resource: Resource) -> bool:
        """Tell whether it is there."""
        return self.get(resource) is not None

    def lives(self) -> dict[Resource, Live]:
        """Give all that is there."""
        with self._lock:
            return dict(self._lives)

    def put(self, resource: Resource, live: Live) -> None:
        """Remember how it is now."""
        with self._lock:
            self._lives[resource] = live

    def drop(self, resource: Resource) -> None:
        """Forget it: it is gone."""
        with self._lock:
            self._lives.pop(resource, None)

    def id(self, resource: Resource) -> str:
        """Give its id, or words that stand for it while it is still to be made."""
        live = self.get(resource)
        return live.id if live else f"(new {resource})"

    def arn(self, resource: Resource) -> str:
        """Give its ARN, or words that stand for it while it is still to be made."""
        live = self.get(resource)
        return live.arn if live else f"(new {resource})"
