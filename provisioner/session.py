"""What every command needs: the deployment, the account, the resources, the files."""

from __future__ import annotations

import contextlib
import functools
import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provisioner import config
from provisioner.aws_errors import CREDENTIAL_CODES
from provisioner.config.database import OfRds
from provisioner.errors import AwsError, FlowsteadError, NotOfferedError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from provisioner.aws import Aws
    from provisioner.collecting import Place
    from provisioner.config.file import ConfigurationError
    from provisioner.engine.graph import Graph
    from provisioner.engine.plan import Plan
    from provisioner.inventory import Inventory
    from provisioner.lock import AccountLock
    from provisioner.resources.state import State
    from provisioner.ssh_key import SshKey
    from provisioner.stack import BakeHost, Stack

PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Options:
    """What the command line says.

    Args:
        config: path of deployment.yml.
        inventory: the inventory directory.
        as_json: print data as JSON.
        debug: show tracebacks.
        accept_new_host_key: trust the ssh key that a new host shows when its console shows none yet.

    """

    config: Path
    inventory: Path
    as_json: bool = False
    debug: bool = False
    accept_new_host_key: bool = False


class Session:
    """One run of a command.

    Args:
        options: what the command line says.

    Raises:
        ConfigurationError: deployment.yml cannot be used.

    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.deployment = config.load(options.config)

    @functools.cached_property
    def inventory(self) -> Inventory:
        """The files written for this deployment."""
        from provisioner.inventory import Inventory

        return Inventory(self.options.inventory.absolute(), self.deployment.name)

    @functools.cached_property
    def aws(self) -> Aws:
        """The AWS client."""
        from provisioner.aws import Aws

        return Aws(self.deployment.region, say=self.say)

    @functools.cached_property
    def account_id(self) -> str:
        """The AWS account."""
        try:
            return self.aws.identity()["Account"]
        except AwsError as error:
            there = self.inventory.endpoint
            if error.code not in CREDENTIAL_CODES or there in {"", self.aws.endpoint}:
                raise
            raise FlowsteadError(
                error.message,
                next_step=f"{shorten(self.inventory.provisioned)} was written for AWS_ENDPOINT_URL={there}, "
                "which this shell does not have: set up the same environment as then. "
                f"For AWS itself: {error.next_step}",
            ) from error

    @property
    def where(self) -> str:
        """What is addressed: region, account, and where that is if not at AWS."""
        place = f"{self.deployment.region}, account {self.account_id}"
        return f"{place}, at {self.aws.endpoint} instead of AWS" if self.aws.endpoint else place

    def names(self, *, moving_from: str = "") -> Stack:
        """Compose the resources so that they can be found; not for comparing or making them.

        Args:
            moving_from: id of the store whose data are being moved into the wanted one; empty: of none.

        """
        return self._build((), "", moving_from)

    def wanted(self, key: SshKey | None, *, moving_from: str = "") -> Stack:
        """Compose the resources as deployment.yml wants them.

        Args:
            key: the ssh key; None when it is still to be made.
            moving_from: id of the store whose data are being moved into the wanted one; empty: of none.

        """
        server, database = self.deployment.server, self.deployment.database
        ways = self._resolved(self.deployment.access.cidrs) if server.count else ()
        to_data = self._resolved(database.access_cidrs) if isinstance(database, OfRds) else ()
        public = key.public if key else self._public_key_in_account()
        return self._build(ways, public, moving_from, to_data)

    def bake_host(self, public_key: str, *, lifetime_min: int) -> BakeHost:
        """Compose the temporary host that an image is made from.

        Args:
            public_key: what opens it.
            lifetime_min: minutes after which it ends itself, removed or not.

        """
        from provisioner import rendering, stack

        user_data = rendering.user_data(f"{self.deployment.name}.bake", lifetime_min=lifetime_min)
        cidrs = self._resolved(self.deployment.access.cidrs)
        context = stack.Context(self.deployment, self.account_id, cidrs, public_key, user_data)
        return stack.build_bake_host(context)

    @contextlib.contextmanager
    def exclusive_lock(self, doing: str) -> Iterator[AccountLock]:
        """Keep other runs out of the inventory directory.

        Args:
            doing: what is done there ("apply").

        Returns:
            The lock in the account, still to be taken: only a run that changes something needs it.

        Raises:
            LockedError: another run on this machine works there.

        """
        from provisioner import lock

        with lock.on_this_machine(self.inventory.directory / ".lock", doing) as own:
            yield lock.AccountLock(self.aws, self.deployment.name, own)

    def execute(self, found: Plan, *, patient: bool = False) -> State:
        """Do what a plan says, and show it.

        Args:
            found: the plan.
            patient: when interrupted, let what has begun come to its end.

        """
        from provisioner import progress
        from provisioner.clock import SystemClock
        from provisioner.engine.apply import apply

        with progress.show(found, SystemClock()) as shown:
            return apply(found, self.aws, shown.on_event, patient=patient)

    def key(self, *, make: bool, needed: bool = True) -> SshKey | None:
        """Return the ssh key.

        Args:
            make: make it when it is `auto` and missing; it is in no file until it is saved.
            needed: whether a missing one whose public part the account has is an error.

        Returns:
            The pair; None when there is none and none must be made, or no server that it would open.

        Raises:
            FlowsteadError: the deployment was made on another machine, which has the key.

        """
        from provisioner import ssh_key

        if not self.deployment.server.count:
            return None
        directory = self.inventory.directory
        found = ssh_key.read(self.deployment, directory)
        if found:
            return found
        if needed and self._public_key_in_account():
            path = ssh_key.path_of(self.deployment.name, directory)
            raise FlowsteadError(
                f"The deployment {self.deployment.name} exists, but not its private key {path}.",
                next_step="Copy it from the machine that made the deployment (mode 0600).",
            )
        return ssh_key.generate(self.deployment, directory) if make else None

    def plan(self, graph: Graph, remove: Collection[str] = (), *, moving: bool = False) -> Plan:
        """Compare the account with what is wanted.

        Args:
            graph: what is wanted.
            remove: ids of what holds data, is no longer wanted, and goes.
            moving: data are moved into the wanted store from another; nothing goes meanwhile.

        Raises:
            ConfigurationError: AWS does not offer here what deployment.yml asks for.
            FlowsteadError: AWS could not be asked, or something cannot be changed in place.

        """
        from provisioner.engine import plan

        try:
            return plan.make(graph, self.aws, remove, moving=moving)
        except NotOfferedError as error:
            raise self.refusal(error) from error

    def refusal(self, error: NotOfferedError) -> ConfigurationError:
        """Say of what AWS does not offer, or has otherwise, where deployment.yml asks for it."""
        return self.deployment.refuse(*(config.Mistake(key, text) for key, text in error.mistakes))

    def print(self, data: dict[str, Any], lines: list[str]) -> None:
        """Print what a command found out: data for scripts, lines for people."""
        if self.options.as_json:
            print(json.dumps(data, indent=2, default=str))
        else:
            print("\n".join(lines))

    def say(self, text: str) -> None:
        """Tell a person something that is not the result."""
        # In one piece: it may come from another thread, above a table that moves.
        print(f"{text}\n", end="", file=sys.stderr, flush=True)

    def command(self, *words: str) -> list[str]:
        """Return a command line of ours that works from any directory."""
        own = ["--config", str(self.options.config.absolute())]
        if self.inventory.directory != PROJECT / "inventory":
            own += ["--inventory", str(self.inventory.directory)]
        return [sys.executable, str(PROJECT / "provision.py"), *own, *words]

    @property
    def place(self) -> Place:
        """Where the deployment is, as its resources do not tell."""
        from provisioner.collecting import Place

        return Place(self.account_id, self.aws.endpoint, self.inventory.ca_file)

    @property
    def again(self) -> str:
        """The command that makes the account as deployment.yml says, as a person types it."""
        own = ["python", "provision.py"]
        if self.options.config.absolute() != PROJECT / "deployment.yml":
            own += ["--config", str(self.options.config)]
        if self.inventory.directory != PROJECT / "inventory":
            own += ["--inventory", str(self.options.inventory)]
        return shlex.join(own)

    @property
    def playbook(self) -> str:
        """The command that comes after it."""
        if self.inventory.directory == PROJECT / "inventory":
            return "ansible-playbook site.yml"
        return shlex.join(["ansible-playbook", "-i", str(self.options.inventory), "site.yml"])

    def _resolved(self, cidrs: tuple[str, ...] | str) -> tuple[str, ...]:
        """Give networks as AWS takes them: `auto` is where this machine is seen from."""
        # Credentials are missing more often than the internet is: that shows first.
        _ = self.account_id
        if isinstance(cidrs, tuple):
            return cidrs
        from provisioner import address

        return (address.seen_from(),)

    def _build(
        self,
        cidrs: tuple[str, ...],
        public_key: str,
        moving_from: str = "",
        database_cidrs: tuple[str, ...] = (),
    ) -> Stack:
        from provisioner import code, rendering, stack

        context = stack.Context(
            deployment=self.deployment,
            account_id=self.account_id,
            access_cidrs=cidrs,
            ssh_public_key=public_key,
            database_cidrs=database_cidrs,
            user_data=rendering.user_data(self.deployment.name),
            code=code.current(PROJECT),
            moving_from=moving_from,
        )
        return stack.build(context)

    @functools.cache  # noqa: B019 - one session a run
    def _public_key_in_account(self) -> str:
        own = [{"Name": "tag:flowstead:deployment", "Values": [self.deployment.name]}]
        pairs = self.aws.page("ec2", "describe_key_pairs", "KeyPairs", Filters=own, IncludePublicKey=True)
        return str(pairs[0].get("PublicKey", "")).strip() if pairs else ""


def shorten(path: Path) -> Path:
    """Name a file as short as it can be from where the user stands."""
    try:
        return path.relative_to(Path.cwd())
    except (ValueError, OSError):
        return path
