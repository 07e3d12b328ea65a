"""The tracking server, as the inventory describes it."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fabric import Connection

from provisioner import first_contact, known_hosts, outputs
from provisioner.aws import Aws
from provisioner.entrance import Entrance, entrance, filled_in, read_options
from provisioner.errors import FlowsteadError, UsageError
from provisioner.host import Host
from provisioner.inventory import secret_value
from provisioner.outputs import Outputs, ProjectOutputs, ServerOutputs

PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class TrackingServer:
    """The tracking server, as the inventory describes it.

    Args:
        directory: the inventory directory.
        outputs: what provision.py wrote.
        ssh_key: the private key that opens SSH; None where it is left to the agent.
        options: the variables in tracking_servers.yml, which people edit.
        project: which server of MLflow on it.

    """

    directory: Path
    outputs: Outputs
    ssh_key: Path | None
    options: dict[str, Any]
    project: ProjectOutputs

    @property
    def url(self) -> str:
        """Where MLflow answers.

        Raises:
            UsageError: there is no server.

        """
        self.require_server()
        return self._entrance.url + self.project.path

    @property
    def ca_file(self) -> Path | None:
        """The certificate to trust; None for those that this machine trusts."""
        return self._entrance.ca_file

    @property
    def _entrance(self) -> Entrance:
        issued = Entrance(self.outputs.url, Path(self.outputs.ca_file))
        return entrance(self.directory, self.options, issued)

    @property
    def name(self) -> str:
        """What the project's server is called on the host."""
        return f"mlflow{self.project.path.replace('/', '-')}"

    def password(self) -> str:
        """Read the admin's password from Secrets Manager."""
        return secret_value(Aws(self.outputs.region), self.project.admin.secret_arn, "password")

    def login(self) -> tuple[str, str]:
        """Give the admin's name and password."""
        return self.project.admin.username, self.password()

    def serving(self, connection: Connection) -> str:
        """Ask the host which release serves.

        Raises:
            FlowsteadError: none does.

        """
        said = read_file(connection, f"/etc/{self.name}/serving.json")
        try:
            return str(json.loads(said)["version"])
        except (ValueError, KeyError) as error:
            raise FlowsteadError(
                f"Nothing serves {self.url} yet.", next_step="Run: ansible-playbook site.yml"
            ) from error

    def require_server(self) -> ServerOutputs:
        """Give what runs it.

        Raises:
            UsageError: there is no server.

        """
        if self.outputs.server is None:
            raise UsageError(
                f"{self.outputs.deployment} has no server (server.count is 0): its databases and bucket are "
                "used from your own machine.",
                next_step="fab serve-here runs a server there.",
            )
        return self.outputs.server

    def connect(self) -> Connection:
        """Open an SSH connection.

        Raises:
            UsageError: there is no server.
            FlowsteadError: it does not let this machine in.

        """
        user, address = self.require_server().ssh_user, self.outputs.public_address
        pins = known_hosts.read(self.directory / "known_hosts")
        pin = next((one for one in pins if one.address == address), None)
        if pin is None:
            raise FlowsteadError(
                f"No host key is pinned for {address}.", next_step="Run: python provision.py"
            )
        host = Host(address, pin.instance_id, user, "", self.ssh_key)
        connection = first_contact.connect(host, pin.keys)
        try:
            connection.open()
        except Exception as error:
            raise FlowsteadError(
                f"{host.user}@{address} does not let this machine in: {error}.",
                next_step="Is this machine's address in access.cidrs? python provision.py corrects it.",
            ) from error
        return connection


def read_file(connection: Connection, path: str) -> str:
    """Read a file on the host; empty: it is not there."""
    command = shlex.join(["sudo", "cat", path])
    return str(connection.run(command, hide=True, warn=True, in_stream=False).stdout)


def find(inventory: str, project: str = "") -> TrackingServer:
    """Read what provision.py wrote.

    Args:
        inventory: the inventory directory; relative ones are meant from Flowstead's own.
        project: which server of MLflow is meant; empty: the default project's.

    Raises:
        FlowsteadError: nothing has been written there, or by another release of Flowstead.
        UsageError: there is no such project.

    """
    directory = PROJECT / inventory
    written, variable = outputs.read(directory), "ansible_ssh_private_key_file"
    key = outputs.variables(directory).get(variable)
    ssh_key = Path(filled_in(directory, variable, key)) if key else None
    return TrackingServer(directory, written, ssh_key, read_options(directory), written.project(project))
