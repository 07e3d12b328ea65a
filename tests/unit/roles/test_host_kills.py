"""Each change of a host, killed before, during and after everything that it does, and its recovery too.

Whatever happens, in the end all is as it was or all is as it was to be: clients are let in, the data are
whole, and nothing is left over. The steps are the programs' own: one more is covered by itself.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from fake_host import FakeHost
from fake_world import NEW, OLD, KilledError, World
from flowstead_host import changes, moving, rehearsal
from flowstead_host.errors import ChangeError, RefusedError
from flowstead_host.step import Step
from flowstead_host.steps import KINDS
from kill_matrix import (
    LATER,
    MOMENTS,
    NEVER,
    SCENARIOS,
    Scenario,
    Stage,
    acts,
    kill_everywhere,
    look,
    recover,
)

EACH_STEP = [(name, step) for name, scenario in SCENARIOS.items() for step in scenario.steps]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A host with databases in memory."""
    return Stage(monkeypatch)


@pytest.mark.parametrize(("name", "step"), EACH_STEP)
def test_killed_anywhere_a_change_is_undone_or_finished(stage: Stage, name: str, step: str) -> None:
    assert kill_everywhere(name, step, stage)


@pytest.mark.parametrize(("name", "step"), [one for one in EACH_STEP if one[1] not in ("", changes.COMMIT)])
def test_what_fails_before_the_commit_is_undone(stage: Stage, name: str, step: str) -> None:
    scenario = SCENARIOS[name]
    for number, (of, what) in enumerate(acts(scenario, stage), start=1):
        if of != step:
            continue
        world = stage.place(scenario.before)
        end = scenario.before
        try:
            scenario.run(FakeHost(world, (number, "fails"), room=scenario.room))
        except ChangeError as error:
            assert f"{what} fails" in str(error)  # noqa: PT017 - not everything that fails ends a change
        else:
            end = scenario.after
            assert what == "gateway announce"
        # As whoever comes next does first.
        recover(stage, world)
        assert look(world) == look(end), what


UNDONE = [kind for kind in KINDS.values() if "undo" in vars(kind)]


@pytest.mark.parametrize("kind", UNDONE, ids=[kind.name for kind in UNDONE])
def test_a_step_that_is_not_taken_back_would_be_noticed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, kind: type[Step]
) -> None:
    monkeypatch.setattr(kind, "undo", lambda _self: None)
    monkeypatch.setattr(changes, "UNDO_DEADLINE_S", 0)

    def is_noticed(name: str, step: str) -> bool:
        try:
            kill_everywhere(name, step, stage)
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
    """Rehearse a migration, or a move where there is a store to move to."""
    host = FakeHost(world, fate)
    with suppress(KilledError):
        if world.elsewhere:
            moving.rehearse(host, {}, OLD)
        else:
            rehearsal.rehearse(host, {}, NEW, "full")
    return host


@pytest.mark.parametrize("name", ["migration", "move"])
def test_killed_anywhere_a_rehearsal_leaves_nothing(stage: Stage, name: str) -> None:
    scenario = SCENARIOS[name]
    world = stage.place(scenario.before)
    count = len(rehearse(world).acts)
    assert "rehearsal" in world.notes
    assert look(world) == look(scenario.before)
    for fate in ((number + 1, moment) for number in range(count) for moment in MOMENTS):
        world = stage.place(scenario.before)
        assert rehearse(world, fate).is_dead
        left = world.visible()
        recovery = recover(stage, world)
        assert look(world) == look(scenario.before), (fate, left)
        for second in ((number + 1, moment) for number in range(len(recovery.acts)) for moment in LATER):
            world = stage.place(scenario.before)
            rehearse(world, fate)
            assert recover(stage, world, second).is_dead
            recover(stage, world)
            assert look(world) == look(scenario.before), (fate, second)


def test_clients_wait_while_the_data_change_and_at_no_other_time(stage: Stage) -> None:
    def held_steps(scenario: Scenario) -> set[str]:
        world, found = stage.place(scenario.before), set()

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
    assert "make the tables" not in held_steps(SCENARIOS["move"])
    assert {"copy the data", "switch the store"} <= held_steps(SCENARIOS["move"])


def test_a_copy_that_would_fill_the_database_servers_disk_is_refused(stage: Stage) -> None:
    scenario = SCENARIOS["migration"]
    world = stage.place(scenario.before)

    class Large(FakeHost):
        def data_check(self) -> dict[str, Any]:
            return {"database_mib": 10_000}

    for gib in (20, 24):
        with pytest.raises(RefusedError, match=f"10000 MiB, .* {gib} GiB.* database.storage_gib"):
            changes.change(Large(world), {}, NEW, "migrate", database_gib=gib)
    assert look(world) == look(scenario.before)
    changes.change(Large(world), {}, NEW, "migrate", database_gib=25)
    assert look(world) == look(scenario.after)


def test_clients_are_told_that_a_change_that_is_undone_takes_longer(stage: Stage) -> None:
    scenario = SCENARIOS["migration"]
    number = acts(scenario, stage).index(("use it as a client", "use as a client")) + 1
    announced: list[float] = []

    class Listening(FakeHost):
        def gateway(self, *words: str) -> None:
            super().gateway(*words)
            if words[0] == "announce":
                announced.append(float(words[1]))

    with pytest.raises(ChangeError, match="use as a client fails"):
        scenario.run(Listening(stage.place(scenario.before), (number, "fails")))
    assert announced[1:] == [announced[0] + changes.UNDO_S]


def test_a_backup_is_named_only_when_it_is_in_the_bucket(stage: Stage) -> None:
    scenario = SCENARIOS["migration"]
    number = acts(scenario, stage).index(("use it as a client", "use as a client")) + 1
    for fate, is_kept in (((number, "fails"), False), (NEVER, True)):
        world = stage.place(scenario.before)
        report: dict[str, Any] = {}
        with suppress(ChangeError):
            changes.change(FakeHost(world, fate), report, NEW, "migrate")
        assert ("backup" in report) == is_kept
        assert bool(world.bucket) == is_kept
        assert world.spool == set()
