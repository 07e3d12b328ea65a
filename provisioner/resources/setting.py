"""One thing about a resource that is wanted in a certain way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from provisioner.aws import Aws

if TYPE_CHECKING:
    from provisioner.resources.base import Live


class Set(Protocol):
    """Bring settings of a resource to what is wanted."""

    def __call__(self, aws: Aws, live: Live, to: Mapping[str, Any], /) -> object:
        """Make the calls.

        Args:
            aws: the AWS client.
            live: the resource as it was found.
            to: the `to` of all settings that differ and have this same `set`.

        """


@dataclass(frozen=True)
class Setting:
    """One thing about a resource that is wanted in a certain way: what is shown, compared and set follows.

    Args:
        name: as a person would say it ("instance type").
        has: what AWS has.
        wanted: what it should be.
        set: how it is set; settings with the same one are set together. None: AWS cannot change it in place.
        to: what `set` is told of this setting; as a rule a parameter of a call.
        note: what the change entails ("stops and starts the host"), or what to do about an immutable one.
        is_wanted: whether it is as wanted, where equality does not tell.

    """

    name: str
    has: object
    wanted: object
    set: Set | None = None
    to: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    is_wanted: bool | None = None

    @property
    def differs(self) -> bool:
        """Tell whether it is not as wanted."""
        return self.has != self.wanted if self.is_wanted is None else not self.is_wanted

    @property
    def is_immutable(self) -> bool:
        """Tell whether AWS cannot change it in place."""
        return self.set is None

    def __str__(self) -> str:
        """Say what it is and what it will be."""
        note = f" ({self.note})" if self.note else ""
        has, wanted = ("none" if value is None else value for value in (self.has, self.wanted))
        return f"{self.name}: {has} -> {wanted}{note}"
