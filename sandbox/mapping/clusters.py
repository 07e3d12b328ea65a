"""Runs a real server for every member of an Aurora cluster; one of them writes, and the others follow."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from sandbox import account
from sandbox.mapping import database_objects as objects
from sandbox.mapping.engines import ENGINES
from sandbox.mapping.networks import Networks
from sandbox.mapping.public_names import PublicNames
from sandbox.mapping.turns import Turns, do_together
from sandbox.real import images
from sandbox.real.certificates import Authority
from sandbox.real.clusters import Cluster
from sandbox.real.databases import remove_snapshot
from sandbox.real.members import Member
from sandbox.real.site import Site

log = logging.getLogger(__name__)

_BROKEN = "cloning-failed"
"""What a cluster is called here whose change failed: RDS has no word that fits, and this one is for ever."""
_MIB_PER_ACU = 2048
"""Source: "Aurora Serverless v2 capacity", Amazon Aurora User Guide."""
_MOST_MIB = 4096
"""Of a member here, whatever its capacity."""


class Clusters:
    """The real clusters of a sandbox.

    Args:
        site: its piece of the machine's network.
        networks: where their members are plugged in.
        authority: signs the members' certificates.
        names: those of the publicly accessible ones.
    """

    def __init__(self, site: Site, networks: Networks, authority: Authority, names: PublicNames) -> None:
        self._site = site
        self._networks = networks
        self._authority = authority
        self._names = names
        self._real: dict[str, Cluster] = {}
        self._secrets: dict[str, str] = {}
        """The master passwords in force."""
        self._turns = Turns()

    def _do(self, shown: Any, status: str, action: Callable[[], None], then: str = "available") -> None:
        """Show a status of a cluster or of a member, do something when the cluster is free, show another."""

        def show(end: str) -> None:
            with account.lock:
                shown.status = end
                self._names.follow()

        def act() -> None:
            action()
            show(then)

        show(status)
        cluster = getattr(shown, "cluster", shown)
        failed = _BROKEN if cluster is shown else "failed"
        self._turns.begin(f"cluster {_key(cluster)}", status, act, lambda _: show(failed))

    def create(self, cluster: Any, snapshot: str | None = None) -> None:
        """Have a new cluster, without members.

        Args:
            cluster: moto's cluster.
            snapshot: the key of the snapshot whose data it begins with, if any.
        """
        with account.lock:
            password = objects.password_of(cluster)

        def act() -> None:
            real = Cluster(self._site, _key(cluster))
            if snapshot is not None:
                real.restore(_kept_as(snapshot))
            self._real[_key(cluster)], self._secrets[_key(cluster)] = real, password

        self._do(cluster, "creating", act)

    def add(self, member: Any) -> None:
        """Start a member; the cluster's first one writes."""
        cluster = member.cluster
        with account.lock:
            nic = objects.plug_in(member)

        def act() -> None:
            server = self._describe(member, nic.id)
            with account.lock:
                password = objects.password_of(cluster)
            self._real[_key(cluster)].add(server, password)
            self._secrets[_key(cluster)] = password
            self._show_writer(cluster)
            version = ENGINES[cluster.engine].note(server.version())
            with account.lock:
                cluster.engine_version = version

        self._do(member, "creating", act)

    def _describe(self, member: Any, nic_id: str) -> Member:
        cluster = member.cluster
        image = images.ensure(
            ENGINES[cluster.engine].image(str(cluster.engine_version)),
            lambda line: log.info("%s", line),
            ca=self._authority.ca_pem_path,
        )
        netns = self._networks.attach(member.region, nic_id)
        with account.lock:
            names = [member.address, cluster.endpoint, cluster.reader_endpoint]
            most_acu = float(cluster.serverless_v2_scaling_configuration["max_capacity"])
            facts = {
                "master_user": cluster.master_username,
                "password": objects.password_of(cluster),
                "database": cluster.database_name or None,
                "parameters": objects.cluster_parameters_of(cluster),
                "port": int(cluster.port),
            }
        certificate, key = self._authority.issue(names, [])
        server = cast("type[Member]", ENGINES[cluster.engine].server)
        return server(
            self._site,
            member.db_instance_identifier,
            netns,
            image,
            certificate=certificate,
            key=key,
            memory_mib=min(int(most_acu * _MIB_PER_ACU), _MOST_MIB),
            **facts,
        )

    def _show_writer(self, cluster: Any) -> None:
        """Say which member writes: the names of the cluster lead there from now on."""
        writer = self._real[_key(cluster)].writer
        with account.lock:
            for member in objects.members_of(cluster):
                member.is_cluster_writer = member.db_instance_identifier == writer
            self._names.follow()

    def failover(self, cluster: Any, target: str) -> None:
        """Have another member write.

        Args:
            cluster: moto's cluster.
            target: the other member's id.
        """

        def act() -> None:
            self._real[_key(cluster)].failover(target, lambda: self._show_writer(cluster))

        self._do(cluster, "failing-over", act)

    def follow(self, cluster: Any) -> None:
        """Follow a modification: groups, password, parameter group.

        Args:
            cluster: moto's cluster, as it is now.
        """
        with account.lock:
            password = objects.password_of(cluster)
            for member in objects.members_of(cluster):
                nic = getattr(member, "real_nic", None)
                if nic is not None:
                    nic._group_set = objects.security_groups(member)  # noqa: SLF001 - moto offers no other way
        changes_password = password != self._secrets[_key(cluster)]

        def act() -> None:
            if changes_password:
                self._real[_key(cluster)].set_password(password)
                self._secrets[_key(cluster)] = password
            self._put_parameters_in_force(cluster)
            self._networks.reconcile()

        self._do(cluster, "resetting-master-credentials" if changes_password else "modifying", act)

    def apply_parameters(self, cluster: Any) -> None:
        """Put a changed parameter group in force, as far as that goes without a reboot."""
        self._do(cluster, cluster.status, partial(self._put_parameters_in_force, cluster), cluster.status)

    def _put_parameters_in_force(self, cluster: Any) -> None:
        with account.lock:
            parameters = objects.cluster_parameters_of(cluster)
        self._real[_key(cluster)].apply_parameters(parameters)

    def stop(self, cluster: Any) -> None:
        """Stop all members; their data stay."""
        self._do_to_all(cluster, "stopping", self._real[_key(cluster)].stop, "stopped")

    def start(self, cluster: Any) -> None:
        """Start a stopped cluster again."""
        self._do_to_all(cluster, "starting", self._real[_key(cluster)].start, "available")

    def _do_to_all(self, cluster: Any, status: str, action: Callable[[], None], then: str) -> None:
        def show(state: str) -> None:
            with account.lock:
                for member in objects.members_of(cluster):
                    member.status = state

        def act() -> None:
            action()
            show(then)

        show(status)
        self._do(cluster, status, act, then)

    def reboot(self, member: Any) -> None:
        """Restart a member; parameters that waited are in force then."""
        server = self._real[_key(member.cluster)].members[member.db_instance_identifier]
        self._do(member, "rebooting", server.reboot)

    def follow_access(self, member: Any) -> None:
        """Follow a member that has become publicly accessible, or is no longer."""
        with account.lock:
            objects.follow_access(member)
        self._do(member, "modifying", self._networks.reconcile)

    def remove(self, member: Any, forget: Callable[[], None]) -> None:
        """Remove a member.

        Args:
            member: moto's instance.
            forget: takes the instance out of the account when it is gone.
        """
        cluster, name = member.cluster, member.db_instance_identifier

        def act() -> None:
            real = self._real[_key(cluster)]
            if name in real.members:
                real.remove(name)
            with account.lock:
                nic = getattr(member, "real_nic", None)
                objects.unplug(member)
                forget()
            if nic is not None:
                self._networks.detach(nic.id)
            self._show_writer(cluster)
            self._networks.reconcile()

        self._do(member, "deleting", act, "deleted")

    def snapshot(self, cluster: Any, snapshot: Any) -> None:
        """Copy the data into a snapshot.

        Args:
            cluster: moto's cluster.
            snapshot: moto's snapshot of it.
        """
        self._do(cluster, "backing-up", self._filling(cluster, snapshot))

    def _filling(self, cluster: Any, snapshot: Any) -> Callable[[], None]:
        """Begin a snapshot; returns what ends it."""
        name = _kept_as(snapshot.db_cluster_snapshot_identifier)
        with account.lock:
            snapshot.status, snapshot.master_password = "creating", objects.password_of(cluster)

        def act() -> None:
            end = "failed"
            try:
                self._real[_key(cluster)].snapshot(name)
                end = "available"
            finally:
                with account.lock:
                    snapshot.status = end

        return act

    def drop_snapshot(self, snapshot_id: str) -> None:
        """Remove a snapshot's data."""
        remove_snapshot(self._site, _kept_as(snapshot_id))

    def delete(self, cluster: Any, final_snapshot: Any, forget: Callable[[], None]) -> None:
        """Remove the data of a cluster without members, after a last snapshot if one is wanted.

        Args:
            cluster: moto's cluster.
            final_snapshot: moto's snapshot to fill first, or nothing.
            forget: takes the cluster out of the account when it is gone.
        """
        fill = self._filling(cluster, final_snapshot) if final_snapshot is not None else None

        def act() -> None:
            if fill is not None:
                fill()
            self._real.pop(_key(cluster)).delete()
            with account.lock:
                forget()

        self._do(cluster, "deleting", act, "deleted")

    def close(self) -> None:
        """Remove all clusters."""
        clusters, self._real = list(self._real.values()), {}
        do_together(cluster.delete for cluster in clusters)


def _key(cluster: Any) -> str:
    return str(cluster.db_cluster_identifier)


def _kept_as(snapshot_id: str) -> str:
    """Name a snapshot's data: those of instances may have the same id, and no colon in it."""
    return f"cluster:{snapshot_id}"
