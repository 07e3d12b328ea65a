"""Where moto is laxer than AWS, the sandbox is made as strict.

A correction is a function that is registered for a call of AWS. ``before`` ones may refuse the call or
answer it in moto's place; ``after`` ones see the call when moto has answered, and may start what the call
asks of real things; ``settle`` ones run last, without the account's lock, and may take time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from fnmatch import fnmatch
from typing import TYPE_CHECKING

from sandbox.request import Call
from sandbox.web import HttpResponse

if TYPE_CHECKING:
    from sandbox.mapping.world import World

Before = Callable[[Call], HttpResponse | None]
After = Callable[[Call], None]

_before: dict[str, list[tuple[str, Before]]] = defaultdict(list)
_after: dict[str, list[tuple[str, After]]] = defaultdict(list)
_settle: dict[str, list[tuple[str, After]]] = defaultdict(list)


def refuses(service: str, *actions: str) -> Callable[[Before], Before]:
    """Register a function that may refuse or answer calls before moto sees them.

    Args:
        service: botocore's name of the service.
        actions: patterns of actions.

    Returns:
        The decorator.
    """

    def register(function: Before) -> Before:
        _before[service] += [(action, function) for action in actions]
        return function

    return register


def follows(service: str, *actions: str) -> Callable[[After], After]:
    """Register a function that runs when moto has done a call.

    Args:
        service: botocore's name of the service.
        actions: patterns of actions.

    Returns:
        The decorator.
    """

    def register(function: After) -> After:
        _after[service] += [(action, function) for action in actions]
        return function

    return register


def settles(service: str, *actions: str) -> Callable[[After], After]:
    """Register a function that makes real things follow before the caller gets the answer.

    Args:
        service: botocore's name of the service.
        actions: patterns of actions.

    Returns:
        The decorator.
    """

    def register(function: After) -> After:
        _settle[service] += [(action, function) for action in actions]
        return function

    return register


def before(call: Call) -> HttpResponse | None:
    """Run what comes before moto.

    Args:
        call: the call, authorized.

    Returns:
        An answer in moto's place, or nothing.

    Raises:
        Refusal: the call is one that AWS refuses.
    """
    for pattern, function in _before[call.service]:
        if fnmatch(call.action, pattern):
            answer = function(call)
            if answer is not None:
                return answer
    return None


def after(call: Call) -> None:
    """Run what comes after moto.

    Args:
        call: the call, with its response.
    """
    for pattern, function in _after[call.service]:
        if fnmatch(call.action, pattern):
            function(call)


def settle(call: Call) -> None:
    """Run what makes real things follow.

    Args:
        call: the call, with its response.
    """
    if call.response is None or call.response.status >= 400:  # noqa: PLR2004 - HTTP's own border
        return
    for pattern, function in _settle[call.service]:
        if fnmatch(call.action, pattern):
            function(call)


_worlds: list[World] = []


def substitute(owner: object, name: str, value: object) -> None:
    """Give something of moto's another body.

    Args:
        owner: the class or module.
        name: the attribute.
        value: what it shall be.
    """
    setattr(owner, name, value)


def world() -> World:
    """Return the real things of this process's sandbox."""
    return _worlds[-1]


def install(real: World) -> None:
    """Register every correction; from then on they act on the sandbox's real things.

    Args:
        real: the sandbox's real things.
    """
    from sandbox.corrections import (  # noqa: PLC0415 - they import moto, which must wait for account.prepare()
        buckets,
        cpu_credits,
        database_checks,
        database_offers,
        database_parameters,
        database_storage,
        databases,
        images,
        instances,
        key_pairs,
        large_objects,
        metadata_options,
        network,
        permissions,
        profiles,
        secrets,
        slowness,
        tags,
        volumes,
    )

    _worlds.append(real)
    for module in (
        buckets,
        cpu_credits,
        database_checks,
        database_offers,
        database_parameters,
        database_storage,
        databases,
        images,
        instances,
        key_pairs,
        large_objects,
        metadata_options,
        network,
        permissions,
        profiles,
        secrets,
        slowness,
        tags,
        volumes,
    ):
        module.patch()
