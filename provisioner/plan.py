"""What would be done: found and compared with reading calls only."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from provisioner.aws import Aws
from provisioner.aws_errors import CREDENTIAL_CODES
from provisioner.errors import AwsError, FlowsteadError, NotOfferedError, combine
from provisioner.graph import Graph
from provisioner.resources.base import Live, Parting, Resource, Setting, State, unchangeable

Action = Literal["create", "update", "wait", "none", "delete"]

_THREADS = 12
"""Finds that run at a time: as many as there are questions to AWS that do not depend on each other."""


@dataclass(frozen=True)
class Change:
    """What is to be done about one resource.

    Args:
        resource: which one.
        action: create, update, delete; wait when it is still being made (by an earlier run); none.
        live: as it was found; None when it is to be made.
        differences: what is not as wanted, with old and new.

    """

    resource: Resource
    action: Action
    live: Live | None = None
    differences: tuple[Setting, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What is to be done, in an order that could be followed.

    Args:
        graph: the deployment's resources.
        changes: one for each resource that is ours to make, those that need nothing first (deletions: last).
        state: what was found.
        notices: what the user may want to know although nothing is to be done about it.
        kept: what a destroy leaves in the account, each with its id or name.
        parting: how a destroy goes about data.

    """

    graph: Graph
    changes: tuple[Change, ...]
    state: State
    notices: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    parting: Parting = field(default_factory=Parting)

    @property
    def is_empty(self) -> bool:
        """Nothing is to be done."""
        return all(change.action == "none" for change in self.changes)


def make(graph: Graph, aws: Aws) -> Plan:
    """Find every resource and compare it with what is wanted; concurrent, reading calls only.

    Args:
        graph: what is wanted.
        aws: the door to AWS.

    Raises:
        DriftError: something cannot be set right in place, or is there twice; names all such cases.
        NotOfferedError: AWS does not offer here what deployment.yml asks for.
        AwsError: AWS could not be asked.

    """
    state = _find(graph, aws)
    changes, refused = [], list[FlowsteadError]()
    for resource in graph:
        if resource.looked_up:
            continue
        change = _compare(resource, state)
        changes.append(change)
        immutable = tuple(setting for setting in change.differences if setting.is_immutable)
        if immutable and change.live:
            refused.append(unchangeable(resource, change.live, immutable))
    if refused:
        raise combine(refused)
    notices = [
        notice
        for resource in graph
        if (live := state.get(resource))
        for notice in resource.notices(live, state)
    ]
    return Plan(graph=graph, changes=tuple(changes), state=state, notices=tuple(notices))


def _compare(resource: Resource, state: State) -> Change:
    live = state.get(resource)
    if live is None:
        return Change(resource, "create")
    differences = resource.differences(live, state)
    if differences:
        return Change(resource, "update", live, differences)
    return Change(resource, "none" if live.ready else "wait", live)


def destroy(graph: Graph, aws: Aws, *, keep_data: bool = True, final_snapshot: bool = True) -> Plan:
    """Plan the removal of everything that carries the deployment's tags; works on a half-made one too.

    Args:
        graph: the deployment.
        aws: the door to AWS.
        keep_data: leave the artifact bucket as it is.
        final_snapshot: take a last snapshot of the database.

    Raises:
        DriftError: something is there twice.
        AwsError: AWS could not be asked.

    """
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    parting = Parting(keep_data=keep_data, final_snapshot=final_snapshot, stamp=stamp)
    state = _find([resource for resource in graph if not resource.looked_up], aws)
    found = [(resource, live) for resource in reversed(list(graph)) if (live := state.get(resource))]
    changes = [
        Change(resource, "delete", live) for resource, live in found if not resource.is_spared(live, parting)
    ]
    kept = [text for resource, live in found if (text := resource.remains(live, parting))]
    return Plan(graph=graph, changes=tuple(changes), state=state, kept=tuple(kept), parting=parting)


def _find(resources: Iterable[Resource], aws: Aws) -> State:
    """Find all of them at the same time."""
    aws.forget()
    wanted = list(resources)
    with ThreadPoolExecutor(_THREADS) as pool:
        futures = [(resource, pool.submit(resource.find, aws)) for resource in wanted]
    state, failures = State(), list[FlowsteadError]()
    for resource, future in futures:
        try:
            live = future.result()
        except FlowsteadError as error:
            failures.append(error)
            continue
        if live is not None:
            state.put(resource, live)
    if failures:
        raise combine(_distinct(failures))
    return state


def _distinct(failures: Sequence[FlowsteadError]) -> list[FlowsteadError]:
    """Leave one of those that say the same: wrong credentials meet every call.

    What AWS does not offer comes alone: the user changes deployment.yml and asks again.
    """
    for failure in failures:
        if isinstance(failure, AwsError) and (failure.code in CREDENTIAL_CODES or failure.is_connection):
            return [failure]
    refusals = [failure for failure in failures if isinstance(failure, NotOfferedError)]
    if refusals:
        return [NotOfferedError([mistake for refusal in refusals for mistake in refusal.mistakes])]
    return list({str(failure): failure for failure in failures}.values())
