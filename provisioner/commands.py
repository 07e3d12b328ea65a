"""What each command of provision.py does."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from provisioner import confirmation, plan_text
from provisioner.errors import AwsError, FlowsteadError, UsageError
from provisioner.session import Session, shorten

if TYPE_CHECKING:
    from provisioner.engine.plan import Plan
    from provisioner.lock import AccountLock
    from provisioner.outputs import Outputs
    from provisioner.resources.base import Teardown

DRIFTED = 3
"""Exit status of plan and status when an apply would change something."""


def plan(session: Session, *, remove: Collection[str] = ()) -> int:
    """Show what apply would do, and refuse what it would refuse; changes nothing, writes nothing."""
    _check_inventory(session)
    found = session.plan(session.wanted(session.key(make=False)).graph, remove)
    if found.is_empty:
        lines = plan_text.nothing_to_do(session, found)
    else:
        named = shlex.join(word for id_ in sorted(remove) for word in ("--remove", id_))
        again = f"{session.again} {named}".rstrip()
        lines = [*plan_text.changes(session, found), "", f"To do it: {again}"]
    session.print(plan_text.data(session, found), lines)
    return 0 if found.is_empty else DRIFTED


def apply(session: Session, *, remove: Collection[str] = ()) -> None:
    """Make the account as deployment.yml says, write the inventory, meet the host."""
    begun = time.monotonic()
    _check_inventory(session)
    with session.exclusive_lock("apply") as lock:
        _apply(session, lock, begun, remove)


def _apply(session: Session, lock: AccountLock, begun: float, remove: Collection[str]) -> None:
    try:
        key = session.key(make=True)
        stack = session.wanted(key)
        found = session.plan(stack.graph, remove)
    except FlowsteadError:
        # The half-made work of another run looks like a fault.
        with contextlib.suppress(AwsError):
            lock.check()
        raise
    if not found.is_empty:
        with lock.held("apply"):
            # What was true before the lock was ours need not be so any more.
            found = session.plan(stack.graph, remove)
            for line in plan_text.changes(session, found):
                session.say(line)
            if key:
                key.save()
            session.execute(found)
    from provisioner import collecting, meeting

    result = collecting.collect(session.deployment, stack, found.state, session.place)
    written = session.inventory.write(result, key.private_path if key else None, session.aws)
    met = meeting.meet(session, result, key.private_path if key else None)
    changed = not found.is_empty or bool(written) or met != "known"
    if changed:
        place = f"at {result.url}" if result.url else "without a server"
        lines = [f"Done: {session.deployment.name} in {session.deployment.region}, {place}."]
        lines += [*(f"  wrote {shorten(path)}" for path in written), *plan_text.notes(found)]
    else:
        lines = plan_text.nothing_to_do(session, found)
    calls = session.aws.reading_calls + session.aws.mutating_calls
    lines[0] += f" [{time.monotonic() - begun:.1f} s, {calls} API calls]"
    lines += ["", "Next: " + session.playbook + ("" if result.server else "; then fab serve-here")]
    data = {"changed": changed, **plan_text.data(session, found), "outputs": result.as_data()}
    session.print(data, lines)


def inventory(session: Session) -> None:
    """Write what others need of a deployment that is there, and meet the host; changes nothing in AWS."""
    from provisioner import meeting

    _check_inventory(session)
    with session.exclusive_lock("inventory"):
        key = session.key(make=False)
        private = key.private_path if key else None
        result = _outputs(session)
        written = session.inventory.write(result, private, session.aws)
        meeting.meet(session, result, private)
    lines = [f"  wrote {shorten(path)}" for path in written] or ["Nothing to do: it is as it should be."]
    session.print({"written": [str(path) for path in written]}, [*lines, "", "Next: " + session.playbook])


def status(session: Session) -> int:
    """Compare the account with deployment.yml, resource by resource."""
    _check_inventory(session)
    found = session.plan(session.wanted(session.key(make=False, needed=False)).graph)
    lines = plan_text.table(found)
    if found.is_empty:
        lines += ["", f"{session.where}: all is as {session.options.config} says."]
    else:
        lines += ["", f"{session.where}: {plan_text.count(found)}. To do it: {session.again}"]
    session.print(plan_text.data(session, found), lines)
    return 0 if found.is_empty else DRIFTED


def outputs(session: Session) -> None:
    """Print endpoints, names and ARNs; nothing secret."""
    data = _outputs(session).as_data()
    session.print(data, list(_lines(data)))


def _lines(data: Mapping[str, Any], within: str = "") -> Iterator[str]:
    for name, value in data.items():
        if isinstance(value, dict):
            yield from _lines(value, f"{within}{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield from _lines({one["name"]: one for one in value}, f"{within}{name}.")
        else:
            yield f"{within}{name}: {', '.join(value) if isinstance(value, list) else value}"


def client(session: Session, *, project: str = "") -> None:
    """Print what an MLflow client needs: lines for `eval`, or JSON."""
    from provisioner.entrance import Entrance, entrance, read_options

    _check_inventory(session)
    result, directory = _outputs(session), session.inventory.directory
    if result.server is None:
        raise UsageError(
            f"{session.deployment.name} has no server (server.count is 0).",
            next_step="Run one here: fab serve-here prints what a client needs.",
        )
    chosen, of_project = result.project(project), (f"--project={project}",) if project else ()
    issued = Entrance(result.url, session.inventory.ca_file)
    way = entrance(directory, read_options(directory), issued)
    if way.ca_file == issued.ca_file:
        session.inventory.write_ca(result, session.aws)
    command = shlex.join(session.command("password", *of_project))
    url = way.url + chosen.path
    data = {
        "tracking_uri": url,
        "username": chosen.admin.username,
        "password_command": command,
        "ca_file": str(way.ca_file) if way.ca_file else None,
    }
    trust = "MLFLOW_TRACKING_SERVER_CERT_PATH"
    lines = [
        f"export MLFLOW_TRACKING_URI={shlex.quote(url)}",
        f"export MLFLOW_TRACKING_USERNAME={chosen.admin.username}",
        f'export MLFLOW_TRACKING_PASSWORD="$({command})"',
        f"export {trust}={shlex.quote(str(way.ca_file))}" if way.ca_file else f"unset {trust}",
    ]
    session.print(data, lines)


def password(session: Session, *, project: str = "") -> None:
    """Print the admin's password, and nothing else."""
    from provisioner.inventory import secret_value
    from provisioner.outputs import pick

    admin = pick(project, {one.names.name: one for one in session.names().projects}).secrets.admin
    try:
        value = secret_value(session.aws, admin.secret.secret_name, "password")
    except AwsError as error:
        # Not made yet, or marked for deletion by destroy.
        if error.code not in {"ResourceNotFoundException", "InvalidRequestException"}:
            raise
        raise FlowsteadError(
            f"The deployment {session.deployment.name} has no password ({error.message}).",
            next_step=f"Run: {session.again}",
        ) from error
    session.print({"username": admin.username, "password": value}, [value])


