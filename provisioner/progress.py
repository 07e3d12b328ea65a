"""Show what apply is doing: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from provisioner.clock import Clock

if TYPE_CHECKING:
    from provisioner.engine.apply import Event
    from provisioner.engine.plan import Change, Plan
    from provisioner.resources.base import Resource

_done_words = {"create": "created", "update": "changed", "delete": "deleted", "wait": "ready"}
_doing_words = {"create": "creating", "update": "changing", "delete": "deleting", "wait": "waiting"}
# Lines of the terminal that the table leaves to what scrolls by above it.
_rows_above = 6


def show(plan: Plan, clock: Clock, stream: TextIO | None = None) -> Progress:
    """Choose how to show progress.

    Args:
        plan: what is going to be done.
        clock: time.
        stream: where to; standard error by default.

    Returns:
        A context whose `on_event` must be told of everything.

    """
    stream = stream or sys.stderr
    return LiveProgress(plan, clock, stream) if stream.isatty() else Progress(plan, clock, stream)


def elapsed(seconds: float) -> str:
    """Write a time the way people read it: "4 s", "3 min 20 s"."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"  # noqa: PLR2004 - seconds of a minute


class Progress(AbstractContextManager["Progress"]):
    """Plain lines: one when something starts to wait for AWS, one when it is done or has failed.

    Args:
        plan: what is going to be done.
        clock: time.
        stream: where to.

    """

    def __init__(self, plan: Plan, clock: Clock, stream: TextIO) -> None:
        self._changes: dict[Resource, Change] = {
            change.resource: change for change in plan.changes if change.action != "none"
        }
        self._clock = clock
        self._stream = stream
        self._started: dict[Resource, float] = {}
        self._details: dict[Resource, str] = {}
        self._finished: set[Resource] = set()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the show."""

    def on_event(self, event: Event) -> None:
        """Take notice of what happened to a resource."""
        resource = event.resource
        if resource not in self._changes:
            return
        if event.phase == "started":
            self._started[resource] = self._clock.now()
        elif event.phase == "waiting":
            if self._details.get(resource) != event.detail:
                self._details[resource] = event.detail
                self._waits(event)
        else:
            self._finished.add(resource)
            self._say(self._result(event), failed=event.phase != "done")

    def say(self, text: str) -> None:
        """Show a line that is not about a resource."""
        self._say(text, failed=False)

    def _waits(self, event: Event) -> None:
        self._say(f"{event.resource}: {event.detail}", failed=False)

    def _say(self, text: str, *, failed: bool) -> None:
        del failed
        print(text, file=self._stream, flush=True)

    def _result(self, event: Event) -> str:
        resource = event.resource
        took = self._clock.now() - self._started.get(resource, self._clock.now())
        if event.phase == "done":
            word = _done_words[self._changes[resource].action]
            return f"{resource}: {word} ({elapsed(took)})"
        word = "failed" if event.phase == "failed" else "left out"
        return f"{resource}: {word}: {event.detail}"


class LiveProgress(Progress):
    """A table that moves: what is being made, what waits on what, elapsed; what is done scrolls by."""

    def __init__(self, plan: Plan, clock: Clock, stream: TextIO) -> None:
        super().__init__(plan, clock, stream)

        self._begun = clock.now()
        self._console = Console(file=stream)
        self._live: Live = Live(
            console=self._console, get_renderable=self._table, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> Self:
        """Begin the show."""
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the show."""
        self._live.stop()

    def _waits(self, event: Event) -> None:
        """Leave it to the table."""

    def _say(self, text: str, *, failed: bool) -> None:

        mark, style = ("✗", "red") if failed else ("✓", "green")
        self._console.print(Text.assemble((f"{mark} ", style), text))

    def _table(self) -> Table:

        now = self._clock.now()
        table = Table.grid(padding=(0, 2))
        for _ in range(4):
            table.add_column(no_wrap=True)
        running = [one for one in self._started if one not in self._finished]
        for resource in running:
            doing = self._details.get(resource) or _doing_words[self._changes[resource].action]
            table.add_row(Spinner("dots"), str(resource), doing, elapsed(now - self._started[resource]))
        queued = [one for one in self._changes if one not in self._finished and one not in self._started]
        room = self._console.height - _rows_above - len(running)
        for resource in queued[: max(0, room)]:
            blockers = [
                str(one) for one in resource.needs if one in self._changes and one not in self._finished
            ]
            text = f"waits for {', '.join(blockers)}" if blockers else "is next"
            table.add_row("·", str(resource), text, "", style="dim")
        count = f"{len(self._finished)} of {len(self._changes)} done"
        table.add_row("", count, "", elapsed(now - self._begun), style="bold")
        return table
