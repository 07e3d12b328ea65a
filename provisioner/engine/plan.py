"""What would be done: found and compared with reading calls only."""

from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Literal

from provisioner.aws import Aws
from provisioner.aws_errors import CREDENTIAL_CODES
from provisioner.engine import leftovers, tagged
from provisioner.engine.graph import Graph
from provisioner.engine.stores import Stores, stores
from provisioner.engine.tagged import Tagged
from provisioner.errors import AwsError, FlowsteadError, NotOfferedError, combine
from provisioner.resources.base import DEPLOYMENT_TAG, RESOURCE_TAG, Live, Resource, Teardown
from provisioner.resources.refusals import unchangeable
from provisioner.resources.setting import Setting
from provisioner.resources.state import State

Action = Literal["create", "update", "wait", "none", "delete"]

_THREADS = 12
"""Finds that run at a time: as many as there are questions to AWS that do not depend on each other."""
_LISTINGS = (tagged.find_ec2, tagged.find_others)
_ADVICE = f"give it the tag {RESOURCE_TAG} that it had, or remove it, or its tag {DEPLOYMENT_TAG}"


@dataclass(frozen=True)
class Change:
    """What will be done about one resource.

    Args:
        resource: which one.
        action: create, update, delete; wait when it is still being made (by an earlier run); none.
        live: as it was found; None when it must be made.
        differences: what is not as wanted, with old and new.

    """

    resource: Resource
    action: Action
    live: Live | None = None
    differences: tuple[Setting, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What will be done, in an order that could be followed.

    Args:
        graph: the deployment's resources.
        changes: one for each resource that is ours to make, those that need nothing first (deletions: last).
        state: what was found.
        notices: what the user may want to know although nothing will be done about it.
        unknown: what carries the deployment's tag, and nobody knows what it is.
        kept: what a destroy leaves in the account, each with its id or name.
        teardown: how a destroy goes about data.

    """

    graph: Graph
    changes: tuple[Change, ...]
    state: State
    notices: tuple[str, ...] = ()
    unknown: tuple[Tagged, ...] = ()
    kept: tuple[str, ...] = ()
    teardown: Teardown = field(default_factory=Teardown)

    @property
    def is_empty(self) -> bool:
        """There is nothing to do."""
        return all(change.action == "none" for change in self.changes)


def make(graph: Graph, aws: Aws, remove: Collection[str] = (), *, moving: bool = False) -> Plan:
    """Find every resource and compare it with what is wanted; concurrent, reading calls only.

    Args:
        graph: what is wanted.
        aws: the AWS client.
        remove: ids of what holds data, is no longer wanted, and goes.
        moving: data are moved into the wanted store from another; nothing goes meanwhile.

    Raises:
        UsageError: one of these is not there, or wanted.
        DriftError: something cannot be corrected in place, or is there twice; names all such cases.
        NotOfferedError: AWS does not offer here what deployment.yml asks for, or the data are elsewhere.
        AwsError: AWS could not be asked.

    """
    state, listed = _find(graph, graph.deployment, aws)
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
    left = leftovers.find(graph, aws, listed, state.lives(), remove)
    if moving:
        return Plan(graph, tuple(changes), state, tuple(notices), left.unknown)
    stores(graph, state, left).check()
    if left.going or any(change.action != "none" for change in changes):
        # IAM's lists are long, and what is left there comes with another change.
        listed += tagged.find_iam(aws, graph)
        left = leftovers.find(graph, aws, listed, state.lives(), remove)
    changes += [Change(resource, "delete", live) for resource, live in left.going.items()]
    teardown = Teardown(keep_data=False)
    notices += [f"{text} is kept" for text in _remains(left.going.items(), teardown)]
    notices += [*left.notices, *(f"{one}: {_ADVICE}" for one in left.unknown)]
    return Plan(graph, tuple(changes), state, tuple(notices), left.unknown, teardown=teardown)


def find_stores(graph: Graph, aws: Aws) -> Stores:
    """Tell which stores a deployment has; reading calls only.

    Args:
        graph: what is wanted.
        aws: the AWS client.

    Raises:
        AwsError: AWS could not be asked.

    """
    state, listed = _find([one for one in graph if not one.looked_up], graph.deployment, aws)
    return stores(graph, state, leftovers.find(graph, aws, listed, state.lives()))


def _compare(resource: Resource, state: State) -> Change:
    live = state.get(resource)
    if live is None:
        return Change(resource, "create")
    differences = resource.differences(live, state)
    if differences:
        return Change(resource, "update", live, differences)
    return Change(resource, "none" if live.ready else "wait", live)


def destroy(graph: Graph, aws: Aws, teardown: Teardown | None = None, remove: Collection[str] = ()) -> Plan:
    """Plan the removal of everything that carries the deployment's tags; works on a half-made one too.

    Args:
        graph: the deployment.
        aws: the AWS client.
        teardown: how it goes about data; None: as little as possible is lost.
        remove: ids of what holds data, was no longer wanted before, and goes too.

    Raises:
        UsageError: one of these is not there, or wanted.
        FlowsteadError: something would stop it half-way; names all that would.
        AwsError: AWS could not be asked.

    """
    teardown = teardown or Teardown()
    state, listed = _find([one for one in graph if not one.looked_up], graph.deployment, aws)
    listed += tagged.find_iam(aws, graph)
    left = leftovers.find(graph, aws, listed, state.lives(), remove)
    found = [(resource, live) for resource in reversed(list(graph)) if (live := state.get(resource))]
    spared = [(resource, live) for resource, live in found if resource.is_spared(live, teardown)]
    going = {resource: live for resource, live in found if (resource, live) not in spared} | left.going
    changes = tuple(Change(resource, "delete", live) for resource, live in going.items())
    own = frozenset(tagged.known_ids(state.lives() | left.going | left.staying))
    _check_way(changes, own, aws, left.obstacles(going.values()))
    kept = [*_remains(found, teardown), *_remains(left.going.items(), replace(teardown, keep_data=False))]
    kept += [*left.notices, *(f"{one.kind} {one.id}, a copy of the data" for one in left.backups)]
    return Plan(graph, changes, state, unknown=left.unknown, kept=tuple(kept), teardown=teardown)


def _remains(lives: Iterable[tuple[Resource, Live]], teardown: Teardown) -> list[str]:
    """Say what is kept of what goes."""
    return [text for resource, live in lives if (text := resource.remains(live, teardown))]


def left_by(done: Plan, aws: Aws) -> Plan:
    """Look for what a destroy has left: all that carries the deployment's tag, but for what it removed.

    Args:
        done: the plan of the destroy.
        aws: the AWS client.

    Returns:
        the plan with what there is now and should not be.

    Raises:
        AwsError: AWS could not be asked.

    """
    lives = {change.resource: change.live for change in done.changes if change.live} | done.state.lives()
    aws.forget()
    listed = [one for find in _LISTINGS for one in find(aws, done.graph.deployment)]
    found = leftovers.find(done.graph, aws, listed, lives)
    still = (
        Tagged(resource.listed_as, live.id, done.graph.deployment, resource.name)
        for resource, live in found.going.items()
    )
    return replace(done, unknown=(*found.unknown, *still))


def _check_way(
    changes: Iterable[Change], own: Collection[str], aws: Aws, obstacles: Iterable[FlowsteadError]
) -> None:
    """See that nothing stops a destroy half-way, these obstacles neither."""
    with ThreadPoolExecutor(_THREADS) as pool:
        futures = [
            pool.submit(lambda one, live: list(one.obstacles(aws, live, own)), change.resource, live)
            for change in changes
            if change.live
            for live in (change.live, *change.live.twins)
        ]
    if found := [*obstacles, *(obstacle for future in futures for obstacle in future.result())]:
        raise combine(_distinct(found))


def _find(resources: Iterable[Resource], deployment: str, aws: Aws) -> tuple[State, list[Tagged]]:
    """Find all of them, and all that carries the deployment's tag, at the same time."""
    aws.forget()
    wanted = list(resources)
    with ThreadPoolExecutor(_THREADS) as pool:
        listings = [pool.submit(find, aws, deployment) for find in _LISTINGS]
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
    listed = []
    for listing in listings:
        try:
            listed += listing.result()
        except FlowsteadError as error:
            failures.append(error)
    if failures:
        raise combine(_distinct(failures))
    return state, listed


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
