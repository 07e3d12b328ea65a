"""Each change of a host, killed before, during and after everything that it does, and its recovery too.

Whatever happens, in the end all is as it was or all is as it was to be: clients are let in, the data are
whole, and nothing is left over. The steps are the programs' own: one more is covered by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import change as program
import pytest
from fake_host import FakeHost
from fake_world import NAMES, NEW, OLD, PORTS, KilledError, Note, World
from flowstead_host import changes, rehearsal
from flowstead_host.errors import ChangeError, RefusedError
from flowstead_host.steps import KINDS, Step, steps_for

MOMENTS = ("before", "during", "after")
# Before an act is after the one before it: for the second kill that need not be tried twice.
LATER = ("during", "after")
NEVER = (0, "")


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
        return self.serving(self.new, self.schemas[self.new], self.rows_after, past)

    def serving(self, version: str, schema: str, rows: str, past: list[str]) -> World:
        world = World(databases=dict.fromkeys(NAMES, (schema, rows)), schemas=self.schemas)
        if version:
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
    "restore to another release": Scenario(NEW, OLD, "night", rows_after="of night"),
}
EACH_STEP = [(name, step) for name, scenario in SCENARIOS.items() for step in scenario.steps]

Place = Callable[[World], World]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Place:
    """Have the programs' notes on the disk of a host."""

    def put(world: World) -> World:
        for module, name in (
            (changes, "JOURNAL"),
            (changes, "REHEARSAL"),
            (rehearsal, "REHEARSAL"),
            (rehearsal, "COPIES"),
        ):
            monkeypatch.setattr(module, name, Note(world, name.lower()))
        return world

    return put


def recover(world: World, fate: tuple[int, str] = NEVER, *, room: bool = True) -> FakeHost:
    """Have the host recover; return the program that did."""
    host = FakeHost(world, fate, room=room)
    with suppress(KilledError):
        program.recover(host)
    return host


def look(world: World) -> dict[str, Any]:
    """What a person finds on a host, but for backups in the bucket, and where the gateway sends nobody."""
    idle = () if world.serving["version"] else ("upstream",)
    return {name: value for name, value in world.visible().items() if name not in ("bucket", *idle)}


def killed(scenario: Scenario, place: Place, fate: tuple[int, str]) -> World:
    """The host whose change was killed."""
    world = place(scenario.before)
    with pytest.raises(KilledError):
        scenario.run(FakeHost(world, fate, room=scenario.room))
    return world


def wanted(scenario: Scenario, world: World) -> World:
    """What a host is to become whose change was killed: what is committed is finished."""
    journal = world.notes.get("journal")
    if journal:
        return scenario.after if journal["step"] == changes.COMMIT else scenario.before
    # It had not begun, or was over.
    return next(one for one in (scenario.before, scenario.after) if look(one) == look(world))


def acts(scenario: Scenario, place: Place) -> list[tuple[str, str]]:
    """What a change does when nobody kills it, each act with its step."""
    world = place(scenario.before)
    host = FakeHost(world, room=scenario.room)
    scenario.run(host)
    assert look(world) == look(scenario.after)
    assert world.bucket or not scenario.data or not scenario.old
    return host.acts


def kill_everywhere(name: str, step: str, place: Place) -> None:
    """Kill a change at each act of a step, and its recovery at each of its own."""
    scenario = SCENARIOS[name]
    mine = [number for number, (of, _) in enumerate(acts(scenario, place), start=1) if of == step]
    assert mine
    for fate in ((number, moment) for number in mine for moment in MOMENTS):
        world = killed(scenario, place, fate)
        end = look(wanted(scenario, world))
        recovery = recover(world, room=scenario.room)
        assert look(world) == end, fate
        for second in ((number + 1, moment) for number in range(len(recovery.acts)) for moment in LATER):
            world = killed(scenario, place, fate)
            assert recover(world, second, room=scenario.room).is_dead
            recover(world, room=scenario.room)
            assert look(world) == end, (fate, second)


@pytest.mark.parametrize(("name", "step"), EACH_STEP)
def test_killed_anywhere_a_change_is_undone_or_finished(place: Place, name: str, step: str) -> None:
    kill_everywhere(name, step, place)


@pytest.mark.parametrize(("name", "step"), [one for one in EACH_STEP if one[1] not in ("", changes.COMMIT)])
def test_what_fails_before_the_commit_is_undone(place: Place, name: str, step: str) -> None:
    scenario = SCENARIOS[name]
    for number, (of, what) in enumerate(acts(scenario, place), start=1):
        if of != step:
            continue
        world = place(scenario.before)
        end = scenario.before
        try:
            scenario.run(FakeHost(world, (number, "fails"), room=scenario.room))
        except ChangeError as error:
            assert f"{what} fails" in str(error)  # noqa: PT017 - not everything that fails ends a change
        else:
            end = scenario.after
            assert what == "gateway announce"
        # As whoever comes next does first.
        recover(world)
        assert look(world) == look(end), what


