"""Day-2 commands: fab status, logs, tunnel, password, backups, gc, user.add and the like (fab --list).

They learn everything from the inventory that provision.py wrote, and accept the pinned host key only.
"""

import base64
import contextlib
import getpass
import json
import os
import secrets
import shlex
import ssl
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fabric import Connection, task
from invoke import Collection
from invoke.exceptions import ThreadException

from provisioner import first_contact, known_hosts, outputs
from provisioner.aws import Aws
from provisioner.entrance import Entrance, entrance, filled_in, read_options
from provisioner.errors import FlowsteadError, UsageError
from provisioner.inventory import secret_value
from provisioner.outputs import Outputs

PROJECT = Path(__file__).resolve().parent
ANSWER_DEADLINE_S = 20
# The deepest question that changes nothing: gateway, login, MLflow and its database take part in the answer.
PROBE = "2.0/mlflow/experiments/get?experiment_id=0"
# What MLflow's release may open at most (three pools a worker) beside what there is; all by its own settings.
CONNECTIONS = """
cd /etc/mlflow
settings=$(sed -n 's/.*"version": "\\([^"]*\\)".*/\\1/p' serving.json).env
value() { sed -n "s/^$1=//p" "$settings"; }
pool=$(($(value MLFLOW_SQLALCHEMYSTORE_POOL_SIZE) + $(value MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW)))
export PGPASSFILE=$(value PGPASSFILE)
psql --no-psqlrc --tuples-only --no-align "$(value MLFLOW_BACKEND_STORE_URI | sed s/+psycopg2//)" --command="
SELECT format('%s open by MLflow, which takes %s at most; %s by all, of the database''s %s',
count(*) FILTER (WHERE usename = current_user) - 1, $((3 * $(value MLFLOW_WORKERS) * pool)),
count(*) - 1, current_setting('max_connections'))
FROM pg_stat_activity WHERE backend_type = 'client backend'"
"""
# Collects garbage on the host, in a unit of its own: it goes on when the connection breaks.
COLLECT = (
    *("sudo", "systemd-run", "--quiet", "--wait", "--pipe", "--collect"),
    *("/usr/bin/python3", "-B", "/usr/local/lib/flowstead/mlflow/change.py", "garbage"),
)
# Random bytes of a password that is made up. MLflow asks for 12 characters (mlflow/utils/validation.py).
PASSWORD_LENGTH = 18


@dataclass(frozen=True)
class Server:
    """The tracking server, as the inventory describes it.

    Args:
        directory: the inventory directory.
        outputs: what provision.py wrote.
        ssh_key: the private key that opens SSH; None where it is left to the agent.
        options: the variables in tracking_servers.yml, which people edit.

    """

    directory: Path
    outputs: Outputs
    ssh_key: Path | None
    options: dict[str, Any]

    @property
    def url(self) -> str:
        """Where MLflow answers."""
        return self._entrance.url

    @property
    def ca_file(self) -> Path | None:
        """The certificate to trust; None for those that this machine trusts."""
        return self._entrance.ca_file

    @property
    def _entrance(self) -> Entrance:
        issued = Entrance(self.outputs.url, Path(self.outputs.ca_file))
        return entrance(self.directory, self.options, issued)

    def password(self) -> str:
        """Read the admin's password from Secrets Manager."""
        return secret_value(Aws(self.outputs.region), self.outputs.admin.secret_arn, "password")

    def connect(self) -> Connection:
        """Open an SSH connection."""
        address = self.outputs.public_address
        pins = known_hosts.read(self.directory / "known_hosts")
        pin = next((one for one in pins if one.address == address), None)
        if pin is None:
            raise FlowsteadError(
                f"No host key is pinned for {address}.", next_step="Run: python provision.py"
            )
        host = first_contact.Host(address, pin.instance_id, self.outputs.server.ssh_user, "", self.ssh_key)
        connection = first_contact.connect(host, pin.keys)
        try:
            connection.open()
        except Exception as error:
            raise FlowsteadError(
                f"{host.user}@{address} does not let this machine in: {error}.",
                next_step="Is this machine's address in access.cidrs? python provision.py sets it right.",
            ) from error
        return connection


def find(inventory: str) -> Server:
    """Read what provision.py wrote.

    Args:
        inventory: the inventory directory; relative ones are meant from the project.

    Raises:
        FlowsteadError: nothing has been written there, or by another release of Flowstead.

    """
    directory = PROJECT / inventory
    written, variable = outputs.read(directory), "ansible_ssh_private_key_file"
    key = outputs.variables(directory).get(variable)
    ssh_key = Path(filled_in(directory, variable, key)) if key else None
    return Server(directory, written, ssh_key, read_options(directory))


class AnswerError(Exception):
    """MLflow, or the gateway before it, answered with an error.

    Args:
        status: HTTP's.
        code: MLflow's own; empty when the answer has none.
        text: what it says.

    """

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


