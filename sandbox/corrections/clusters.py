"""Aurora clusters: their states, names and secret, their members, and the servers behind them."""

from __future__ import annotations

from typing import Any

from moto.rds.models import DBCluster, RDSBackend

from sandbox import account
from sandbox.api import wire
from sandbox.api.call import Call
from sandbox.api.correction import Correction, substitute
from sandbox.corrections.cluster_checks import cluster_of
from sandbox.corrections.cluster_member_checks import member_of
from sandbox.corrections.database_offers import zones
from sandbox.corrections.databases import LIFECYCLE, mark_of, new_resource_id
from sandbox.mapping.engines import ENGINES
from sandbox.mapping.infrastructure import Infrastructure

correction = Correction()

_KEPT = ("engine", "engine_version", "master_username", "port", "storage_encrypted", "kms_key_id")
"""What a restored cluster has from its snapshot, unless the call says otherwise."""

_ZONES = 3
"""Of a cluster. Source: AvailabilityZones of CreateDBCluster, RDS's API reference."""


@correction.patch
def _patch(infrastructure: Infrastructure) -> None:
    """Give clusters the names and the status of real ones, and let them be restored."""

    def status(self: Any) -> str:
        return str(self.__dict__.get("_status", "available"))

    def set_status(self: Any, value: str) -> None:
        self.__dict__["_status"] = value

    def endpoint(self: Any) -> str:
        mark = mark_of(infrastructure.site, self.region)
        return f"{self.db_cluster_identifier}.cluster-{mark}.{self.region}.rds.amazonaws.com"

    def reader_endpoint(self: Any) -> str:
        return endpoint(self).replace(".cluster-", ".cluster-ro-", 1)

    substitute(DBCluster, "status", property(status, set_status))
    substitute(DBCluster, "endpoint", property(endpoint))
    substitute(DBCluster, "reader_endpoint", property(reader_endpoint))
    # The automated backups of AWS are not taken here; moto would list one that holds nothing.
    substitute(DBCluster, "save_automated_backup", lambda _: None)
    substitute(RDSBackend, "restore_db_cluster_from_snapshot", _restore)


def _restore(backend: Any, from_snapshot_id: str, overrides: dict[str, Any]) -> Any:
    """Make a cluster like that of a snapshot; its master has the password that it had then."""
    snapshot = backend.cluster_snapshots[str(from_snapshot_id).rpartition(":")[2].lower()]
    kept = {name: getattr(snapshot.cluster, name) for name in _KEPT}
    kept["master_user_password"] = snapshot.master_password
    asked = {name: value for name, value in overrides.items() if name != "snapshot_identifier"}
    return backend.create_db_cluster(kept | asked)


def _show(call: Call, cluster: Any) -> None:
    """Answer with the cluster as it is now: moto answered before the servers were told."""
    call.response = wire.render_result(call, {"DBCluster": cluster})


@correction.acts("rds", "CreateDBCluster", "RestoreDBClusterFromSnapshot")
def _create(call: Call, infrastructure: Infrastructure) -> None:
    cluster, params = cluster_of(call), call.params
    cluster.storage_type = params.get("StorageType") or "aurora"
    cluster.engine_lifecycle_support = params.get("EngineLifecycleSupport") or LIFECYCLE
    named = params.get("AvailabilityZones") or []
    # RDS chooses of all zones, and adds to those that are named until there are three.
    others = [zone for zone in reversed(zones(call.region)) if zone not in named]
    cluster.availability_zones = sorted([*named, *others][: max(_ZONES, len(named))])
    if call.action == "CreateDBCluster":
        # Filled in where the call left it out; moto has read the call as it came.
        cluster.engine_version = params["EngineVersion"]
    if not params.get("DBClusterParameterGroupName"):
        family = ENGINES[cluster.engine].family(str(cluster.engine_version))
        cluster.parameter_group = f"default.{family}"
    snapshot = params.get("SnapshotIdentifier")
    infrastructure.clusters.create(cluster, str(snapshot).rpartition(":")[2].lower() if snapshot else None)
    _show(call, cluster)


@correction.acts("rds", "CreateDBInstance")
def _add(call: Call, infrastructure: Infrastructure) -> None:
    member = member_of(call)
    if member is None:
        return
    group = account.rds(call.region).subnet_groups.get(member.cluster.db_subnet_group_name)
    if group is not None:
        member.db_subnet_group = group
    member.port, member.dbi_resource_id = member.cluster.port, new_resource_id()
    if not call.params.get("AvailabilityZone"):
        member.availability_zone = ""
    infrastructure.clusters.add(member)
    call.response = wire.render_result(call, {"DBInstance": member})


