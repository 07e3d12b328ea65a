"""Day-2 commands over SSH: fab status, fab logs, fab tunnel, fab password.

They learn everything from the inventory that provision.py wrote, and accept the pinned host key only.
"""

import base64
import contextlib
import json
import shlex
import ssl
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import yaml
from fabric import Connection, task

from provisioner import first_contact, known_hosts
from provisioner.aws import Aws
from provisioner.errors import FlowsteadError
from provisioner.inventory import secret_value

PROJECT = Path(__file__).resolve().parent
ANSWER_DEADLINE_S = 20
# The deepest question that changes nothing: gateway, login, MLflow and its database take part in the answer.
PROBE = "/api/2.0/mlflow/experiments/get?experiment_id=0"


@dataclass(frozen=True)
class Server:
    """The tracking server, as the inventory describes it.

    Args:
        directory: the inventory directory.
        values: the variables in provisioned.yml.
        options: the variables in tracking_servers.yml, which people edit.

    """

    directory: Path
    values: dict[str, Any]
    options: dict[str, Any]

    @property
    def own_name(self) -> str:
        """The name that a certificate of one's own is for; empty with Flowstead's."""
        names = self.options.get("tracking_server_names") or [""]
        return str(names[0]) if self.options.get("gateway_certificate") else ""

    @property
    def url(self) -> str:
        """Where MLflow answers."""
        return f"https://{self.own_name}" if self.own_name else str(self.values["flowstead_url"])

    @property
    def ca_file(self) -> Path | None:
        """The certificate to trust; None for those that this machine trusts."""
        return None if self.own_name else self._path("flowstead_ca_file")

    @property
    def ssh_key(self) -> Path | None:
        """The private key that opens SSH, where it is not left to the agent."""
        variable = "ansible_ssh_private_key_file"
        return self._path(variable) if variable in self.values else None

    def password(self) -> str:
        """Read the admin's password from Secrets Manager."""
        arn = self.values["flowstead_secret_arns"]["admin"]
        return secret_value(Aws(self.values["flowstead_region"]), arn, "password")

    def connect(self) -> Connection:
        """Open an SSH connection."""
        address = self.values["flowstead_public_address"]
        pins = known_hosts.read(self.directory / "known_hosts")
        pin = next((one for one in pins if one.address == address), None)
        if pin is None:
            raise FlowsteadError(
                f"No host key is pinned for {address}.", next_step="Run: python provision.py"
            )
        host = first_contact.Host(address, pin.instance_id, self.values["ansible_user"], "", self.ssh_key)
        connection = first_contact.connect(host, pin.keys)
        try:
            connection.open()
        except Exception as error:
            raise FlowsteadError(
                f"{host.user}@{address} does not let this machine in: {error}.",
                next_step="Is this machine's address in access.cidrs? python provision.py sets it right.",
            ) from error
        return connection

    def _path(self, variable: str) -> Path:
        """Give a path that Ansible would work out from the inventory's directory."""
        with_variable = jinja2.Template(str(self.values[variable]), undefined=jinja2.StrictUndefined)
        return Path(with_variable.render(inventory_dir=str(self.directory)))


def find(inventory: str) -> Server:
    """Read what provision.py wrote.

    Args:
        inventory: the inventory directory; relative ones are meant from the project.

    Raises:
        FlowsteadError: nothing has been written there.

    """
    directory = PROJECT / inventory
    path = directory / "group_vars" / "all" / "provisioned.yml"
    if not path.is_file():
        raise FlowsteadError(f"There is no {path}.", next_step="Run: python provision.py")
    edited = directory / "group_vars" / "tracking_servers.yml"
    try:
        # The loader is a safe one.
        options = yaml.load(edited.read_text(encoding="utf-8"), _WithoutTags) if edited.is_file() else {}  # noqa: S506
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{edited}:{mark.line + 1}" if mark else str(edited)
        raise FlowsteadError(
            f"{where}: this is not YAML: {getattr(error, 'problem', error)}.", next_step="Correct it."
        ) from error
    return Server(directory, yaml.safe_load(path.read_text(encoding="utf-8")), options or {})


class _WithoutTags(yaml.SafeLoader):
    """Reads values with a tag of Ansible's, such as !vault, as None: nothing here needs them."""


_WithoutTags.add_multi_constructor("!", lambda *_: None)


def ask(server: Server) -> str:
    """Ask the server a real question, and say how it went in a few words."""
    login = base64.b64encode(f"admin:{server.password()}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - provision.py wrote the address: https
        server.url + PROBE, headers={"Authorization": f"Basic {login}"}
    )
    try:
        context = ssl.create_default_context(cafile=server.ca_file)
        with urllib.request.urlopen(  # noqa: S310 - as above
            request, timeout=ANSWER_DEADLINE_S, context=context
        ) as answer:
            name = json.load(answer)["experiment"]["name"]
            return f"answers (experiment {name!r} read from the database)"
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code} {error.reason}"
    except (OSError, ValueError, KeyError) as error:
        return f"does not answer: {getattr(error, 'reason', None) or error}"


@task
def status(_context: Any, inventory: str = "inventory") -> None:
    """Say whether MLflow answers, what runs, and how full the disk and memory are."""
    with _words():
        server = find(inventory)
        print(f"{server.url}: {ask(server)}")
        list_units = "systemctl list-units --plain --no-legend --no-pager"
        with server.connect() as connection:
            for title, command in (
                ("units", f"{list_units} --all 'mlflow@*' nginx.service 'flowstead-*'"),
                ("failed", f"{list_units} --failed"),
                ("disk", "df -h --output=used,avail,pcent,target /"),
                ("memory", "free -m"),
                ("since", "uptime --pretty"),
            ):
                result = connection.run(command, hide=True, warn=True, in_stream=False)
                print(f"\n{title}:")
                print("  " + (result.stdout.strip() or "none").replace("\n", "\n  "))


@task(help={"follow": "Go on until Ctrl-C.", "lines": "How many of the last.", "unit": "Another unit's."})
def logs(
    _context: Any,
    follow: bool = False,
    lines: int = 100,
    unit: str = "mlflow@*",
    inventory: str = "inventory",
) -> None:
    """Show what MLflow logged."""
    with _words(), find(inventory).connect() as connection:
        words = ["sudo", "journalctl", "--no-pager", "--output=short-iso", f"--lines={int(lines)}"]
        words += [f"--unit={unit}", *(["--follow"] if follow else [])]
        connection.run(shlex.join(words), in_stream=False, pty=follow, warn=True)


@task(help={"port": "Port on this machine."})
def tunnel(_context: Any, port: int = 8443, inventory: str = "inventory") -> None:
    """Make the UI reachable at https://localhost:PORT, through SSH, until Ctrl-C."""
    with _words():
        server = find(inventory)
        with server.connect() as connection, connection.forward_local(int(port), remote_port=443):
            print(
                f"https://localhost:{port}/ is {server.url} until Ctrl-C. User admin; password: fab password."
            )
            trust = f"is for {server.own_name}" if server.own_name else f"is signed by {server.ca_file}"
            print(f"Its certificate {trust}.", flush=True)
            threading.Event().wait()


@task
def password(_context: Any, inventory: str = "inventory") -> None:
    """Print the admin's password."""
    with _words():
        print(find(inventory).password())


@contextlib.contextmanager
def _words() -> Iterator[None]:
    """Tell an error in a sentence, and end."""
    try:
        yield
    except FlowsteadError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(0) from None