def call(server: Server, path: str, method: str = "GET", **values: str) -> dict[str, Any]:
    """Ask MLflow's REST API, as the admin.

    Args:
        server: the tracking server.
        path: where below /api.
        method: HTTP's.
        values: what it is told; in the address with GET, as JSON otherwise.

    Raises:
        AnswerError: it answered with an error.
        OSError: it did not answer.

    """
    login = base64.b64encode(f"{server.outputs.admin.username}:{server.password()}".encode()).decode()
    query = f"?{urllib.parse.urlencode(values)}" if values and method == "GET" else ""
    request = urllib.request.Request(  # noqa: S310 - provision.py wrote the address: https
        f"{server.url}/api/{path}{query}",
        data=None if method == "GET" else json.dumps(values).encode(),
        headers={"Authorization": f"Basic {login}", "Content-Type": "application/json"},
        method=method,
    )
    context = ssl.create_default_context(cafile=server.ca_file)
    try:
        with urllib.request.urlopen(  # noqa: S310 - as above
            request, timeout=ANSWER_DEADLINE_S, context=context
        ) as answer:
            return dict(json.loads(answer.read() or b"{}"))
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")
        try:
            told = json.loads(said)
        except ValueError:
            told = {}
        text = told.get("message") or f"HTTP {error.code} {error.reason}"
        # After its own sentence MLflow quotes the SQL with all values, a password's hash among them.
        text = text.partition(" Error: ")[0].splitlines()[0].rstrip(".")
        raise AnswerError(error.code, told.get("error_code", ""), text) from error


def ask(server: Server) -> str:
    """Ask the server a real question, and say how it went in a few words."""
    try:
        name = call(server, PROBE)["experiment"]["name"]
    except AnswerError as error:
        return str(error)
    except (OSError, ValueError, KeyError) as error:
        return f"does not answer: {getattr(error, 'reason', None) or error}"
    return f"answers (experiment {name!r} read from the database)"


@task
def status(_context: Any, inventory: str = "inventory") -> None:
    """Say whether MLflow answers, what runs, and how full disk, memory and the database's connections are."""
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
                ("connections to the database", f"sudo sh -c {shlex.quote(CONNECTIONS)}"),
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
                f"https://localhost:{port}/ is {server.url} until Ctrl-C. "
                f"User {server.outputs.admin.username}; password: fab password."
            )
            trust = f"is signed by {server.ca_file}" if server.ca_file else "is one that systems trust"
            print(f"Its certificate {trust}.", flush=True)
            threading.Event().wait()


@task
def password(_context: Any, inventory: str = "inventory") -> None:
    """Print the admin's password."""
    with _words():
        print(find(inventory).password())


@task
def backups(_context: Any, inventory: str = "inventory") -> None:
    """List the backups in the bucket: when (UTC), MLflow's release, why, size, name."""
    with _words():
        server = find(inventory)
        storage, aws = server.outputs.storage, Aws(server.outputs.region)
        folder = f"{storage.backups_prefix}/"
        objects = aws.page("s3", "list_objects_v2", "Contents", Bucket=storage.bucket, Prefix=folder)
        for line in list_backups([(one["Key"], one["Size"]) for one in objects]):
            print(line)


def list_backups(objects: list[tuple[str, int]]) -> list[str]:
    """Give a line for each backup, the oldest first, and say how to go back to one, or to make one.

    Args:
        objects: key and size in bytes of what lies in the bucket below the backups' prefix.

    """
    sizes: dict[str, int] = {}
    complete = set()
    for key, size in objects:
        *_, name, file = key.split("/")
        sizes[name] = sizes.get(name, 0) + size
        if file == "manifest.json":
            complete.add(name)
    lines = []
    for name, size in sorted(sizes.items()):
        made, _, rest = name.partition("-")
        release, _, reason = rest.partition("-")
        when = f"{made[:4]}-{made[4:6]}-{made[6:8]} {made[9:11]}:{made[11:13]}"
        why = reason if name in complete else f"{reason} (not complete)"
        lines.append(f"{when}  {release:8} {why:24} {size / 1048576:9.1f} MiB  {name}")
    if not lines:
        return ["There is none yet. To make one: ansible-playbook playbooks/back_up.yml"]
    return [
        *lines,
        "To go back to one: ansible-playbook playbooks/restore_backup.yml -e mlflow_data_backup=NAME",
    ]


@task(
    name="gc",
    help={
        "older-than": "How long ago it was deleted at least, such as 30d or 1d12h (mlflow_data_garbage_age).",
        "dry-run": "Only count.",
    },
)
def collect_garbage(
    _context: Any, older_than: str = "", dry_run: bool = False, inventory: str = "inventory"
) -> None:
    """Remove for good what users deleted in MLflow long enough ago: rows, and files in the bucket."""
    words = [
        *COLLECT,
        *([f"--older-than={older_than}"] if older_than else []),
        *(["--dry-run"] if dry_run else []),
    ]
    with _words(), find(inventory).connect() as connection:
        result = connection.run(shlex.join(words), hide=True, warn=True, in_stream=False)
        try:
            report = json.loads(result.stdout)
        except ValueError:
            why = (result.stderr.strip() or result.stdout.strip() or "no answer").splitlines()[-1]
            raise FlowsteadError(
                f"The host could not do it: {why}.",
                next_step="ansible-playbook site.yml brings its programs up to date.",
            ) from None
        if report["outcome"] != "done":
            raise FlowsteadError(report["why"])
        print("\n".join(report["told"]))


