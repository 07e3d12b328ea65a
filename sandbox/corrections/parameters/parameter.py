"""A parameter, and what RDS makes of an engine's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Parameter:
    """What RDS knows of a parameter.

    ``allowed`` is ``least most`` of a number, choices joined by commas, or empty. ``default`` is RDS's own
    value; without one, the engine's is in force and RDS shows none. ``is_fixed`` says that nobody may set it.
    """

    name: str
    apply_type: str
    data_type: str
    allowed: str
    default: str | None = None
    is_fixed: bool = False

    def allows(self, value: str) -> bool:
        """Say whether a value may be set.

        Args:
            value: the value.

        Returns:
            Whether it can.
        """
        if not self.allowed:
            return True
        if self.data_type not in {"integer", "float"}:
            return value in self.allowed.split(",")
        least, most = self.allowed.split(" ")
        try:
            return float(least) <= float(value) <= float(most)
        except ValueError:
            return False


@dataclass(frozen=True)
class OfEngine:
    """What RDS makes of an engine's parameters.

    ``own`` are RDS's and those to which it gives another default; ``fixed`` names what nobody may set.
    """

    own: tuple[Parameter, ...]
    fixed: frozenset[str]
