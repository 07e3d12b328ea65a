"""Several of the same tags, as a lost answer leaves them: one is the resource, the others are its twins."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from provisioner.resources.base import IN_USE, RESOURCE_TAG, Live, Resource


def pick(resource: Resource, lives: Iterable[Live], uses: Callable[[Live], int]) -> Live | None:
    """Pick the one that carries the resource's tags, the one most used; the others are its twins.

    Args:
        resource: the resource looked for.
        lives: candidates of the same deployment and kind.
        uses: counts what depends on one; asked only when there are several.

    """
    matches = [live for live in lives if live.tags.get(RESOURCE_TAG) == resource.name]
    if not matches[1:]:
        return matches[0] if matches else None
    counted = sorted(((-uses(live), live.id, live) for live in matches), key=lambda one: one[:2])
    (_, _, first), *others = counted
    twins = tuple(replace(live, status=IN_USE if count else live.status) for count, _, live in others)
    return replace(first, twins=twins)
