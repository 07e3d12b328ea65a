"""Meet a new host over SSH: wait for it, pin its key, see that its first boot ended well."""

from __future__ import annotations

import base64
import binascii
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from provisioner import known_hosts
from provisioner.clock import Clock
from provisioner.errors import FlowsteadError
from provisioner.host import Host, no_answer, no_login, silent_console, ssh, wrong_key
from provisioner.systems import systems

if TYPE_CHECKING:
    from fabric import Connection

ANSWER_DEADLINE_S = 600
"""Until a host answers, and again until it lets us in: two minutes as a rule, more with a large image."""
CLOUD_INIT_DEADLINE_S = 900
CONSOLE_PATIENCE_S = 300
"""How long after ssh answers the console may take to show the keys. EC2 posts it a while after the host has
started: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleOutput.html"""
LOGIN_PATIENCE_S = 120
"""How long after ssh answers cloud-init may take to install the key that opens the host."""
POLL_S = 2.0
CONNECT_TIMEOUT_S = 10

_SILENT = "answers, but its console shows no key"

How = Literal["known", "console", "first use"]


def is_known(host: Host, pins_path: Path) -> bool:
    """Tell whether the host has been met: its key is pinned for this address and this instance.

    Args:
        host: the host.
        pins_path: the known_hosts file.

    """
    return any(
        pin.address == host.known_as and pin.instance_id == host.instance_id
        for pin in known_hosts.read(pins_path)
    )


def meet(
    host: Host,
    pins_path: Path,
    *,
    console: Callable[[], str],
    clock: Clock,
    say: Callable[[str], None],
    accept_new: bool = False,
) -> How:
    """Wait for a host, pin its key, and see that it is fit for Ansible.

    The key is pinned last: a run that is cut short meets the host again.

    Args:
        host: the host.
        pins_path: the known_hosts file.
        console: reads the instance's console output; "" while there is none.
        clock: time.
        say: shows what is waited for.
        accept_new: trust the key that it shows when its console shows none yet.

    Returns:
        Where the trust in its key comes from.

    Raises:
        FlowsteadError: it does not answer, its console shows no key, it shows another key than its console,
            refuses the login, its first boot failed, or it runs another system than configured.

    """
    if is_known(host, pins_path):
        return "known"
    pins = known_hosts.read(pins_path)
    moved = next((pin for pin in pins if pin.instance_id == host.instance_id), None)
    if moved:
        # The same host at a new address: its key is known already.
        known_hosts.write(pins_path, known_hosts.Pin(host.known_as, host.instance_id, moved.keys))
        return "known"
    meeting = _Meeting(host, console, clock, say, accept_new=accept_new)
    with meeting.connect() as connection:
        meeting.wait_for_cloud_init(connection)
        meeting.check_system(connection)
    if any(pin.address == host.known_as for pin in pins):
        say(f"{host.address} is another host now, {host.instance_id}: its key replaces the old one's")
    known_hosts.write(pins_path, known_hosts.Pin(host.known_as, host.instance_id, meeting.keys))
    return meeting.how


def connect(host: Host, keys: tuple[known_hosts.HostKey, ...]) -> Connection:
    """Make a connection that accepts these host keys only.

    Args:
        host: the host.
        keys: its keys.

    Returns:
        Fabric's connection, not open yet.

    """
    import fabric
    import paramiko

    # paramiko logs a traceback for each attempt that fails; ours are expected, and reported as sentences.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    arguments: dict[str, Any] = {"banner_timeout": CONNECT_TIMEOUT_S, "auth_timeout": CONNECT_TIMEOUT_S}
    if host.private_key:
        arguments |= {"key_filename": str(host.private_key), "look_for_keys": False, "allow_agent": False}
    connection = fabric.Connection(
        host.address,
        user=host.user,
        port=host.port,
        connect_timeout=CONNECT_TIMEOUT_S,
        connect_kwargs=arguments,
    )
    connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
    for key in keys:
        try:
            public = paramiko.PKey.from_type_string(key.kind, base64.b64decode(key.value))
        except (paramiko.SSHException, binascii.Error, paramiko.UnknownKeyType):
            continue
        connection.client.get_host_keys().add(host.known_as, key.kind, public)
    return connection


