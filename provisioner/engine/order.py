"""What must be done before what: things are made before what needs them, and go after it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, get_args, get_type_hints

from provisioner.resources.base import Resource
from provisioner.resources.ec2.route_table import RouteTable
from provisioner.resources.kinds import KINDS

if TYPE_CHECKING:
    from provisioner.engine.plan import Change, Plan

Needs = dict[Resource, set[Resource]]

_LETS_GO = (RouteTable,)
"""What does not keep the things that it names from going: a subnet's association goes with the subnet."""


def needs(plan: Plan) -> Needs:
    """Say what each change has to wait for.

    Args:
        plan: what will be done.

    """
    changes = {change.resource: change for change in plan.changes}
    gone = {resource for resource, change in changes.items() if change.action == "delete"}
    found = {
        resource: set() if resource in gone else {need for need in resource.needs if need in changes}
        for resource in changes
    }
    for resource in gone:
        for need in all_needs(resource) & gone:
            found[need].add(resource)
    for leftover in gone - set(plan.graph):
        _place(leftover, changes, gone, found)
    for leftover in gone - set(plan.graph):
        _make_room(leftover, changes, found)
    return found


def all_needs(resource: Resource) -> set[Resource]:
    """Collect what it needs, however far: what lies between may be missing from a half-made deployment."""
    return _reached(resource, lambda one: one.needs)


def _place(
    leftover: Resource, changes: Mapping[Resource, Change], gone: Collection[Resource], found: Needs
) -> None:
    """Let a leftover go in its kind's turn, and once what has named it until now names another."""
    rank = KINDS.index(type(leftover))
    for other in gone:
        turn = KINDS.index(type(other))
        if turn < rank:
            found[leftover].add(other)
        elif turn > rank:
            found[other].add(leftover)
    found[leftover] |= {
        resource
        for resource, change in changes.items()
        if change.action == "update"
        and not isinstance(resource, _LETS_GO)
        and type(leftover) in _named_by(type(resource))
    }


def _make_room(leftover: Resource, changes: Mapping[Resource, Change], found: Needs) -> None:
    """Let a leftover go before another of its kind is made, which may take its addresses, if it can."""
    before = _reached(leftover, found.__getitem__)
    for resource, change in changes.items():
        if change.action == "create" and type(resource) is type(leftover) and resource not in before:
            found[resource].add(leftover)


def _named_by(kind: type) -> set[object]:
    """Tell which kinds the fields of a kind name."""
    pending, found = list(get_type_hints(kind).values()), set[object]()
    while pending:
        hint = pending.pop()
        if isinstance(hint, list):
            # What a callable takes.
            pending += hint
            continue
        found.add(hint)
        pending.extend(get_args(hint))
    return found


def _reached(start: Resource, following: Callable[[Resource], Iterable[Resource]]) -> set[Resource]:
    found, pending = set[Resource](), [*following(start)]
    while pending:
        one = pending.pop()
        if one not in found:
            found.add(one)
            pending.extend(following(one))
    return found
