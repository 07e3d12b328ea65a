"""The one loop that works through a plan."""

import graphlib
import queue
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from provisioner.aws import DEADLINE, Aws
from provisioner.engine import order
from provisioner.engine.plan import Change, Plan
from provisioner.errors import AwsError, DriftError, FlowsteadError, combine
from provisioner.resources.base import Live, Resource, Teardown
from provisioner.resources.refusals import unchangeable
from provisioner.resources.setting import Setting
from provisioner.resources.state import State

_TAKEN_S = 120
"""Seconds in which AWS's descriptions catch up with what it accepted: chosen, as a rule it takes a few."""

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


OnEvent = Callable[[Event], None]


def apply(plan: Plan, aws: Aws, on_event: OnEvent = lambda _: None, *, patient: bool = False) -> State:
    """Do what the plan says, each resource as soon as what it needs is ready.

    What fails holds up only what needs it; everything else is finished.

    Args:
        plan: what to do.
        aws: the AWS client.
        on_event: told of what happens to all that is changed, always from the caller's thread.
        patient: when interrupted, let what has begun come to its end, for a caller that removes it then.

    Returns:
        every resource as it is then; empty of those that were deleted.

    Raises:
        FlowsteadError: something failed; names each resource with AWS's own code and message.

    """
    changes = {change.resource: change for change in plan.changes}

    def work(resource: Resource, tell: OnEvent) -> None:
        change = changes[resource]
        if change.action == "delete":
            tell(Event(resource, "started", "delete"))
            _delete(change, aws, plan.teardown)
            plan.state.drop(resource)
        elif change.action != "none":
            tell(Event(resource, "started", change.action))
            plan.state.put(resource, _settle(change, aws, plan.state, tell))

    def report(event: Event) -> None:
        if changes[event.resource].action != "none":
            on_event(event)

    _run(order.needs(plan), work, report, patient=patient)
    aws.forget()
    return plan.state


def _settle(change: Change, aws: Aws, state: State, tell: OnEvent) -> Live:
    """Make a resource, or take it as found, and set what differs until nothing does."""
    resource = change.resource
    tried = set[tuple[str, str]]()
    try:
        live = _wait(resource, aws, change.live, state, tell)
        while differences := resource.differences(live, state):
            refused = [setting for setting in differences if setting.is_immutable]
            if refused:
                raise unchangeable(resource, live, refused)
            new = [setting for setting in differences if _key(setting) not in tried]
            if new:
                tried |= {_key(setting) for setting in new}
                live = _update(resource, aws, live, state, new)
            else:
                live = _taken(resource, aws, live, state)
            live = _wait(resource, aws, live, state, tell)
    except AwsError as error:
        raise _named(error, f"{resource} could not be made ready") from error
    return live


def _key(setting: Setting) -> tuple[str, str]:
    return setting.name, str(setting.wanted)


def _update(resource: Resource, aws: Aws, live: Live, state: State, new: Sequence[Setting]) -> Live:
    """Set what differs; an error counts if it still does: the call may have been the repeat of a done one."""
    while True:
        try:
            return resource.update(aws, live, new)
        except AwsError:
            live = resource.look(aws, live)
            left = {_key(setting) for setting in resource.differences(live, state)}
            still = [setting for setting in new if _key(setting) in left]
            if len(still) == len(new):
                raise
            new = still


def _taken(resource: Resource, aws: Aws, live: Live, state: State) -> Live:
    """Wait until AWS tells of what it has accepted: its descriptions may lag behind.

    Raises:
        DriftError: it never does.

    """

    def taken() -> Live | None:
        now = resource.look(aws, live)
        return None if resource.differences(now, state) else now

    try:
        return aws.until(taken, what=f"every setting of {resource}", deadline_s=_TAKEN_S)
    except AwsError as error:
        if error.code != DEADLINE:
            raise
        left = "; ".join(map(str, resource.differences(resource.look(aws, live), state)))
        raise DriftError(
            f"{resource} ({live.id}): AWS accepted the change, but still reports the old value: {left}.",
            next_step="Run the same command again in some minutes, or look at it in the AWS console.",
        ) from error


def _wait(resource: Resource, aws: Aws, live: Live | None, state: State, tell: OnEvent) -> Live:
    """Wait until it can be used; make it when there is none, or what was there went meanwhile."""
    while True:
        live = live or resource.create(aws, state)
        if live.ready:
            return live
        tell(Event(resource, "waiting", f"{live.id} is {live.status or 'being made'}"))
        live = resource.wait(aws, live)
        if live:
            return live


def _delete(change: Change, aws: Aws, teardown: Teardown) -> None:
    if change.live is None:
        return
    for live in (*change.live.twins, change.live):
        try:
            change.resource.delete(aws, live, teardown)
        except AwsError as error:
            if _is_there(change.resource, aws, live):
                raise _named(error, f"{change.resource} ({live.id}) could not be deleted") from error


def _is_there(resource: Resource, aws: Aws, live: Live) -> bool:
    """Look again: a call that AWS refuses may be the repeat of one that it has done."""
    return resource.at(aws, live.id) is not None


def _named(error: AwsError, what: str) -> AwsError:
    return AwsError(
        f"{what}. {error.message}", code=error.code, operation=error.operation, next_step=error.next_step
    )


def _run(
    needs: Mapping[Resource, Collection[Resource]],
    work: Callable[[Resource, OnEvent], None],
    on_event: OnEvent,
    *,
    patient: bool,
) -> None:
    """Work on everything, each in a thread of its own as soon as all it needs is done.

    The threads are daemons: an interrupt from the keyboard ends the program; the next run goes on.
    """
    threads: list[threading.Thread] = []
    try:
        _work_through(needs, work, on_event, threads)
    except KeyboardInterrupt:
        for thread in threads if patient else ():
            thread.join()
        raise


def _work_through(
    needs: Mapping[Resource, Collection[Resource]],
    work: Callable[[Resource, OnEvent], None],
    on_event: OnEvent,
    threads: list[threading.Thread],
) -> None:
    sorter = graphlib.TopologicalSorter(needs)
    sorter.prepare()
    inbox: queue.SimpleQueue[Event | tuple[Resource, BaseException | None]] = queue.SimpleQueue()
    failures: dict[Resource, BaseException] = {}
    lost: set[Resource] = set()
    running = 0

    def body(resource: Resource) -> None:
        try:
            work(resource, inbox.put)
        except BaseException as error:  # noqa: BLE001 - carried to the caller's thread and raised there
            inbox.put((resource, error))
        else:
            inbox.put((resource, None))

    while sorter.is_active():
        for resource in sorter.get_ready():
            if lost.intersection(needs[resource]):
                lost.add(resource)
                on_event(Event(resource, "skipped", "something that it needs failed"))
                sorter.done(resource)
            else:
                running += 1
                thread = threading.Thread(target=body, args=(resource,), name=resource.name, daemon=True)
                threads.append(thread)
                thread.start()
        if not running:
            continue
        message = inbox.get()
        if isinstance(message, Event):
            on_event(message)
            continue
        resource, error = message
        running -= 1
        if error is not None:
            failures[resource] = error
            lost.add(resource)
        on_event(Event(resource, "failed" if error else "done", str(error or "")))
        sorter.done(resource)
    _raise(list(failures.values()))


def _raise(failures: Sequence[BaseException]) -> None:
    """Raise what failed; an error that is not ours is a defect, and is raised as it is."""
    known: list[FlowsteadError] = []
    for failure in failures:
        if not isinstance(failure, FlowsteadError):
            raise failure
        known.append(failure)
    if known:
        raise combine(known)
