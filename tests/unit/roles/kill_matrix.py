"""Changes of a host that are killed before, during and after everything that they do, and their recovery too.

It is the same for all engines: a stage is a host in memory, with databases in memory or real ones.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import change as program
import pytest
from fake_host import FakeHost
from fake_world import NAMES, NEW, OLD, PORTS, KilledError, Note, World
from flowstead_host import changes, moving, rehearsal
from flowstead_host.settings import is_imported
from flowstead_host.steps import steps_for

MOMENTS = ("before", "during", "after")
# Before an act is after the one before it: for the second kill that need not be tried twice.
LATER = ("during", "after")
NEVER = (0, "")


class Stage:
    """Where changes are made: with databases in memory."""

    # At which moments of an act a change is killed, and its recovery.
    moments, later = MOMENTS, LATER

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def place(self, world: World) -> World:
        """Have the programs' notes on the disk of a host."""
        for module, name in (
            (changes, "JOURNAL"),
            (moving, "REHEARSAL"),
            (moving, "COPIES"),
            (changes, "REHEARSAL"),
            (rehearsal, "REHEARSAL"),
            (rehearsal, "COPIES"),
        ):
            self.monkeypatch.setattr(module, name, Note(world, name.lower()))
        return world

    def host(self, world: World, fate: tuple[int, str] = NEVER, *, room: bool = True) -> FakeHost:
        """Return a program on the host."""
        return FakeHost(world, fate, room=room)

    def is_tried(self, what: str) -> bool:
        """Tell whether an act is one to be killed at."""
        assert what
        return True

    def is_known(self, left: object) -> bool:
        """Tell whether a recovery from what was left has been killed everywhere already."""
        return left is None


@dataclass(frozen=True)
class Scenario:
    """A change: what serves before it, with which data, and what after it."""

    old: str
    new: str
    data: str
    rows_after: str = "rows"
    room: bool = True
    schemas: dict[str, str] = field(default_factory=lambda: {OLD: "one", NEW: "two"})

    @property
    def before(self) -> World:
        """The host before it."""
        schema = self.schemas.get(self.old, "")
        return self.serving(self.old, schema, "rows" if schema else "", [])

    @property
    def after(self) -> World:
        """The host after it."""
        past = [self.old] if self.old not in ("", self.new) else []
        world = self.serving(self.new, self.schemas[self.new], self.rows_after, past)
        if is_imported(self.data):
            # Who logs in stays as it was.
            world.databases[NAMES[1]] = (self.schemas[self.new], "rows")
        if self.data == moving.MOVE:
            world.elsewhere, world.settings = dict(world.databases), ["new", "new"]
            world.runs_with = {self.new: world.settings}
        return world

    def serving(self, version: str, schema: str, rows: str, past: list[str]) -> World:
        world = World(databases=dict.fromkeys(NAMES, (schema, rows)), schemas=self.schemas)
        if self.data == moving.MOVE:
            world.elsewhere = dict.fromkeys(NAMES, ("", ""))
        if version:
            world.runs_with = {version: ["old", "old"]}
            world.running, world.at_boot = {version}, {version}
            world.serving = {"version": version, "port": PORTS[version], "before": past}
            world.upstream = str(PORTS[version])
        return world

    @property
    def steps(self) -> list[str]:
        """Its steps, as the programs say, and what is done before the first."""
        return ["", *steps_for(self.data, serves=bool(self.old), has_room=self.room), changes.COMMIT]

    def run(self, host: FakeHost) -> None:
        """Make the change, or try to."""
        changes.change(host, {}, self.new, self.data)


SAME = {OLD: "two", NEW: "two"}
SCENARIOS = {
    "same schema": Scenario(OLD, NEW, "", schemas=SAME),
    "same schema, no room": Scenario(OLD, NEW, "", room=False, schemas=SAME),
    "migration": Scenario(OLD, NEW, "migrate"),
    "migration, no room": Scenario(OLD, NEW, "migrate", room=False),
    "first install": Scenario("", NEW, "migrate", rows_after=""),
    "restore": Scenario(OLD, OLD, "night", rows_after="of night"),
    "move": Scenario(OLD, OLD, "move"),
    "move, no room": Scenario(OLD, OLD, "move", room=False),
    "import": Scenario(OLD, OLD, "night-3.16.1-import", rows_after="of night-3.16.1-import"),
    "restore to another release": Scenario(NEW, OLD, "night", rows_after="of night"),
}


def recover(stage: Stage, world: World, fate: tuple[int, str] = NEVER, *, room: bool = True) -> FakeHost:
    """Have the host recover; return the program that did."""
    host = stage.host(world, fate, room=room)
    with suppress(KilledError):
        program.recover(host)
    return host


def look(world: World) -> dict[str, Any]:
    """What a person finds on a host, but for backups in the bucket, and where the gateway sends nobody."""
    idle = () if world.serving["version"] else ("upstream",)
    return {name: value for name, value in world.visible().items() if name not in ("bucket", *idle)}


def killed(scenario: Scenario, stage: Stage, fate: tuple[int, str]) -> World:
    """The host whose change was killed."""
    world = stage.place(scenario.before)
    with pytest.raises(KilledError):
        scenario.run(stage.host(world, fate, room=scenario.room))
    return world


def wanted(scenario: Scenario, world: World) -> World:
    """What a host is to become whose change was killed: what is committed is finished."""
    journal = world.notes.get("journal")
    if journal:
        return scenario.after if journal["step"] == changes.COMMIT else scenario.before
    # It had not begun, or was over: but for settings that were put aside.
    seen = look(world) | {"has_aside": False}
    return next(one for one in (scenario.before, scenario.after) if look(one) == seen)


def acts(scenario: Scenario, stage: Stage) -> list[tuple[str, str]]:
    """What a change does when nobody kills it, each act with its step."""
    world = stage.place(scenario.before)
    host = stage.host(world, room=scenario.room)
    scenario.run(host)
    assert look(world) == look(scenario.after)
    assert world.bucket or not scenario.data or not scenario.old
    return host.acts


def kill_everywhere(name: str, step: str, stage: Stage) -> int:
    """Kill a change at each act of a step, and its recovery at each of its own; return how often."""
    scenario, count = SCENARIOS[name], 0
    mine = [
        number
        for number, (of, what) in enumerate(acts(scenario, stage), start=1)
        if of == step and stage.is_tried(what)
    ]
    for fate in ((number, moment) for number in mine for moment in stage.moments):
        world = killed(scenario, stage, fate)
        left, end = (
            (world.notes.get("journal", {}).get("step"), world.databases),
            look(wanted(scenario, world)),
        )
        recovery = recover(stage, world, room=scenario.room)
        assert look(world) == end, (fate, left)
        count += 1
        if stage.is_known(left):
            continue
        later = [number for number, (_, what) in enumerate(recovery.acts, start=1) if stage.is_tried(what)]
        for second in ((number, moment) for number in later for moment in stage.later):
            world = killed(scenario, stage, fate)
            assert recover(stage, world, second, room=scenario.room).is_dead
            recover(stage, world, room=scenario.room)
            assert look(world) == end, (fate, second)
            count += 1
    return count
