"""The first contact with a host, as the commands make it: its key is checked by its console, and pinned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioner import first_contact, known_hosts
from provisioner.clock import SystemClock
from provisioner.errors import AwsError
from provisioner.host import Host

if TYPE_CHECKING:
    from pathlib import Path

    from provisioner.outputs import Outputs
    from provisioner.session import Session


def meet(session: Session, result: Outputs, private_key: Path | None) -> str:
    """Pin the deployment's host.

    Args:
        session: the run.
        result: where it is.
        private_key: what opens SSH; None where it is left to the agent.

    Returns:
        how its key was learnt: "known", "console" or "first use"; "known", too, where there is no host.

    Raises:
        FlowsteadError: it cannot be met.

    """
    if result.server is None:
        known_hosts.keep(session.inventory.known_hosts, ())
        return "known"
    host = Host(
        address=result.public_address,
        instance_id=result.server.instance_id,
        user=result.server.ssh_user,
        system=session.deployment.server.system,
        private_key=private_key,
    )
    how = meet_host(session, host, session.inventory.known_hosts)
    known_hosts.keep(session.inventory.known_hosts, {host.instance_id})
    return how


def meet_host(session: Session, host: Host, pins_path: Path) -> str:
    """Pin a host, and say how its key was learnt.

    Args:
        session: the run.
        host: the host.
        pins_path: where the keys are pinned.

    Returns:
        as `meet`.

    Raises:
        FlowsteadError: it cannot be met.

    """
    how = first_contact.meet(
        host,
        pins_path,
        console=lambda: _console(session, host.instance_id),
        clock=SystemClock(),
        say=session.say,
        accept_new=session.options.accept_new_host_key,
    )
    if how == "console":
        session.say(
            f"{host.address}: host key pinned; it is the one that the instance printed on its console"
        )
    elif how == "first use":
        session.say(f"{host.address}: host key pinned as it was shown; the instance's console has none yet")
    return how


def _console(session: Session, instance_id: str) -> str:
    """Read the console: its present text if the instance type allows it, what EC2 has kept otherwise."""
    try:
        try:
            answer = session.aws.call("ec2", "get_console_output", InstanceId=instance_id, Latest=True)
        except AwsError as error:
            if error.code != "UnsupportedOperation":
                raise
            answer = session.aws.call("ec2", "get_console_output", InstanceId=instance_id)
    except AwsError as error:
        # Who takes any key can do without the permission.
        if session.options.accept_new_host_key and error.code in {"UnauthorizedOperation", "AccessDenied"}:
            return ""
        raise
    return str(answer.get("Output") or "")
