"""The schema of databases that no host of ours sees to: compared, and migrated when somebody says so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from day_two.gathered import HOST_PROGRAMS
from day_two.handed_over import SECRETS
from day_two.ways import LOGINS, STORE, Way, as_owner
from provisioner.aws import Aws
from provisioner.errors import FlowsteadError, UsageError
from provisioner.outputs import DatabaseOutputs
from provisioner.resources.base import DEPLOYMENT_TAG
from provisioner.session import PROJECT

if TYPE_CHECKING:
    from day_two.containers import Container
    from day_two.handed_over import HandedOver
    from day_two.tracking import TrackingServer

# Where the container has them.
PROGRAMS, COMPARISON = "/run/flowstead", "/run/schema_in_image.py"
OWNER = "pgpass-owner"
SNAPSHOT_S = 3600
# https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBClusterSnapshot.html
MOST_NAME = 63


@dataclass(frozen=True)
class Schema:
    """What a project's databases are to a release.

    Args:
        server: the project's, of a deployment without a server.
        way: the way to its databases.
        handed: what the container must know and nobody else.
        container: a container for a moment.
        image: the image of the release.
        options: how it is run.

    """

    server: TrackingServer
    way: Way
    handed: HandedOver
    container: Container
    image: str
    options: tuple[str, ...]

    def have_current(self, *, migrate: bool) -> None:
        """Have the databases be of the image's release.

        Args:
            migrate: bring those of an older release to it; empty ones are filled in any case.

        Raises:
            UsageError: they are older and must stay so, or newer, or somebody uses them.
            FlowsteadError: AWS or the database could not be asked.

        """
        found = self._compare()
        states, release = set(found["states"]), self.way.release
        if states == {"same"}:
            return
        named = f"The databases of {self.server.project.name}"
        if "older" in states and not migrate:
            raise UsageError(
                f"{named} are of an older release than MLflow {release}.",
                next_step="fab serve-here --migrate brings them to it, after a snapshot; servers of the "
                "older release do not start any more then.",
            )
        self._refuse(named, found)
        if "older" in states:
            print(f"Snapshot: {self._take_snapshot()}", flush=True)
        found = self._migrate()
        # Somebody may have come, or done it, meanwhile.
        self._refuse(named, found)
        print(f"{named} are of MLflow {release} now.", flush=True)

    def _refuse(self, named: str, found: Mapping[str, Any]) -> None:
        if "newer" in found["states"]:
            raise UsageError(
                f"{named} are of a newer release than MLflow {self.way.release}.",
                next_step="Set mlflow_release_version to that one, run ansible-playbook site.yml, then "
                "python provision.py image",
            )
        # Empty ones have nobody's data in them; but where only one is, the other is in use.
        if not set(found["states"]) <= {"same"} and set(found["states"]) != {"empty"} and found["others"]:
            raise UsageError(
                f"{named} are in use, from {', '.join(found['others'])}; nothing has been changed.",
                next_step="Have those servers ended, then run this again, with --migrate.",
            )

    def _compare(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._run("compare")))
        except FlowsteadError as error:
            raise FlowsteadError(
                f"The databases of {self.server.project.name} cannot be used from here: {error}",
                next_step="Is this machine in one of the networks of database.access_cidrs? "
                "python provision.py lets it in; ansible-playbook site.yml renews logins and certificates.",
            ) from error

    def _run(self, what: str, text: str = "") -> str:
        mounts = (f"{HOST_PROGRAMS}:{PROGRAMS}", f"{PROJECT / 'day_two' / 'schema_in_image.py'}:{COMPARISON}")
        options = (word for mount in mounts for word in ("--volume", f"{mount}:ro"))
        return self.container.run(
            self.image, *self.options, *options, command=(COMPARISON, what, PROGRAMS), text=text
        )

    def _migrate(self) -> dict[str, Any]:
        logins = self.server.project.database_logins
        if logins is None:
            raise FlowsteadError("The data are in no database service.")
        owner, passfile = logins.owner, f"{SECRETS}/{OWNER}"
        names = {"tracking": STORE, "login": LOGINS}
        addresses = {
            store: as_owner(self.way.environment[name], owner.username, passfile)
            for store, name in names.items()
        }
        with self.handed.login(OWNER, owner):
            return dict(json.loads(self._run("migrate", text=json.dumps(addresses))))

    def _take_snapshot(self) -> str:
        """Take a snapshot of the database server, and wait for it."""
        outputs = self.server.outputs
        if not isinstance(outputs.database, DatabaseOutputs):
            raise FlowsteadError("The data are in no database service.")
        aws, database = Aws(outputs.region), outputs.database
        release, now = self.way.release.replace(".", "-"), datetime.now(UTC)
        suffix = f"-before-{release}-{now:%Y%m%d%H%M%S}"
        name = database.identifier[: MOST_NAME - len(suffix)].rstrip("-") + suffix
        tags = [{"Key": DEPLOYMENT_TAG, "Value": outputs.deployment}]
        kind, word = ("Cluster", "cluster_") if database.is_cluster else ("", "")
        of = {f"DB{kind or 'Instance'}Identifier": database.identifier}
        named: dict[str, Any] = {f"DB{kind}SnapshotIdentifier": name}
        aws.call("rds", f"create_db_{word}snapshot", Tags=tags, **of, **named)
        print(f"Waiting for the snapshot {name}", flush=True)
        aws.wait("rds", f"db_{word}snapshot_available", deadline_s=SNAPSHOT_S, **named)
        return name