@task(name="add", help={"name": "The new user's."})
def add_user(_context: Any, name: str, inventory: str = "inventory") -> None:
    """Make a user; asks for the password, or reads it from a pipe; makes one up if there is none."""
    with _words(), _answers():
        if name.startswith("-"):
            raise UsageError(f"{name} is no name for a user.", next_step="Help: fab --help user.add")
        server, chosen = find(inventory), _new_password()
        call(server, "2.0/mlflow/users/create", "POST", username=name, password=chosen.value)
        print(f"{name} is a user.{chosen.shown}")


@task(name="remove")
def remove_user(_context: Any, name: str, inventory: str = "inventory") -> None:
    """Remove a user; what they logged stays."""
    with _words(), _answers():
        call(find(inventory), "2.0/mlflow/users/delete", "DELETE", username=name)
        print(f"{name} is no user any more.")


@task(name="list")
def list_users(_context: Any, inventory: str = "inventory") -> None:
    """List the users."""
    with _words(), _answers():
        for user in call(find(inventory), "2.0/mlflow/users/list")["users"]:
            print(f"{user['username']}  (administrator)" if user["is_admin"] else user["username"])


@task(name="password")
def change_password(_context: Any, name: str, inventory: str = "inventory") -> None:
    """Give a user another password; asks for it, or reads it from a pipe."""
    with _words(), _answers():
        server = find(inventory)
        if name == server.outputs.admin.username:
            raise FlowsteadError(
                "The admin's password is in Secrets Manager too.",
                next_step="docs/look_after_it.md says how to change both.",
            )
        chosen, path = _new_password(), "2.0/mlflow/users/update-password"
        call(server, path, "PATCH", username=name, password=chosen.value)
        print(f"{name} has another password.{chosen.shown}")


@task(
    name="grant",
    help={
        "permission": "READ, USE, EDIT, MANAGE or DENY.",
        "experiment": "An experiment's name.",
        "model": "A model's.",
    },
)
def grant(
    _context: Any,
    name: str,
    permission: str,
    experiment: str = "",
    model: str = "",
    inventory: str = "inventory",
) -> None:
    """Say what a user may do with an experiment or a registered model."""
    with _words(), _answers():
        if bool(experiment) == bool(model):
            raise UsageError(
                "Say one experiment or one model.",
                next_step="fab user.grant USER READ|USE|EDIT|MANAGE|DENY --experiment NAME (or --model NAME)",
            )
        server = find(inventory)
        what = {"username": name, "resource_type": "registered_model", "resource_id": model}
        if experiment:
            asked = call(server, "2.0/mlflow/experiments/get-by-name", experiment_name=experiment)
            found = asked["experiment"]["experiment_id"]
            what |= {"resource_type": "experiment", "resource_id": found}
        try:
            call(server, "3.0/mlflow/users/permissions/grant", "POST", permission=permission, **what)
        except AnswerError as error:
            if error.code != "RESOURCE_ALREADY_EXISTS":
                raise
            call(server, "3.0/mlflow/users/permissions/revoke", "POST", **what)
            call(server, "3.0/mlflow/users/permissions/grant", "POST", permission=permission, **what)
        print(f"{name} has {permission} on {experiment or model}.")


@dataclass(frozen=True)
class Password:
    """A user's new password.

    Args:
        value: itself.
        is_made_up: nobody but this program has it yet.

    """

    value: str
    is_made_up: bool

    @property
    def shown(self) -> str:
        """What whoever asked has to be told."""
        return f" Password: {self.value}" if self.is_made_up else ""


def _new_password() -> Password:
    """Ask for a password at the terminal, or take the first line of what is piped in; else make one up."""
    if sys.stdin.isatty():
        chosen = getpass.getpass("Password (Return: one is made up): ")
        if chosen and getpass.getpass("Once more: ") != chosen:
            raise FlowsteadError("These are two passwords; nothing was changed.")
    else:
        chosen = sys.stdin.readline().rstrip("\n")
    return Password(chosen or secrets.token_urlsafe(PASSWORD_LENGTH), is_made_up=not chosen)


@contextlib.contextmanager
def _answers() -> Iterator[None]:
    """Make a sentence of what MLflow or the network says."""
    try:
        yield
    except AnswerError as error:
        raise FlowsteadError(f"MLflow refuses: {error}.") from error
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise FlowsteadError(
            f"The server does not answer: {getattr(error, 'reason', None) or error}.", next_step="fab status"
        ) from error


@contextlib.contextmanager
def _words() -> Iterator[None]:
    """Tell an error in a sentence, and end; quietly when whoever reads has gone."""
    try:
        yield
        sys.stdout.flush()
    except FlowsteadError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(0) from None
    except (BrokenPipeError, ThreadException) as error:
        threads = getattr(error, "exceptions", ())
        if not all(issubclass(one.type, BrokenPipeError) for one in threads):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


users = Collection("user", add_user, remove_user, list_users, change_password, grant)
namespace = Collection(status, logs, tunnel, password, backups, collect_garbage, users)
