"""A host that SSH should open, and what is said when it does not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import FlowsteadError


@dataclass(frozen=True)
class Host:
    """A host that SSH should open.

    Args:
        address: where it answers.
        instance_id: its EC2 id; the pinned key belongs to it.
        user: the image's user.
        system: the operating system that deployment.yml names.
        private_key: file of the key; None to use the ssh agent and the user's own keys.
        port: where sshd listens.

    """

    address: str
    instance_id: str
    user: str
    system: str
    private_key: Path | None
    port: int = 22

    @property
    def known_as(self) -> str:
        """Its name in known_hosts."""
        return self.address if self.port == 22 else f"[{self.address}]:{self.port}"  # noqa: PLR2004 - ssh


def ssh(host: Host) -> str:
    """Write the command that a person opens the host with."""
    key = f" -i {host.private_key}" if host.private_key else ""
    return f"ssh{key} {host.user}@{host.address}"


def wrong_key(host: Host) -> FlowsteadError:
    """Say that something else answers."""
    return FlowsteadError(
        f"What answers at {host.address} shows another host key than {host.instance_id} "
        "printed on its console: something stands between this machine and the host.",
        next_step="Find out what answers there; nothing was pinned, and no login was tried.",
    )


def silent_console(host: Host, patience_s: float) -> FlowsteadError:
    """Say that nothing proves which host answers."""
    return FlowsteadError(
        f"The console of {host.instance_id} shows no ssh key {patience_s} s after {host.address} "
        "answered, so nothing proves that it is the host that answers.",
        next_step="Run the same command again, or copy the host's lines from the known_hosts of an "
        "inventory that has them, or trust what answers: provision.py --accept-new-host-key",
    )


def no_login(host: Host, reason: str) -> FlowsteadError:
    """Say that the host does not let us in."""
    key = f"{host.private_key}" if host.private_key else "any key of the ssh agent"
    return FlowsteadError(
        f"The host {host.instance_id} at {host.address} {reason} with {key}.",
        next_step="A host keeps the key pair it was made with: restore that key, or terminate the "
        "instance and run provision.py again for a new one.",
    )


def no_answer(host: Host, reason: str, deadline_s: float) -> FlowsteadError:
    """Say that nothing answers."""
    return FlowsteadError(
        f"The host {host.instance_id} at {host.address} {reason} after {deadline_s} s.",
        next_step="Is this machine's address in access.cidrs, and may it connect to its ssh port? "
        "Then run provision.py again, or read its console: aws ec2 get-console-output --instance-id "
        f"{host.instance_id}",
    )