def destroy(session: Session, *, confirmed: bool, delete_data: bool, remove: Collection[str] = ()) -> None:
    """Remove what carries the deployment's tags; asks for its name first."""
    from provisioner.resources.base import Teardown

    _check_inventory(session)
    with session.exclusive_lock("destroy") as lock:
        _destroy(session, lock, Teardown(keep_data=not delete_data), remove, confirmed=confirmed)


def _destroy(
    session: Session, lock: AccountLock, teardown: Teardown, remove: Collection[str], *, confirmed: bool
) -> None:
    from provisioner.engine import plan as planning

    lock.check()
    graph = session.names().graph
    found = planning.destroy(graph, session.aws, teardown, remove)
    name = session.deployment.name
    if not found.changes:
        _end_destroy(session, found, f"Nothing to remove: {name} has nothing in {session.where}.")
        return
    for line in [*plan_text.changes(session, found), *plan_text.kept(found)]:
        session.say(line)
    if not confirmed:
        _confirm(session)
    with lock.held("destroy"):
        # What was true before the lock was ours need not be so any more, and no more goes than was shown.
        shown = {change.live.id for change in found.changes if change.live}
        found = planning.destroy(graph, session.aws, teardown, remove)
        if more := sorted(
            change.live.id for change in found.changes if change.live and change.live.id not in shown
        ):
            raise FlowsteadError(
                f"{name} has more now than was shown: {', '.join(more)}.",
                next_step="Run destroy again; nothing was removed.",
            )
        session.execute(found)
        left = planning.left_by(found, session.aws)
    _end_destroy(session, left, f"{name} is removed.")


def _end_destroy(session: Session, found: Plan, text: str) -> None:
    """Say what is kept; what is left and goes on to cost money is an error."""
    session.inventory.remove()
    kept = plan_text.kept(found)
    again = ["To bring kept data back: docs/bring_data_back.md"] if kept else []
    session.print(plan_text.data(session, found), [text, *kept, *again])
    if found.unknown:
        raise FlowsteadError(
            f"Not all that carries the tag of {found.graph.deployment} is gone: {len(found.unknown)} left.",
            next_step="Run destroy again; what it lists once more, remove by hand, or take its tag away.",
        )


def _check_inventory(session: Session) -> None:
    """See that what is written or removed there is this deployment's."""
    session.inventory.check_owner(session.account_id, session.deployment.region)


def _outputs(session: Session) -> Outputs:
    from provisioner import collecting

    return collecting.outputs(session)


def _confirm(session: Session) -> None:
    name = session.deployment.name
    question = f"This cannot be undone. Type the deployment's name ({name}) to go on:"
    confirmation.ask(session.say, "destroy asks for the deployment's name", question, name)
