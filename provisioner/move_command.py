"""What `provision.py move` does: it makes a new store, has the data moved there, and notes that they are."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from provisioner import collecting, confirmation, plan_text, playbook
from provisioner.engine import plan as planning
from provisioner.errors import FlowsteadError, NotOfferedError, UsageError
from provisioner.resources.move_tags import MOVED_TO_TAG, MOVING_FROM_TAG
from provisioner.resources.rds.served import Served
from provisioner.session import PROJECT, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from provisioner.engine.plan import Plan
    from provisioner.engine.stores import Stores
    from provisioner.lock import AccountLock
    from provisioner.outputs import Outputs
    from provisioner.resources.base import Live, Resource

    Source = tuple[Resource, Live]
    Play = Callable[[Sequence[str]], int]

PLAYBOOK = PROJECT / "playbooks" / "move_data.yml"


def move(session: Session, *, confirmed: bool, to: str = "", extra_vars: Sequence[str] = ()) -> None:
    """Move the data into the store that deployment.yml asks for; the old one stays until somebody removes it.

    Args:
        session: the run.
        confirmed: do not ask.
        to: the engine that deployment.yml must ask for; empty: whichever it does.
        extra_vars: handed to ansible-playbook, each behind an -e of its own.

    """
    play = playbook.Runner(playbook.find()).run
    engine = session.deployment.database.engine
    if to and to != engine:
        raise UsageError(
            f"--to {to}: {session.options.config} asks for database.engine: {engine}.",
            next_step="Write there to what the data are to be moved, with the settings that it is to have.",
        )
    if not session.deployment.server.count:
        raise UsageError(
            f"{session.options.config} asks for no server (server.count: 0), which is what moves data.",
            next_step="Set server.count: 1, without database.access_cidrs, while they are moved.",
        )
    session.inventory.check_owner(session.account_id, session.deployment.region)
    with session.exclusive_lock("move") as lock:
        _move(session, lock, play, extra_vars, confirmed=confirmed)


def _move(
    session: Session, lock: AccountLock, play: Play, extra_vars: Sequence[str], *, confirmed: bool
) -> None:
    stores = _stores(session)
    source = _source(session, stores)
    key = session.key(make=False)
    private = key.private_path if key else None
    if source is None:
        # A move that was killed behind its last note may not have written this.
        _write(session, private)
        text = f"Nothing to move: {session.deployment.name} has its data in {_wanted(stores).id}."
        session.print({"moved": False}, [text])
        return
    _check_serves(source)
    stack = session.wanted(key, moving_from=source[1].id)
    found = session.plan(stack.graph, moving=True)
    _announce(session, found, source)
    if not confirmed:
        question = f"Type yes to move the data of {session.deployment.name}:"
        confirmation.ask(session.say, "move asks before it begins", question, "yes", "moved")
    state = found.state
    if not found.is_empty:
        with lock.held("move"):
            # What was true before the lock was ours need not be so any more.
            source = _source(session, _stores(session)) or source
            state = session.execute(session.plan(stack.graph, moving=True))
    during = collecting.collect(session.deployment, stack, state, session.place, moving_from=source)
    session.inventory.write(during, private, session.aws)
    _play(session, play, extra_vars)
    with lock.held("move"):
        _settle(session, source, stack.store)
    _end(session, source, _write(session, private))


def _write(session: Session, private_key: Path | None) -> Outputs:
    """Write the inventory of a deployment whose data are where deployment.yml says."""
    outputs = collecting.outputs(session)
    session.inventory.write(outputs, private_key, session.aws)
    return outputs


def _stores(session: Session) -> Stores:
    return planning.find_stores(session.names().graph, session.aws)


def _source(session: Session, stores: Stores) -> Source | None:
    try:
        return stores.source()
    except NotOfferedError as error:
        raise session.refusal(error) from error


def _check_serves(source: Source) -> None:
    """See that data can be read from where they are, before anything is made for them."""
    resource, live = source
    if isinstance(resource, Served) and live.status not in resource.states.serving:
        raise UsageError(
            f"{resource} ({live.id}) has the data, and is {live.status}: none can be moved from there.",
            next_step="Have it run, in the AWS console for one, and run move again; nothing was changed.",
        )


def _wanted(stores: Stores) -> Live:
    if stores.wanted is None:
        message = "nothing is moved only where the wanted store has the data"
        raise AssertionError(message)
    return stores.wanted


def _announce(session: Session, found: Plan, source: Source) -> None:
    """Say what will be made, and what stays."""
    resource, live = source
    for line in plan_text.changes(session, found):
        session.say(line)
    session.say(
        f"Then the data of {resource} ({live.id}) are copied and compared while it serves, which tells how "
        "long clients will wait, and then moved. It stays as it is, and costs what it costs, until you "
        "remove it."
    )


def _play(session: Session, play: Play, extra_vars: Sequence[str]) -> None:
    words = ["-i", str(session.inventory.directory), *(word for one in extra_vars for word in ("-e", one))]
    if status := play([*words, str(PLAYBOOK)]):
        raise FlowsteadError(
            f"playbooks/move_data.yml ended with status {status}: above is why. What serves has its data.",
            next_step=f"Run again, and it goes on: {session.again} move",
        )


def _settle(session: Session, source: Source, target: Resource) -> None:
    """Note which store has the data now: first on the old one, so that at no moment both seem to."""
    resource, old = source
    new = target.found(session.aws)
    if old.tags.get(MOVED_TO_TAG) != new.id:
        resource.retag(session.aws, old, {MOVED_TO_TAG: new.id})
    target.retag(session.aws, new, {MOVING_FROM_TAG: None})


def _end(session: Session, source: Source, outputs: Outputs) -> None:
    resource, live = source
    remove = shlex.join([*shlex.split(session.again), "--remove", live.id])
    lines = [
        f"Moved: {session.deployment.name} has its data in {outputs.database.engine} now.",
        f"  {resource} ({live.id}) stays as it was. To remove it, with a last snapshot: {remove}",
        "",
        f"Next: {session.playbook}",
    ]
    data = {"moved": True, "from": live.id, "outputs": outputs.as_data()}
    session.print(data, lines)
