"""What is chosen among AWS's offers: never made, changed or deleted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NoReturn

from provisioner.aws import Aws
from provisioner.resources.base import Live, Resource, Teardown
from provisioner.resources.state import State


@dataclass(frozen=True, eq=False)
class LookedUp(Resource):
    """A choice among AWS's offers."""

    looked_up: ClassVar[bool] = True

    def _refuse(self) -> NoReturn:
        message = f"{self} is AWS's, not ours to make, change or delete"
        raise AssertionError(message)

    def at(self, aws: Aws, id_: str) -> Live | None:
        """Never called."""
        self._refuse()

    def create(self, aws: Aws, state: State) -> Live:
        """Never called."""
        self._refuse()

    def retag(self, aws: Aws, live: Live, tags: Mapping[str, str | None], /) -> None:
        """Never called."""
        self._refuse()

    def delete(self, aws: Aws, live: Live, teardown: Teardown) -> None:
        """Never called."""
        self._refuse()
