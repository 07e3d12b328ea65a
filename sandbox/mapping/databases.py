"""Runs a real server for every RDS instance, and does to it what the calls say."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox import account
from sandbox.mapping import database_objects as objects
from sandbox.mapping.engines import ENGINES
from sandbox.mapping.hosts import size_of
from sandbox.mapping.networks import Networks
from sandbox.mapping.public_names import PublicNames
from sandbox.mapping.turns import Turns, do_together
from sandbox.real import images
from sandbox.real.certificates import Authority
from sandbox.real.databases import Database, remove_snapshot
from sandbox.real.site import Site

log = logging.getLogger(__name__)


@dataclass
class _Real:
    """What stands for one RDS instance. ``secret`` is the master password in force."""

    database: Database
    nic_id: str
    secret: str


class Databases:
    """The real databases of a sandbox.

    Args:
        site: its piece of the machine's network.
        networks: where they are plugged in.
        authority: signs their certificates.
        names: those of the publicly accessible ones.
    """

    def __init__(self, site: Site, networks: Networks, authority: Authority, names: PublicNames) -> None:
        self._site = site
        self._networks = networks
        self._authority = authority
        self._names = names
        self._lock = threading.Lock()
        self._real: dict[str, _Real] = {}
        self._turns = Turns()

    def _do(self, database: Any, status: str, action: Callable[[], None], then: str = "available") -> None:
        """Show a status, do something in a thread of its own, show another."""

        def show(end: str) -> None:
            with account.lock:
                database.status = end
                self._names.follow()

        def act() -> None:
            action()
            show(then)

        show(status)
        failed = "failed" if status == "creating" else "incompatible-parameters"
        self._turns.begin(database.db_instance_identifier, status, act, lambda _: show(failed))

    def create(self, database: Any, snapshot: str | None = None) -> None:
        """Start the server of a new instance.

        Args:
            database: moto's instance.
            snapshot: the key of the snapshot whose data it begins with, if any.
        """
        with account.lock:
            nic = objects.plug_in(database)
            address, region, password = database.address, database.region, objects.password_of(database)
            parameters = objects.parameters_of(database)

        engine = ENGINES[database.engine]

        def act() -> None:
            image = images.ensure(
                engine.image(str(database.engine_version)),
                lambda line: log.info("%s", line),
                ca=self._authority.ca_pem_path,
            )
            netns = self._networks.attach(region, nic.id)
            certificate, key = self._authority.issue([address], [])
            memory_mib, _ = size_of(database.db_instance_class.removeprefix("db."))
            real = engine.server(
                self._site,
                database.db_instance_identifier,
                netns,
                image,
                master_user=database.master_username,
                password=password,
                database=database.db_name or None,
                certificate=certificate,
                key=key,
                parameters=parameters,
                port=int(database.port),
                memory_mib=memory_mib,
            )
            if snapshot is not None:
                real.restore(snapshot)
            real.run()
            if snapshot is not None and database.manage_master_user_password:
                real.set_password(password)
            with self._lock:
                self._real[database.db_instance_identifier] = _Real(real, nic.id, password)
            version = engine.note(real.version())
            with account.lock:
                database.engine_version = version

        self._do(database, "creating", act)

    def _real_of(self, database: Any) -> _Real:
        return self._real[database.db_instance_identifier]

    def follow(self, database: Any, *, group_changed: bool) -> None:
        """Follow a modification: groups, password, access; a new parameter group waits for a reboot.

        Args:
            database: moto's instance, as it is now.
            group_changed: whether it has another parameter group than before.
        """
        with account.lock:
            password = objects.password_of(database)
            nic = getattr(database, "real_nic", None)
            if nic is not None:
                nic._group_set = objects.security_groups(database)  # noqa: SLF001 - moto offers no other way
            objects.follow_access(database)
            if group_changed:
                database.parameter_status = "pending-reboot"

        def act() -> None:
            thing = self._real_of(database)
            if password != thing.secret:
                thing.database.set_password(password)
                thing.secret = password
            self._networks.reconcile()

        changes_password = password != self._real_of(database).secret
        self._do(database, "resetting-master-credentials" if changes_password else "modifying", act)

    def apply_parameters(self, database: Any) -> None:
        """Put a changed parameter group in force, as far as that goes without a reboot.

        Args:
            database: moto's instance.
        """
        with account.lock:
            parameters = objects.parameters_of(database)
            database.parameter_status = "applying"

        def work() -> None:
            try:
                pending = self._real_of(database).database.apply_parameters(parameters)
            except Exception:
                log.exception("%s: parameters", database.db_instance_identifier)
                pending = ("failed",)
            with account.lock:
                database.parameter_status = "pending-reboot" if pending else "in-sync"

        threading.Thread(target=work, daemon=True).start()

    def stop(self, database: Any) -> None:
        """Stop the server; its data stay."""
        self._do(database, "stopping", self._real_of(database).database.stop, "stopped")

    def start(self, database: Any) -> None:
        """Start a stopped server again."""
        self._do(database, "starting", self._real_of(database).database.start)

    def reboot(self, database: Any) -> None:
        """Restart the server; parameters that waited are in force then."""
        with account.lock:
            parameters = objects.parameters_of(database)

        def act() -> None:
            real = self._real_of(database).database
            real.stop()
            real.apply_parameters(parameters)
            real.start()
            with account.lock:
                database.parameter_status = "in-sync"

        self._do(database, "rebooting", act)

    def snapshot(self, database: Any, snapshot: Any) -> None:
        """Copy the data into a snapshot.

        Args:
            database: moto's instance.
            snapshot: moto's snapshot of it.
        """
        with account.lock:
            snapshot.status = "creating"

        def act() -> None:
            try:
                self._real_of(database).database.snapshot(snapshot.db_snapshot_identifier)
            except Exception:
                with account.lock:
                    snapshot.status = "failed"
                raise
            with account.lock:
                snapshot.status = "available"

        self._do(database, "backing-up", act)

    def drop_snapshot(self, snapshot_id: str) -> None:
        """Remove a snapshot's data."""
        remove_snapshot(self._site, snapshot_id)

    def delete(self, database: Any, final_snapshot: Any, forget: Callable[[], None]) -> None:
        """Remove the server with its data, after a last snapshot if one is wanted.

        Args:
            database: moto's instance.
            final_snapshot: moto's snapshot to fill first, or nothing.
            forget: takes the instance out of the account when it is gone.
        """
        if final_snapshot is not None:
            with account.lock:
                final_snapshot.status = "creating"

        def act() -> None:
            thing = self._real.pop(database.db_instance_identifier, None)
            if thing is not None:
                if final_snapshot is not None:
                    thing.database.snapshot(final_snapshot.db_snapshot_identifier)
                    with account.lock:
                        final_snapshot.status = "available"
                thing.database.remove()
                self._networks.detach(thing.nic_id)
            with account.lock:
                objects.unplug(database)
                forget()
            self._networks.reconcile()

        self._do(database, "deleting", act, "deleted")

    def status(self) -> list[dict[str, Any]]:
        """List the databases of all regions."""
        with account.lock:
            return [
                {
                    "id": database.db_instance_identifier,
                    "status": database.status,
                    "engine": f"{database.engine} {database.engine_version}",
                    "endpoint": f"{database.address}:{database.port}",
                    "private": getattr(database, "private_ip_address", ""),
                    "public": objects.public_address(database) or "",
                }
                for region in account.rds_regions()
                for database in account.rds(region).databases.values()
            ]

    def close(self) -> None:
        """Remove all databases."""
        with self._lock:
            things, self._real = list(self._real.values()), {}
        do_together(thing.database.remove for thing in things)