UNDONE = [kind for kind in KINDS.values() if "undo" in vars(kind)]


@pytest.mark.parametrize("kind", UNDONE, ids=[kind.name for kind in UNDONE])
def test_a_step_that_is_not_taken_back_would_be_noticed(
    place: Place, monkeypatch: pytest.MonkeyPatch, kind: type[Step]
) -> None:
    monkeypatch.setattr(kind, "undo", lambda _self: None)
    monkeypatch.setattr(changes, "UNDO_DEADLINE_S", 0)

    def is_noticed(name: str, step: str) -> bool:
        try:
            kill_everywhere(name, step, place)
        except (AssertionError, ChangeError, LookupError, StopIteration):
            return True
        return False

    later = [
        (name, step)
        for name, scenario in SCENARIOS.items()
        if kind.name in scenario.steps
        for step in scenario.steps[scenario.steps.index(kind.name) :]
    ]
    assert any(is_noticed(*one) for one in later)


def rehearse(world: World, fate: tuple[int, str] = NEVER) -> FakeHost:
    """Rehearse a migration."""
    host = FakeHost(world, fate)
    with suppress(KilledError):
        rehearsal.rehearse(host, {}, NEW, "full")
    return host


def test_killed_anywhere_a_rehearsal_leaves_nothing(place: Place) -> None:
    scenario = SCENARIOS["migration"]
    world = place(scenario.before)
    count = len(rehearse(world).acts)
    assert look(world) == look(scenario.before)
    for fate in ((number + 1, moment) for number in range(count) for moment in MOMENTS):
        world = place(scenario.before)
        assert rehearse(world, fate).is_dead
        left = world.visible()
        recovery = recover(world)
        assert look(world) == look(scenario.before), (fate, left)
        for second in ((number + 1, moment) for number in range(len(recovery.acts)) for moment in LATER):
            world = place(scenario.before)
            rehearse(world, fate)
            assert recover(world, second).is_dead
            recover(world)
            assert look(world) == look(scenario.before), (fate, second)


def test_clients_wait_while_the_data_change_and_at_no_other_time(place: Place) -> None:
    def held_steps(scenario: Scenario) -> set[str]:
        world, found = place(scenario.before), set()

        class Watching(FakeHost):
            def act(self, name: str, *rest: Any) -> None:
                super().act(name, *rest)
                if world.is_held:
                    found.add(world.notes["journal"]["step"])

        scenario.run(Watching(world, room=scenario.room))
        return found

    assert held_steps(SCENARIOS["same schema"]) == set()
    assert held_steps(SCENARIOS["first install"]) == set()
    assert "get ready" not in held_steps(SCENARIOS["migration"])
    assert "change the data" in held_steps(SCENARIOS["migration"])
    assert "restore the backup" not in held_steps(SCENARIOS["restore"])
    assert "switch the data" in held_steps(SCENARIOS["restore"])


def test_a_copy_that_would_fill_the_database_servers_disk_is_refused(place: Place) -> None:
    scenario = SCENARIOS["migration"]
    world = place(scenario.before)

    class Large(FakeHost):
        def data_check(self) -> dict[str, Any]:
            return {"database_mib": 10_000}

    for gib in (20, 24):
        with pytest.raises(RefusedError, match=f"10000 MiB, .* {gib} GiB.* database.storage_gib"):
            changes.change(Large(world), {}, NEW, "migrate", database_gib=gib)
    assert look(world) == look(scenario.before)
    changes.change(Large(world), {}, NEW, "migrate", database_gib=25)
    assert look(world) == look(scenario.after)


def test_clients_are_told_that_a_change_that_is_undone_takes_longer(place: Place) -> None:
    scenario = SCENARIOS["migration"]
    number = acts(scenario, place).index(("use it as a client", "use as a client")) + 1
    announced: list[float] = []

    class Listening(FakeHost):
        def gateway(self, *words: str) -> None:
            super().gateway(*words)
            if words[0] == "announce":
                announced.append(float(words[1]))

    with pytest.raises(ChangeError, match="use as a client fails"):
        scenario.run(Listening(place(scenario.before), (number, "fails")))
    assert announced[1:] == [announced[0] + changes.UNDO_S]


def test_a_backup_is_named_only_when_it_is_in_the_bucket(place: Place) -> None:
    scenario = SCENARIOS["migration"]
    number = acts(scenario, place).index(("use it as a client", "use as a client")) + 1
    for fate, is_kept in (((number, "fails"), False), (NEVER, True)):
        world = place(scenario.before)
        report: dict[str, Any] = {}
        with suppress(ChangeError):
            changes.change(FakeHost(world, fate), report, NEW, "migrate")
        assert ("backup" in report) == is_kept
        assert bool(world.bucket) == is_kept
        assert world.spool == set()