@correction.refuses("rds", "ModifyDBCluster")
def _remember(call: Call) -> None:
    cluster = cluster_of(call)
    call.notes["cluster version"] = cluster.engine_version if cluster is not None else ""


@correction.acts("rds", "ModifyDBCluster")
def _modify(call: Call, infrastructure: Infrastructure) -> None:
    cluster = cluster_of(call)
    # A major version that it has is no wish for another minor one.
    cluster.engine_version = call.notes["cluster version"]
    infrastructure.clusters.follow(cluster)
    _show(call, cluster)


@correction.refuses("rds", "FailoverDBCluster")
def _remember_writer(call: Call) -> None:
    cluster = cluster_of(call)
    call.notes["writer"] = cluster.writer if cluster is not None else None


@correction.acts("rds", "FailoverDBCluster")
def _failover(call: Call, infrastructure: Infrastructure) -> None:
    cluster = cluster_of(call)
    target = cluster.writer.db_instance_identifier
    # On AWS the other one writes when it does; moto says so at once.
    cluster.writer.is_cluster_writer = False
    cluster.writer = call.notes["writer"]
    infrastructure.clusters.failover(cluster, target)
    _show(call, cluster)


@correction.acts("rds", "StopDBCluster", "StartDBCluster")
def _act(call: Call, infrastructure: Infrastructure) -> None:
    clusters, cluster = infrastructure.clusters, cluster_of(call)
    (clusters.stop if call.action == "StopDBCluster" else clusters.start)(cluster)
    _show(call, cluster)


@correction.acts("rds", "RebootDBInstance")
def _reboot(call: Call, infrastructure: Infrastructure) -> None:
    member = member_of(call)
    if member is not None:
        infrastructure.clusters.reboot(member)
        call.response = wire.render_result(call, {"DBInstance": member})


@correction.acts("rds", "ModifyDBClusterParameterGroup")
def _apply_parameters(call: Call, infrastructure: Infrastructure) -> None:
    name = str(call.params.get("DBClusterParameterGroupName")).lower()
    for cluster in account.rds(call.region).clusters.values():
        if cluster.parameter_group == name and cluster.status == "available":
            infrastructure.clusters.apply_parameters(cluster)


@correction.acts("rds", "CreateDBClusterSnapshot")
def _snapshot(call: Call, infrastructure: Infrastructure) -> None:
    snapshot = account.rds(call.region).cluster_snapshots[str(call.params["DBClusterSnapshotIdentifier"])]
    infrastructure.clusters.snapshot(cluster_of(call), snapshot)
    call.response = wire.render_result(call, {"DBClusterSnapshot": snapshot})


@correction.acts("rds", "DeleteDBClusterSnapshot")
def _drop_snapshot(call: Call, infrastructure: Infrastructure) -> None:
    infrastructure.clusters.drop_snapshot(str(call.params["DBClusterSnapshotIdentifier"]).lower())


@correction.refuses("rds", "DeleteDBInstance", "DeleteDBCluster")
def _remember_deleted(call: Call) -> None:
    call.notes["member"], call.notes["cluster"] = member_of(call), cluster_of(call)


@correction.acts("rds", "DeleteDBInstance")
def _remove(call: Call, infrastructure: Infrastructure) -> None:
    member, databases = call.notes["member"], account.rds(call.region).databases
    if member is None:
        return
    key = member.db_instance_identifier
    # On AWS it is listed as deleting until its server is gone.
    databases[key] = member
    infrastructure.clusters.remove(member, lambda: databases.pop(key, None) and None)
    call.response = wire.render_result(call, {"DBInstance": member})


@correction.acts("rds", "DeleteDBCluster")
def _delete(call: Call, infrastructure: Infrastructure) -> None:
    cluster, backend = call.notes["cluster"], account.rds(call.region)
    key = cluster.db_cluster_identifier
    backend.clusters[key] = cluster
    snapshot = backend.cluster_snapshots.get(str(call.params.get("FinalDBSnapshotIdentifier")))
    infrastructure.clusters.delete(cluster, snapshot, lambda: backend.clusters.pop(key, None) and None)
    _show(call, cluster)
