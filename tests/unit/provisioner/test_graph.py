"""Work goes on side by side, in the order that things need each other."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from provisioner.aws import Aws
from provisioner.engine import plan, tagged
from provisioner.engine.apply import Event, apply
from provisioner.engine.graph import Graph
from provisioner.errors import FlowsteadError
from provisioner.resources.base import Live, Owner, Resource, Teardown
from provisioner.resources.state import State
from tests.unit.provisioner.moto_account import REGION, Clock

OWNER = Owner("test")


@dataclass(frozen=True, eq=False)
class Thing(Resource):
    """Something that can be made without AWS."""

    kind: ClassVar[str] = "thing"

    pieces: tuple["Thing", ...] = ()
    log: list[str] = field(default_factory=list)
    barrier: threading.Barrier | None = None
    error: BaseException | None = None
    there: bool = False

    def find(self, aws: Aws) -> Live | None:
        del aws
        return Live(self.name, tags=self.tags) if self.there else None

    def at(self, aws: Aws, id_: str) -> Live | None:
        del id_
        return self.find(aws)

    def create(self, aws: Aws, state: State) -> Live:
        del aws
        assert all(part in state for part in self.pieces)
        if self.barrier:
            self.barrier.wait(timeout=10)
        if self.error:
            raise self.error
        self.log.append(self.name)
        return Live(self.name, tags=self.tags)

    def look(self, aws: Aws, live: Live) -> Live:
        del aws
        return live

    def retag(self, aws: Aws, live: Live, tags: Mapping[str, str], /) -> None:
        del aws, live, tags

    def delete(self, aws: Aws, live: Live, teardown: Teardown) -> None:
        del aws, live, teardown
        self.log.append(f"-{self.name}")


@pytest.fixture(autouse=True)
def _nothing_tagged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask nobody what else carries the tag: there is no AWS here."""
    monkeypatch.setattr(plan, "_LISTINGS", ())
    monkeypatch.setattr(tagged, "find_iam", lambda *_: [])


def run(*resources: Thing) -> list[Event]:
    aws, events = Aws(REGION, clock=Clock()), list[Event]()
    apply(plan.make(Graph(resources), aws), aws, events.append)
    return events


def test_what_is_needed_comes_first() -> None:
    log: list[str] = []
    foot = Thing("foot", OWNER, log=log)
    leg = Thing("leg", OWNER, pieces=(foot,), log=log)
    run(Thing("body", OWNER, pieces=(leg, foot), log=log))
    assert log == ["foot", "leg", "body"]


def test_what_does_not_need_each_other_runs_at_the_same_time() -> None:
    barrier = threading.Barrier(3)
    run(*(Thing(name, OWNER, barrier=barrier) for name in ("a", "b", "c")))


def test_nothing_is_made_on_what_failed() -> None:
    log: list[str] = []
    bad = Thing("bad", OWNER, error=FlowsteadError("it broke."))
    above = Thing("above", OWNER, pieces=(bad,), log=log)
    beside = Thing("beside", OWNER, log=log)
    with pytest.raises(FlowsteadError, match=r"it broke\."):
        run(above, beside)
    assert log == ["beside"]


def test_events_tell_what_happened_to_each() -> None:
    bad = Thing("bad", OWNER, error=FlowsteadError("it broke."))
    events: list[Event] = []
    aws = Aws(REGION, clock=Clock())
    planned = plan.make(Graph([Thing("above", OWNER, pieces=(bad,)), Thing("beside", OWNER)]), aws)
    with pytest.raises(FlowsteadError):
        apply(planned, aws, events.append)
    last = {event.resource.name: event.phase for event in events}
    assert last == {"bad": "failed", "above": "skipped", "beside": "done"}


@pytest.mark.parametrize("error", [ZeroDivisionError(), SystemExit()], ids=["error", "exit"])
def test_an_error_of_ours_is_not_dressed_up_as_one_of_aws(error: BaseException) -> None:
    with pytest.raises(type(error)):
        run(Thing("bad", OWNER, error=error))


def test_destroy_goes_the_other_way_even_when_something_between_is_missing() -> None:
    log: list[str] = []
    foot = Thing("foot", OWNER, log=log, there=True)
    leg = Thing("leg", OWNER, pieces=(foot,), log=log)
    body = Thing("body", OWNER, pieces=(leg,), log=log, there=True)
    aws = Aws(REGION, clock=Clock())
    apply(plan.destroy(Graph([body]), aws), aws)
    assert log == ["-body", "-foot"]


def test_two_resources_cannot_share_a_name() -> None:
    with pytest.raises(ValueError, match="same name"):
        Graph([Thing("a", OWNER), Thing("a", OWNER)])
