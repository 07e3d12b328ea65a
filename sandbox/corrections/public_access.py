"""RDS: who may be publicly accessible, and who is when nobody says so.

What follows from it on the network: `sandbox.mapping.database_objects`.
"""

from __future__ import annotations

from typing import Any

from sandbox import account
from sandbox.api import wire
from sandbox.api.call import Call
from sandbox.api.correction import Correction
from sandbox.api.refusal import Refusal
from sandbox.corrections.cluster_checks import cluster_of
from sandbox.corrections.cluster_member_checks import member_of
from sandbox.mapping.infrastructure import Infrastructure

correction = Correction()

_NEW = ("CreateDBInstance", "RestoreDBInstanceFromDBSnapshot")


def _wanted(call: Call) -> bool | None:
    """Return what a call says, or None: nothing."""
    said = call.params.get("PubliclyAccessible")
    return None if said is None else str(said).lower() == "true"


def _subnets(call: Call) -> Any:
    """Return the group of subnets that a database is in or will be in, or None: those of the default VPC."""
    params, backend = call.params, account.rds(call.region)
    if call.action == "ModifyDBInstance":
        database = backend.databases.get(str(params.get("DBInstanceIdentifier")))
        return getattr(database, "db_subnet_group", None)
    snapshot = backend.database_snapshots.get(str(params.get("DBSnapshotIdentifier")).rpartition(":")[2])
    model = cluster_of(call) or getattr(snapshot, "database", None)
    name = params.get("DBSubnetGroupName") or getattr(model, "db_subnet_group_name", None)
    return backend.subnet_groups.get(str(name).lower())


def _vpc(call: Call) -> Any:
    backend, group = account.ec2(call.region), _subnets(call)
    return backend.vpcs.get(group.vpc_id) if group is not None else backend.get_default_vpc()


def _has_gateway(call: Call, vpc: Any) -> bool:
    gateways = account.ec2(call.region).internet_gateways.values()
    return any(gateway.vpc is not None and gateway.vpc.id == vpc.id for gateway in gateways)


@correction.refuses("rds", *_NEW, "ModifyDBInstance")
def _check(call: Call) -> None:
    """Want names and a way in.

    Sources: https://github.com/hackoregon/civic-devops/issues/281,
    https://github.com/confluentinc/examples/pull/1028
    """
    exists = str(call.params.get("DBInstanceIdentifier")) in account.rds(call.region).databases
    vpc = _vpc(call) if _wanted(call) and (exists or call.action in _NEW) else None
    if vpc is None:
        return
    attributes = (vpc.enable_dns_support, vpc.enable_dns_hostnames)
    lacks = ""
    if any(str(value).lower() != "true" for value in attributes):
        lacks = "does not support DNS resolution, DNS hostnames, or both. "
    elif not _has_gateway(call, vpc):
        lacks = "has no internet gateway attached."
    if lacks:
        raise Refusal(
            "InvalidVPCNetworkStateFault",
            "Cannot create a publicly accessible DBInstance. "
            f"The specified VPC {lacks}Update the VPC and then try again",
        )


@correction.follows("rds", *_NEW)
def _fill_in(call: Call) -> None:
    """Make it public where AWS does. Source: PubliclyAccessible of CreateDBInstance, RDS's API reference.

    A default VPC without a gateway, of which that page says an error, gives a private one here.
    """
    wanted, group, vpc = _wanted(call), _subnets(call), _vpc(call)
    if wanted is None:
        is_default = group is None or group.name == "default"
        is_member = bool(call.params.get("DBClusterIdentifier"))
        wanted = is_default and not is_member and vpc is not None and _has_gateway(call, vpc)
    account.rds(call.region).databases[str(call.params["DBInstanceIdentifier"])].publicly_accessible = wanted


@correction.acts("rds", "ModifyDBInstance")
def _follow(call: Call, infrastructure: Infrastructure) -> None:
    """Change a member at once; an instance follows with all else that the call says of it."""
    member = member_of(call)
    if member is not None and _wanted(call) is not None:
        infrastructure.clusters.follow_access(member)
        call.response = wire.render_result(call, {"DBInstance": member})
