"""A host in memory: what is still there when a program has been killed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fake_host import FakeHost

OLD, NEW = "3.16.1", "3.17.2"
PORTS = {OLD: 5001, NEW: 5002}
# The schema that each release can serve, unless a host says otherwise.
SCHEMAS = {OLD: "one", NEW: "two"}
NAMES = ("mlflow", "mlflow_auth")


class KilledError(BaseException):
    """The program is no more."""


@dataclass
class World:
    """All that is still there when a program has been killed."""

    # What is in each database: its schema and its rows.
    databases: dict[str, tuple[str, str]] = field(default_factory=dict)
    # And in those of another store, if the data are to be moved there.
    elsewhere: dict[str, tuple[str, str]] = field(default_factory=dict)
    # Which of the two the server's settings name, file by file, and with which of them each release runs.
    settings: list[str] = field(default_factory=lambda: ["old", "old"])
    runs_with: dict[str, list[str]] = field(default_factory=dict)
    has_aside: bool = False
    # What users made there, by table.
    logged: dict[str, int] = field(default_factory=dict)
    copies: str = ""
    on_copies: str = ""
    running: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)
    at_boot: set[str] = field(default_factory=set)
    serving: dict[str, Any] = field(default_factory=lambda: {"version": "", "port": 0, "before": []})
    upstream: str = ""
    is_held: bool = False
    has_password: bool = False
    spool: set[str] = field(default_factory=set)
    bucket: set[str] = field(default_factory=set)
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    clock: float = 0.0
    schemas: dict[str, str] = field(default_factory=SCHEMAS.copy)

    def __post_init__(self) -> None:
        self.process: FakeHost | None = None

    @property
    def served(self) -> dict[str, tuple[str, str]]:
        """The databases of the store that the settings name."""
        return {"old": self.databases, "new": self.elsewhere}["/".join(dict.fromkeys(self.settings))]

    def visible(self) -> dict[str, Any]:
        """What a person finds, without what is only a record of the past."""
        found = {name: value for name, value in vars(self).items() if name not in ("process", "clock")}
        found["notes"] = {name: one for name, one in self.notes.items() if name != "rehearsal"}
        return found


class Note:
    """A note that is on the host's disk; a program that is dead writes none."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name

    def write(self, record: Mapping[str, Any]) -> None:
        written = dict(record)
        self.host.act(f"note {self.name}", lambda: self.world.notes.update({self.name: written}))

    def read(self) -> dict[str, Any] | None:
        return copy.deepcopy(self.world.notes.get(self.name))

    def remove(self) -> None:
        self.host.act(f"strike {self.name}", lambda: self.world.notes.pop(self.name, None))

    @property
    def host(self) -> FakeHost:
        assert self.world.process
        return self.world.process
