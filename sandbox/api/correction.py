"""Corrections: where moto is laxer than AWS, the sandbox is made as strict.

Each module of ``sandbox/corrections/`` declares one `Correction`; those that
`sandbox.corrections.registry` lists are in force.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Generic, TypeVar

from sandbox.api.call import Call
from sandbox.mapping.infrastructure import Infrastructure
from sandbox.web import HttpResponse

Patch = Callable[[Infrastructure], None]
Check = Callable[[Call], None]
Answer = Callable[[Call], HttpResponse | None]
Act = Callable[[Call, Infrastructure], None]
Function = TypeVar("Function", bound=Callable[..., object])


@dataclass
class _Rules(Generic[Function]):
    """Functions by the calls that they are for, in the order in which they were declared."""

    declared: list[tuple[str, tuple[str, ...], Function]] = field(default_factory=list)

    def add(self, service: str, actions: tuple[str, ...]) -> Callable[[Function], Function]:
        def declare(function: Function) -> Function:
            self.declared.append((service, actions, function))
            return function

        return declare

    def of(self, call: Call) -> Iterator[Function]:
        for service, actions, function in self.declared:
            if service == call.service and any(fnmatch(call.action, action) for action in actions):
                yield function


class Correction:
    """What makes moto as strict as AWS about one subject.

    Functions are declared with its methods. In the order in which they run, each for the calls whose service
    (botocore's name) and action (patterns) it names:

    - ``refuses``: before moto; raises `Refusal`, or notes on the call what moto is about to change.
    - ``answers``: in moto's place, unless it returns nothing.
    - ``follows``: when moto has done the call.
    - ``acts``: after that; starts what the call asks of real things.
    - ``settles``: last, without the account's lock; may take time.
    """

    def __init__(self) -> None:
        self.patches: list[Patch] = []
        self.refusals: _Rules[Check] = _Rules()
        self.answering: _Rules[Answer] = _Rules()
        self.following: _Rules[Check] = _Rules()
        self.acting: _Rules[Act] = _Rules()
        self.settling: _Rules[Act] = _Rules()

    def patch(self, function: Patch) -> Patch:
        """Declare what gives things of moto's another body, once, before the first call."""
        self.patches.append(function)
        return function

    def refuses(self, service: str, *actions: str) -> Callable[[Check], Check]:
        """Declare what comes before moto."""
        return self.refusals.add(service, actions)

    def answers(self, service: str, *actions: str) -> Callable[[Answer], Answer]:
        """Declare what answers in moto's place."""
        return self.answering.add(service, actions)

    def follows(self, service: str, *actions: str) -> Callable[[Check], Check]:
        """Declare what comes after moto."""
        return self.following.add(service, actions)

    def acts(self, service: str, *actions: str) -> Callable[[Act], Act]:
        """Declare what starts real things."""
        return self.acting.add(service, actions)

    def settles(self, service: str, *actions: str) -> Callable[[Act], Act]:
        """Declare what makes real things follow before the caller gets the answer."""
        return self.settling.add(service, actions)


class Corrections:
    """The corrections in force.

    Args:
        declared: the corrections.
        infrastructure: the real things that they act on.
    """

    def __init__(self, declared: Iterable[Correction], infrastructure: Infrastructure) -> None:
        self._declared = tuple(declared)
        self._infrastructure = infrastructure
        for correction in self._declared:
            for patch in correction.patches:
                patch(infrastructure)

    def before(self, call: Call) -> HttpResponse | None:
        """Run what comes before moto.

        Args:
            call: the call, authorized.

        Returns:
            An answer in moto's place, or nothing.

        Raises:
            Refusal: the call is one that AWS refuses.
        """
        for correction in self._declared:
            for check in correction.refusals.of(call):
                check(call)
        answers = (answer(call) for one in self._declared for answer in one.answering.of(call))
        return next((answer for answer in answers if answer is not None), None)

    def after(self, call: Call) -> None:
        """Run what comes after moto, and start what the call asks of real things.

        Args:
            call: the call, with its response.
        """
        for correction in self._declared:
            for follow in correction.following.of(call):
                follow(call)
        for correction in self._declared:
            for act in correction.acting.of(call):
                act(call, self._infrastructure)

    def settle(self, call: Call) -> None:
        """Run what makes real things follow.

        Args:
            call: the call, with its response.
        """
        for correction in self._declared:
            for settle in correction.settling.of(call):
                settle(call, self._infrastructure)


def substitute(owner: object, name: str, value: object) -> None:
    """Give something of moto's another body.

    Args:
        owner: the class or module.
        name: the attribute.
        value: what it shall be.
    """
    setattr(owner, name, value)
