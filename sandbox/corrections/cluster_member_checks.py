"""Members of Aurora clusters: what AWS refuses and moto takes."""

from __future__ import annotations

from typing import Any

from sandbox import account
from sandbox.api.call import Call
from sandbox.api.correction import Correction
from sandbox.api.refusal import Refusal, unsupported
from sandbox.corrections.cluster_checks import cluster_of, impossible, invalid, wrong_state
from sandbox.corrections.database_storage import USABLE
from sandbox.mapping.engines import ENGINES

correction = Correction()

SERVERLESS = "db.serverless"
_OF_THE_CLUSTER = (
    "AllocatedStorage",
    "BackupRetentionPeriod",
    "DBName",
    "DeletionProtection",
    "KmsKeyId",
    "ManageMasterUserPassword",
    "MasterUserPassword",
    "MasterUsername",
    "MaxAllocatedStorage",
    "StorageEncrypted",
    "VpcSecurityGroupIds",
)
"""What a member has from its cluster.

Source: what CreateDBInstance and ModifyDBInstance, RDS's API reference, call not applicable to Aurora.
"""


def member_of(call: Call) -> Any:
    """Return the member of a cluster that a call names, or None: it names none, or a database of its own."""
    database = account.rds(call.region).databases.get(str(call.params.get("DBInstanceIdentifier")))
    return database if database is not None and database.db_cluster_identifier else None


@correction.refuses("rds", "CreateDBInstance")
def _check_member(call: Call) -> None:
    params, cluster = call.params, cluster_of(call)
    engine = ENGINES.get(str(params.get("Engine") or ""))
    if not params.get("DBClusterIdentifier"):
        if engine is not None and engine.is_clustered:
            raise impossible(f"DB instances of {engine.name} must be members of a DB cluster.")
        return
    if cluster is None:
        raise Refusal("DBClusterNotFoundFault", f"DBCluster {params['DBClusterIdentifier']} not found.", 404)
    if engine is None or engine.name != cluster.engine:
        raise impossible(f"The engine of a member must be that of its cluster, {cluster.engine}.")
    _refuse_cluster_settings(call, "the DB Cluster")
    if params.get("DBInstanceClass") != SERVERLESS:
        raise unsupported(f"members of the class {params.get('DBInstanceClass')}; it has {SERVERLESS}")
    if not cluster.serverless_v2_scaling_configuration:
        # Source: https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1150
        raise impossible(
            "Set the Serverless v2 scaling configuration on the parent DB cluster before creating a "
            "Serverless v2 DB instance."
        )
    zone = str(params.get("AvailabilityZone") or "")
    group = account.rds(call.region).subnet_groups.get(cluster.db_subnet_group_name)
    zones = {one["SubnetAvailabilityZone"]["Name"] for one in group.subnets} if group is not None else {zone}
    if zone and zone not in zones:
        raise invalid(f"The subnet group has no subnet in {zone}: it has {', '.join(sorted(zones))}.")
    if zone and zone not in cluster.availability_zones:
        raise invalid(f"The cluster has no instances in {zone}: {', '.join(cluster.availability_zones)}.")
    if cluster.status not in USABLE:
        raise wrong_state(f"DbCluster {cluster.db_cluster_identifier} is in {cluster.status} state")


@correction.refuses("rds", "ModifyDBInstance")
def _check_change_of_member(call: Call) -> None:
    """Source: https://github.com/crossplane-contrib/provider-aws/issues/1529."""
    if member_of(call) is None:
        return
    _refuse_cluster_settings(call, "the DB Cluster using the ModifyDbCluster API")
    if call.params.get("DBInstanceClass") not in {None, SERVERLESS}:
        raise unsupported(f"members of the class {call.params['DBInstanceClass']}; it has {SERVERLESS}")


def _refuse_cluster_settings(call: Call, where: str) -> None:
    for name in _OF_THE_CLUSTER:
        if call.params.get(name) is not None:
            raise impossible(
                f"The specified DB Instance is a member of a cluster. Modify {name} for {where}."
            )


@correction.refuses("rds", "StopDBInstance", "StartDBInstance", "CreateDBSnapshot")
def _refuse_for_members(call: Call) -> None:
    member = member_of(call)
    if member is not None and call.action == "CreateDBSnapshot":
        raise invalid("The specified instance is a member of a cluster. Use CreateDBClusterSnapshot instead.")
    if member is not None:
        raise impossible(f"{member.engine} DB instances are not eligible for stopping and starting.")


@correction.refuses("rds", "DeleteDBInstance")
def _check_end_of_member(call: Call) -> None:
    """Source: https://github.com/cloud-custodian/cloud-custodian/issues/1153."""
    member = member_of(call)
    if member is None:
        return
    if call.params.get("FinalDBSnapshotIdentifier"):
        raise impossible("FinalDBSnapshotIdentifier can not be specified when deleting a cluster instance")
    if member.cluster.status not in USABLE:
        raise wrong_state(
            f"DbCluster {member.cluster.db_cluster_identifier} is in {member.cluster.status} state"
        )
