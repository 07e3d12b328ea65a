"""Runs a real PostgreSQL server for every RDS instance, and does to it what the calls say."""

from __future__ import annotations

import json
import logging
import re
import secrets
import string
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox import account
from sandbox.mapping.hosts import size_of
from sandbox.mapping.networks import Networks
from sandbox.real import images
from sandbox.real.certificates import Authority
from sandbox.real.commands import CommandError, run
from sandbox.real.databases import Database, remove_snapshot
from sandbox.real.site import Site

log = logging.getLogger(__name__)

_PASSWORD = string.ascii_letters + string.digits + "!#$%&()*+,-.:;<=>?[]^_{|}~"

minor_versions: dict[str, str] = {}
"""Major versions and the minor one that the image turned out to hold, e.g. ``17`` → ``17.6``."""


def new_password() -> str:
    """Make a password as RDS makes them: 28 characters, none that a URI or a shell would trip over at once.

    Returns:
        The password.
    """
    return "".join(secrets.choice(_PASSWORD) for _ in range(28))


@dataclass
class _Thing:
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
    """

    def __init__(self, site: Site, networks: Networks, authority: Authority) -> None:
        self._site = site
        self._networks = networks
        self._authority = authority
        self._lock = threading.Lock()
        self._things: dict[str, _Thing] = {}
        self._turns: dict[str, threading.Lock] = {}

    def _do(self, database: Any, status: str, action: Callable[[], None], then: str = "available") -> None:
        """Show a status, do something in a thread of its own, show another; one thing at a time for each."""
        key = database.db_instance_identifier
        with self._lock:
            turn = self._turns.setdefault(key, threading.Lock())
        with account.lock:
            database.status = status

        def work() -> None:
            with turn:
                try:
                    action()
                    end = then
                    log.info("%s: %s done", key, status)
                except Exception:
                    log.exception("%s: %s failed", key, status)
                    end = "failed" if status == "creating" else "incompatible-parameters"
                with account.lock:
                    database.status = end

        threading.Thread(target=work, name=f"{status} {key}", daemon=True).start()

    def create(self, database: Any, snapshot: str | None = None) -> None:
        """Start the server of a new instance.

        Args:
            database: moto's instance.
            snapshot: the key of the snapshot whose data it begins with, if any.
        """
        with account.lock:
            nic = _plug_in(database)
            address, region, password = database.address, database.region, password_of(database)
            parameters = parameters_of(database)

        def act() -> None:
            major = str(database.engine_version).split(".")[0]
            image = images.ensure(
                f"postgresql-{major}", lambda line: log.info("%s", line), ca=self._authority.ca_pem_path
            )
            netns = self._networks.attach(region, nic.id)
            certificate, key = self._authority.issue([address], [])
            memory_mib, _ = size_of(database.db_instance_class.removeprefix("db."))
            real = Database(
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
                self._things[database.db_instance_identifier] = _Thing(real, nic.id, password)
            self._note_version(database, major)

        self._do(database, "creating", act)

    def _note_version(self, database: Any, major: str) -> None:
        """Learn which minor version the image holds, and report it as RDS does."""
        if major not in minor_versions:
            try:
                said = run(
                    "podman",
                    "exec",
                    self._site.container(f"db-{database.db_instance_identifier}"),
                    "sh",
                    "-c",
                    "/usr/lib/postgresql/*/bin/postgres --version",
                )
            except CommandError as error:
                log.warning("%s", error)
                return
            match = re.search(r"\b(\d+\.\d+)\b", said)
            if match is None:
                return
            minor_versions[major] = match[1]
        with account.lock:
            database.engine_version = minor_versions[major]

    def _thing(self, database: Any) -> _Thing:
        return self._things[database.db_instance_identifier]

    def follow(self, database: Any, *, group_changed: bool) -> None:
        """Follow a modification: groups, password; a new parameter group waits for a reboot.

        Args:
            database: moto's instance, as it is now.
            group_changed: whether it has another parameter group than before.
        """
        with account.lock:
            password = password_of(database)
            nic = getattr(database, "real_nic", None)
            if nic is not None:
                nic._group_set = _groups(database)  # noqa: SLF001 - moto offers no other way
            if group_changed:
                database.parameter_status = "pending-reboot"

        def act() -> None:
            thing = self._thing(database)
            if password != thing.secret:
                thing.database.set_password(password)
                thing.secret = password
            self._networks.reconcile()

        changes_password = password != self._thing(database).secret
        self._do(database, "resetting-master-credentials" if changes_password else "modifying", act)

    def apply_parameters(self, database: Any) -> None:
        """Put a changed parameter group in force, as far as that goes without a reboot.

        Args:
            database: moto's instance.
        """
        with account.lock:
            parameters = parameters_of(database)
            database.parameter_status = "applying"

        def work() -> None:
            try:
                pending = self._thing(database).database.apply_parameters(parameters)
            except Exception:
                log.exception("%s: parameters", database.db_instance_identifier)
                pending = ("failed",)
            with account.lock:
                database.parameter_status = "pending-reboot" if pending else "in-sync"

        threading.Thread(target=work, daemon=True).start()

    def stop(self, database: Any) -> None:
        """Stop the server; its data stay."""
        self._do(database, "stopping", self._thing(database).database.stop, "stopped")

    def start(self, database: Any) -> None:
        """Start a stopped server again."""
        self._do(database, "starting", self._thing(database).database.start)

    def reboot(self, database: Any) -> None:
        """Restart the server; parameters that waited are in force then."""
        with account.lock:
            parameters = parameters_of(database)

        def act() -> None:
            real = self._thing(database).database
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
                self._thing(database).database.snapshot(snapshot.db_snapshot_identifier)
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
            thing = self._things.pop(database.db_instance_identifier, None)
            if thing is not None:
                if final_snapshot is not None:
                    thing.database.snapshot(final_snapshot.db_snapshot_identifier)
                    with account.lock:
                        final_snapshot.status = "available"
                thing.database.remove()
                self._networks.detach(thing.nic_id)
            with account.lock:
                _unplug(database)
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
                }
                for region in account.rds_regions()
                for database in account.rds(region).databases.values()
            ]

    def close(self) -> None:
        """Remove all databases."""
        with self._lock:
            things, self._things = list(self._things.values()), {}
        threads = [threading.Thread(target=thing.database.remove, daemon=True) for thing in things]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)


def password_of(database: Any) -> str:
    """Return the master password that the account says is in force.

    Args:
        database: moto's instance.

    Returns:
        The password: of the managed secret, or of the last call that set one.
    """
    if database.manage_master_user_password:
        secret = database.master_user_secret.secret
        version = secret.versions[secret.default_version_id]
        return str(json.loads(version["secret_string"])["password"])
    return str(database._master_user_password or "")  # noqa: SLF001 - moto makes it write-only


def parameters_of(database: Any) -> dict[str, str]:
    """Return what the instance's parameter group says otherwise than the engine's defaults.

    Args:
        database: moto's instance.

    Returns:
        Names and values.
    """
    return {
        name: str(parameter["ParameterValue"])
        for group in database.db_parameter_groups()
        for name, parameter in group.parameters.items()
        if "ParameterValue" in parameter
    }


def _groups(database: Any) -> list[Any]:
    backend = account.ec2(database.region)
    found = [backend.get_security_group_from_id(group_id) for group_id in database.vpc_security_group_ids]
    return [group for group in found if group is not None]


def _plug_in(database: Any) -> Any:
    """Give the instance a network interface in one of its subnets, as RDS does."""
    backend = account.ec2(database.region)
    group = getattr(database, "db_subnet_group", None)
    if group is None:
        subnets = list(backend.get_default_subnets().values())
    else:
        subnets = [backend.get_subnet(item["SubnetIdentifier"]) for item in group.subnets]
    wanted = [s for s in subnets if s.availability_zone == database.availability_zone]
    subnet = (wanted or sorted(subnets, key=lambda s: s.availability_zone))[0]
    address = subnet.get_available_subnet_ip(database)
    nic = backend.create_network_interface(
        subnet, address, group_ids=list(database.vpc_security_group_ids), description="RDSNetworkInterface"
    )
    nic.requester_managed, nic.status = True, "in-use"
    database.availability_zone = subnet.availability_zone
    database.private_ip_address, database.real_nic = address, nic
    return nic


def _unplug(database: Any) -> None:
    nic = getattr(database, "real_nic", None)
    if nic is not None:
        account.ec2(database.region).enis.pop(nic.id, None)
        nic.subnet.del_subnet_ip(nic.private_ip_address)
