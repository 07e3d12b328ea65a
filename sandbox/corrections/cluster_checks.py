"""Aurora clusters: what AWS refuses and moto takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sandbox import account
from sandbox.api.call import Call
from sandbox.api.correction import Correction
from sandbox.api.refusal import Refusal, unsupported
from sandbox.corrections.database_storage import USABLE
from sandbox.mapping.database_objects import members_of
from sandbox.mapping.engines import ENGINES

correction = Correction()

CAPACITIES = (0.0, 256.0)
"""The least and the most ACUs of the versions that there are here.

Source: "Aurora Serverless v2 capacity", Amazon Aurora User Guide.
"""
_LEAST_OF_MOST = 1.0


def invalid(message: str) -> Refusal:
    """Refuse a value."""
    return Refusal("InvalidParameterValue", message)


def impossible(message: str) -> Refusal:
    """Refuse values that do not go together."""
    return Refusal("InvalidParameterCombination", message)


def wrong_state(message: str) -> Refusal:
    """Refuse what a cluster cannot do now."""
    return Refusal("InvalidDBClusterStateFault", message)


def _true(call: Call, name: str) -> bool:
    return str(call.params.get(name)).lower() == "true"


def cluster_of(call: Call) -> Any:
    """Return the cluster that a call names, or None."""
    return account.rds(call.region).clusters.get(str(call.params.get("DBClusterIdentifier")))


@correction.refuses("rds", "CreateDBCluster")
def _check_new(call: Call) -> None:
    params, backend = call.params, account.rds(call.region)
    if cluster_of(call) is not None:
        raise Refusal("DBClusterAlreadyExistsFault", "DB Cluster already exists")
    name, version = str(params.get("Engine") or ""), str(params.get("EngineVersion") or "")
    engine = ENGINES.get(name)
    if engine is None or not engine.is_clustered:
        raise unsupported(f"clusters of the engine {name!r}")
    if version and not engine.is_offered(version):
        raise impossible(f"Cannot find version {version} for {name}")
    params["EngineVersion"] = version = version or engine.versions()[0]
    subnets = params.get("DBSubnetGroupName")
    if subnets and str(subnets).lower() not in backend.subnet_groups:
        raise Refusal("DBSubnetGroupNotFoundFault", f"DB subnet group '{subnets}' does not exist.")
    _check_group(backend, params, engine.family(version))


def _check_group(backend: Any, params: dict[str, Any], family: str) -> None:
    name = str(params.get("DBClusterParameterGroupName") or "")
    if not name or name.startswith("default."):
        return
    group = backend.db_cluster_parameter_groups.get(name)
    if group is None:
        raise Refusal("DBClusterParameterGroupNotFound", f"DBClusterParameterGroup not found: {name}", 404)
    if group.db_parameter_group_family != family:
        raise impossible(
            f"The Parameter Group {name} with DBParameterGroupFamily {group.db_parameter_group_family} can't "
            f"be used for this cluster. Please use a Parameter Group with DBParameterGroupFamily {family}"
        )


@correction.refuses("rds", "CreateDBCluster", "ModifyDBCluster", "RestoreDBClusterFromSnapshot")
def _check_capacity(call: Call) -> None:
    """Source: ServerlessV2ScalingConfiguration in RDS's API reference.

    The first message: https://github.com/crossplane-contrib/provider-upjet-aws/issues/1165
    """
    asked = call.params.get("ServerlessV2ScalingConfiguration")
    if not asked:
        return
    before = getattr(cluster_of(call), "serverless_v2_scaling_configuration", None) or {}
    least = asked.get("MinCapacity", before.get("min_capacity"))
    most = asked.get("MaxCapacity", before.get("max_capacity"))
    if least is None or most is None:
        raise invalid(
            "Both MinCapacity and MaxCapacity must be specified when you initialize Serverless v2 scaling "
            "configuration."
        )
    numbers = float(least), float(most)
    if any(number * 2 % 1 for number in numbers):
        raise invalid("Serverless v2 capacity must be in increments of 0.5 ACU.")
    if not CAPACITIES[0] <= numbers[0] <= numbers[1] <= CAPACITIES[1] or numbers[1] < _LEAST_OF_MOST:
        raise invalid(
            f"Serverless v2 capacity {least} to {most} isn't valid: the least is {CAPACITIES[0]:g} or more, "
            f"the maximum {_LEAST_OF_MOST:g} to {CAPACITIES[1]:g}, and not below the minimum."
        )


_NEEDS: dict[str, Iterable[str]] = {
    "ModifyDBCluster": USABLE,
    "FailoverDBCluster": USABLE,
    "StopDBCluster": {"available"},
    "CreateDBClusterSnapshot": USABLE,
    "DeleteDBCluster": USABLE,
}


@correction.refuses("rds", *_NEEDS)
def _check_state(call: Call) -> None:
    cluster = cluster_of(call)
    if cluster is not None and cluster.status not in _NEEDS[call.action]:
        raise wrong_state(
            f"DbCluster {cluster.db_cluster_identifier} is in {cluster.status} state but expected it to be "
            f"one of {', '.join(sorted(_NEEDS[call.action]))}."
        )


@correction.refuses("rds", "StopDBCluster", "FailoverDBCluster")
def _check_members(call: Call) -> None:
    cluster = cluster_of(call)
    target = call.params.get("TargetDBInstanceIdentifier")
    if cluster is None:
        return
    members = {one.db_instance_identifier: one for one in members_of(cluster)}
    if call.action == "StopDBCluster" and not members:
        raise wrong_state(f"DbCluster {cluster.db_cluster_identifier} has no DB instances")
    if target and target not in members:
        raise invalid(f"Cannot find target instance: {target}")
    if target and members[str(target)].is_cluster_writer:
        raise invalid(f"Target instance {target} is already a writer")


@correction.refuses("rds", "ModifyDBCluster")
def _check_modification(call: Call) -> None:
    params, cluster = call.params, cluster_of(call)
    if cluster is None:
        raise Refusal("DBClusterNotFoundFault", f"DBCluster {params['DBClusterIdentifier']} not found.", 404)
    if _true(call, "RotateMasterUserPassword") and not _true(call, "ApplyImmediately"):
        # moto loses the cluster before it says so.
        raise impossible("You must specify apply immediately when rotating the master user password.")
    engine, version = ENGINES[cluster.engine], str(params.get("EngineVersion") or "")
    current = str(cluster.engine_version)
    if version and version not in {current, engine.major(current)}:
        if not engine.is_offered(version):
            raise impossible(f"Cannot find version {version} for {engine.name}")
        raise unsupported(f"an upgrade of a cluster from {current} to {version}")
    _check_group(account.rds(call.region), params, engine.family(current))


@correction.refuses("rds", "DeleteDBCluster")
def _check_end(call: Call) -> None:
    params, cluster = call.params, cluster_of(call)
    skips, name = _true(call, "SkipFinalSnapshot"), params.get("FinalDBSnapshotIdentifier")
    if skips and name:
        raise impossible("FinalDBSnapshotIdentifier can not be specified when SkipFinalSnapshot is true.")
    if not skips and not name:
        raise impossible("FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.")
    if cluster is not None and any(one.status != "deleting" for one in members_of(cluster)):
        raise wrong_state("Cluster cannot be deleted, it still contains DB instances in non-deleting state.")


@correction.refuses("rds", "RestoreDBClusterFromSnapshot")
def _check_snapshot(call: Call) -> None:
    params, backend = call.params, account.rds(call.region)
    if cluster_of(call) is not None:
        raise Refusal("DBClusterAlreadyExistsFault", "DB Cluster already exists")
    key = str(params.get("SnapshotIdentifier")).rpartition(":")[2].lower()
    snapshot = backend.cluster_snapshots.get(key)
    if snapshot is None:
        raise Refusal("DBClusterSnapshotNotFoundFault", f"DBClusterSnapshot {key} not found.", 404)
    if snapshot.status != "available":
        raise Refusal(
            "InvalidDBClusterSnapshotStateFault", f"The snapshot {key} is not available: {snapshot.status}"
        )
    if params.get("Engine") != snapshot.engine:
        raise impossible(f"The snapshot is of {snapshot.engine}.")
    engine, version = ENGINES[snapshot.engine], str(params.get("EngineVersion") or snapshot.engine_version)
    if engine.major(version) != engine.major(str(snapshot.engine_version)):
        raise unsupported("a restore with another major version")
    _check_group(backend, params, engine.family(version))


@correction.refuses("rds", "DeleteDBClusterParameterGroup")
def _keep_used_group(call: Call) -> None:
    name = str(call.params.get("DBClusterParameterGroupName") or "").lower()
    if any(cluster.parameter_group == name for cluster in account.rds(call.region).clusters.values()):
        raise Refusal(
            "InvalidDBParameterGroupState",
            f"One or more database clusters are still members of this parameter group {name}, "
            "so the group cannot be deleted",
        )


@correction.refuses("rds", "DeleteDBSubnetGroup")
def _keep_used_subnet_group(call: Call) -> None:
    name = str(call.params.get("DBSubnetGroupName") or "").lower()
    for cluster in account.rds(call.region).clusters.values():
        if cluster.db_subnet_group_name == name:
            raise Refusal(
                "InvalidDBSubnetGroupStateFault",
                f"Cannot delete the subnet group '{name}' because at least one database cluster: "
                f"{cluster.db_cluster_identifier} is still using it.",
            )
