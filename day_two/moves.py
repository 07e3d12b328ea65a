"""Moving an alias of a registered model, so that two people and a killed run do no harm.

MLflow's API cannot say "only if nobody else has": whoever moves an alias first sets a tag of their own on the
model, and then looks whether there is another's. Of two at once at least one sees the other. Then:

1. the record, a tag on the version: nothing is ever moved without one;
2. the alias: from here on it has happened;
3. the tags of stages, which follow the aliases and are set right by any later run;
4. the own tag on the model goes.

If a run is killed, the same command finishes it. After ten minutes anybody's next one takes note of how far
it came.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

from day_two import registry
from day_two.api import AnswerError, Server
from day_two.registry import Claim, Model, Record
from provisioner.errors import FlowsteadError

# How long somebody counts as at work. It takes a second; ten requests have 20 s each (day_two/api.py).
AT_WORK = timedelta(minutes=10)


def move(server: Server, name: str, wish: Record, decide: Callable[[Model], Record | None]) -> Record | None:
    """Move an alias and put it on record, or finish that.

    Args:
        server: the tracking server, and who asks.
        name: the model's.
        wish: what is wanted, and by whom; what only `decide` knows may be missing.
        decide: gives the record of what is to be done, None if there is nothing to do; changes nothing.

    Returns:
        What was done; None if nothing was.

    Raises:
        FlowsteadError: it cannot be done, or somebody else is at work; nothing has been changed.

    """
    model = registry.read(server, name)
    at_work = [one for one in model.claims if model.at - one.record.at < AT_WORK]
    if own := next((one for one in at_work if one.record.is_same_wish(wish)), None):
        return _finish(server, model, own)
    if at_work:
        raise _busy(at_work[0].record)
    record = decide(model)
    with _allowed(server, name):
        if model.claims:
            for one in model.claims:
                _give_up(server, model, one)
            return move(server, name, wish, decide)
        if record is None:
            _set_stages(server, model, model.aliases)
            return None
        own = Claim.make(record)
        registry.claim(server, name, own)
    now = registry.read(server, name)
    others = [one.record for one in now.claims if one.key != own.key]
    if others or (now.aliases, now.records) != (model.aliases, model.records):
        registry.release(server, name, own)
        raise _busy(*others)
    return _finish(server, now, own)


def _finish(server: Server, model: Model, own: Claim) -> Record:
    """Do what was claimed."""
    record = own.record
    with _allowed(server, model.name):
        try:
            registry.keep(server, model.name, record)
            registry.point(server, model.name, record.alias, record.to)
        except AnswerError as error:
            # Anything else may have happened all the same: the same command finds out.
            if 400 <= error.status < 500:  # noqa: PLR2004 - HTTP's: the request was refused
                _give_up(server, model, own)
            raise
        others = {alias: version for alias, version in model.aliases.items() if alias != record.alias}
        _set_stages(server, model, others | ({record.alias: record.to} if record.to else {}))
        registry.release(server, model.name, own)
    return record


def _give_up(server: Server, model: Model, one: Claim) -> None:
    """Take back a claim; if the alias did not move, what may be on record already says so."""
    record = one.record
    if model.aliases.get(record.alias) != record.to and record.version in model.versions:
        # EDIT lets nobody delete a version's tag. A version that lets nobody set one has none of ours.
        with contextlib.suppress(AnswerError):
            registry.keep(server, model.name, record.model_copy(update={"is_done": False}))
    registry.release(server, model.name, one)


def _set_stages(server: Server, model: Model, aliases: Mapping[str, int]) -> None:
    """Make the tags of stages follow the aliases."""
    # A version that is in both is in production, which comes last.
    stages = {aliases[alias]: stage for alias, stage in registry.STAGES.items() if alias in aliases}
    for number, version in model.versions.items():
        had = version.tags.get(registry.STAGE)
        wanted = stages.get(number, registry.ARCHIVED if had in registry.STAGES.values() else had)
        if wanted and wanted != had:
            registry.set_tag(server, model.name, number, registry.STAGE, wanted)


def _busy(*others: Record) -> FlowsteadError:
    """Say who is at work."""
    if not others:
        return FlowsteadError(
            "Somebody else has changed this model in the same moment; nothing was changed.",
            next_step="Look with fab promotions, then try again.",
        )
    one = others[0]
    return FlowsteadError(
        f"{one.by} began to {one.action} version {one.version} ({one.alias}) at {one.at:%H:%M:%S} UTC and "
        "has not finished; nothing was changed.",
        next_step="Try again in a moment. If that run was killed, the same command finishes it, and from "
        f"{one.at + AT_WORK:%H:%M:%S} UTC on it does not count.",
    )


@contextlib.contextmanager
def _allowed(server: Server, name: str) -> Iterator[None]:
    """Say which permission is missing."""
    try:
        yield
    except AnswerError as error:
        if error.status != 403:  # noqa: PLR2004 - HTTP's: forbidden
            raise
        user, _ = server.login()
        grant = ["fab", "user.grant", user, "EDIT", "--model", name]
        raise FlowsteadError(
            f"MLflow does not let {user} do this with the model {name}.",
            next_step=f"Ask an administrator for: {shlex.join(grant)} (MANAGE for --remove).",
        ) from error