class _Meeting:
    """One host's first contact."""

    def __init__(
        self,
        host: Host,
        console: Callable[[], str],
        clock: Clock,
        say: Callable[[str], None],
        *,
        accept_new: bool,
    ) -> None:
        self.host = host
        self.keys: tuple[known_hosts.HostKey, ...] = ()
        self.how: How = "console"
        self._console = console
        self._clock = clock
        self._say = say
        self._accept_new = accept_new
        self._answered_at: float | None = None
        self._reason = f"does not answer on port {host.port}"

    def connect(self) -> Connection:
        """Wait until ssh answers with a key that can be trusted, and lets us in."""
        deadline = self._clock.now() + ANSWER_DEADLINE_S
        self._say(f"waiting for ssh at {self.host.address}")
        while self._clock.now() < deadline:
            if self._answered_at is None and self._answers():
                self._answered_at = self._clock.now()
                deadline = self._answered_at + ANSWER_DEADLINE_S
            if self._answered_at is not None:
                self._find_keys()
            if self.keys:
                connection = self._open()
                if connection:
                    return connection
            self._clock.sleep(POLL_S)
        raise no_answer(self.host, self._reason, ANSWER_DEADLINE_S)

    def _open(self) -> Connection | None:
        import paramiko

        connection = connect(self.host, self.keys)
        try:
            connection.open()
        except paramiko.BadHostKeyException as error:
            raise wrong_key(self.host) from error
        except paramiko.AuthenticationException as error:
            self._reason = f"refuses the login of {self.host.user} ({error})"
            if self._waited_s() > LOGIN_PATIENCE_S:
                raise no_login(self.host, self._reason) from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            if "not found in known_hosts" in str(error):
                raise wrong_key(self.host) from error
            self._reason = f"does not answer ({error})"
        else:
            return connection
        connection.close()
        return None

    def wait_for_cloud_init(self, connection: Connection) -> None:
        """See the end of the first boot."""
        self._say("waiting for cloud-init to finish")
        result = self._run(connection, "cloud-init status --wait --long")
        # 2 is "done, with recoverable errors": https://docs.cloud-init.io/en/latest/explanation/return_codes.html
        if result.exited not in {0, 2}:
            text = (result.stdout + result.stderr).strip().splitlines()
            raise FlowsteadError(
                f"cloud-init failed on {self.host.instance_id}: {'; '.join(text[-6:]) or 'it says nothing'}.",
                next_step=f"See /var/log/cloud-init-output.log on the host: {ssh(self.host)}",
            )

    def check_system(self, connection: Connection) -> None:
        """See that the host runs what deployment.yml says."""
        text = self._run(connection, "cat /etc/os-release").stdout
        values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        found = (values.get("ID", "").strip("\"'"), values.get("VERSION_ID", "").strip("\"'"))
        if found != systems[self.host.system].release:
            name = values.get("PRETTY_NAME", "an unknown system").strip("\"'")
            raise FlowsteadError(
                f"The host {self.host.instance_id} runs {name}, but server.image is {self.host.system}.",
                next_step="Set server.image to what it runs, or terminate it and run provision.py again.",
            )

    def _answers(self) -> bool:
        try:
            with socket.create_connection(
                (self.host.address, self.host.port), timeout=CONNECT_TIMEOUT_S
            ) as one:
                return one.recv(4) == b"SSH-"
        except OSError:
            return False

    def _waited_s(self) -> float:
        return 0.0 if self._answered_at is None else self._clock.now() - self._answered_at

    def _find_keys(self) -> None:
        if self.keys:
            return
        self.keys = known_hosts.keys_on_console(self._console())
        if self.keys:
            return
        if self._accept_new:
            self.how, self.keys = "first use", self._offered_keys()
        elif self._waited_s() > CONSOLE_PATIENCE_S:
            raise silent_console(self.host, CONSOLE_PATIENCE_S)
        elif self._reason != _SILENT:
            self._reason = _SILENT
            self._say(
                f"waiting for the console of {self.host.instance_id} to show its ssh keys, which takes "
                f"minutes (at most {CONSOLE_PATIENCE_S} s; --accept-new-host-key does not wait)"
            )

    def _offered_keys(self) -> tuple[known_hosts.HostKey, ...]:
        import paramiko

        try:
            with paramiko.Transport((self.host.address, self.host.port)) as transport:
                transport.start_client(timeout=CONNECT_TIMEOUT_S)
                key = transport.get_remote_server_key()
        except (paramiko.SSHException, OSError, EOFError):
            return ()
        return (known_hosts.HostKey(key.get_name(), key.get_base64()),)

    def _run(self, connection: Connection, command: str) -> Any:
        import invoke
        import paramiko

        try:
            return connection.run(
                command, hide=True, warn=True, in_stream=False, timeout=CLOUD_INIT_DEADLINE_S
            )
        except invoke.exceptions.CommandTimedOut as error:
            raise FlowsteadError(
                f"`{command}` on {self.host.instance_id} did not end in {CLOUD_INIT_DEADLINE_S} s.",
                next_step=f"Look at the host: {ssh(self.host)}",
            ) from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise FlowsteadError(
                f"The connection to {self.host.address} broke during `{command}`: {str(error).rstrip('.')}.",
                next_step="Run provision.py again.",
            ) from error
