"""RDS: what AWS refuses and moto takes."""

from __future__ import annotations

import re
from typing import Any

from sandbox import account
from sandbox.api import principals
from sandbox.api.call import Call
from sandbox.api.correction import Correction
from sandbox.api.iam_demands import MONITORING
from sandbox.api.refusal import Refusal, unsupported
from sandbox.corrections import database_offers as offers
from sandbox.corrections.database_storage import USABLE
from sandbox.mapping.engines import ENGINES
from sandbox.ways import ways

correction = Correction()

_PASSWORD = re.compile(r"[!-~]+")
_FORBIDDEN_IN_PASSWORD = set('/@" ')
_PASSWORD_LENGTH = range(8, 129)
_RETENTION_MAX_DAYS = 35
_INTERVALS_S = (0, 1, 5, 10, 15, 30, 60)
_FREE_RETENTION_DAYS = 1
_RESERVED = {"admin", "rdsadmin", "rds_superuser", "rdsrepladmin", "rds_replication", "public", "user"}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_ZONES_MIN = 2


def _invalid(message: str) -> Refusal:
    return Refusal("InvalidParameterValue", message)


def _true(params: dict[str, Any], name: str) -> bool:
    return str(params.get(name)).lower() == "true"


def _is_member(call: Call) -> bool:
    """Say whether a new instance is to be a member of a cluster."""
    return call.action == "CreateDBInstance" and bool(call.params.get("DBClusterIdentifier"))


def _backend(call: Call) -> Any:
    return account.rds(call.region)


@correction.refuses("rds", "CreateDBInstance")
def _check_engine(call: Call) -> None:
    params = call.params
    if params.get("DBClusterIdentifier"):
        return
    name, version = str(params.get("Engine") or ""), str(params.get("EngineVersion") or "")
    engine = ENGINES.get(name)
    if engine is None:
        raise unsupported(f"the engine {name!r}; it runs {', '.join(ENGINES)}")
    if version and not engine.is_offered(version):
        raise Refusal("InvalidParameterCombination", f"Cannot find version {version} for {name}")
    if not version:
        params["EngineVersion"] = version = engine.versions()[0]
    kind = str(params.get("DBInstanceClass") or "")
    if kind not in offers.classes():
        raise _invalid(f"Invalid DB Instance class: {kind}")
    group = _backend(call).db_parameter_groups.get(str(params.get("DBParameterGroupName") or ""))
    family = engine.family(version)
    if group is not None and group.family != family:
        raise Refusal(
            "InvalidParameterCombination",
            f"The Parameter Group {group.name} with DBParameterGroupFamily {group.family} can't be used "
            f"for this instance. Please use a Parameter Group with DBParameterGroupFamily {family}",
        )


@correction.refuses("rds", "CreateDBInstance", "ModifyDBInstance", "CreateDBCluster", "ModifyDBCluster")
def _check_password(call: Call) -> None:
    params = call.params
    password, managed = params.get("MasterUserPassword"), _true(params, "ManageMasterUserPassword")
    if managed and password:
        raise Refusal(
            "InvalidParameterCombination",
            "You can't specify MasterUserPassword when ManageMasterUserPassword is enabled.",
        )
    is_new = call.action.startswith("Create") and not _is_member(call)
    if is_new and not managed and not password:
        raise _invalid("The parameter MasterUserPassword must be provided and must not be blank.")
    if password is None:
        return
    if not _PASSWORD.fullmatch(password) or _FORBIDDEN_IN_PASSWORD & set(password):
        raise _invalid(
            "The parameter MasterUserPassword is not a valid password. "
            "Only printable ASCII characters besides '/', '@', '\"', ' ' may be used."
        )
    if len(password) not in _PASSWORD_LENGTH:
        raise _invalid(
            "The parameter MasterUserPassword is not a valid password because it is "
            f"{'shorter' if len(password) < _PASSWORD_LENGTH.start else 'longer'} than allowed."
        )


@correction.refuses("rds", "CreateDBInstance", "CreateDBCluster")
def _check_names(call: Call) -> None:
    params = call.params
    user, name = str(params.get("MasterUsername") or ""), params.get("DBName", params.get("DatabaseName"))
    if _is_member(call):
        return
    if not user:
        raise _invalid("The parameter MasterUsername must be provided and must not be blank.")
    if user.lower() in _RESERVED:
        raise _invalid(f"MasterUsername {user} cannot be used as it is a reserved word used by the engine")
    if not _NAME.fullmatch(user):
        raise _invalid(
            "The parameter MasterUsername must begin with a letter and contain only letters and digits."
        )
    if name is not None and not _NAME.fullmatch(name):
        raise _invalid("DBName must begin with a letter and contain only alphanumeric characters.")


@correction.refuses("rds", "CreateDBInstance", "ModifyDBInstance")
def _check_monitoring(call: Call) -> None:
    """Want a role that RDS can take. Source: MonitoringInterval in the RDS API Reference."""
    interval, role_arn = call.params.get("MonitoringInterval"), call.params.get("MonitoringRoleArn")
    if interval is not None and int(interval) not in _INTERVALS_S:
        raise _invalid(f"Invalid monitoring interval: {interval}. Valid values are 0, 1, 5, 10, 15, 30, 60")
    if bool(role_arn) != bool(int(interval or 0)):
        raise Refusal(
            "InvalidParameterCombination",
            "A MonitoringRoleARN value is required if you specify a MonitoringInterval value other than 0.",
        )
    if not role_arn:
        return
    name = str(call.params["DBInstanceIdentifier"])
    source = f"arn:{account.PARTITION}:rds:{call.region}:{account.ACCOUNT_ID}:db:{name}"
    context = {"aws:sourceaccount": account.ACCOUNT_ID, "aws:sourcearn": source}
    if not principals.trusts_service(str(role_arn), MONITORING, context):
        raise _invalid(
            "The IAM role ARN value is invalid or does not include the required permissions for: "
            "ENHANCED_MONITORING"
        )


@correction.refuses("rds", "CreateDBInstance", "ModifyDBInstance", "CreateDBCluster", "ModifyDBCluster")
def _check_retention(call: Call) -> None:
    days = call.params.get("BackupRetentionPeriod")
    if days is not None and int(days) > _RETENTION_MAX_DAYS:
        raise _invalid(f"Invalid backup retention period: {days}. Retention period must be between 0 and 35")


@correction.refuses("rds", "CreateDBInstance", "ModifyDBInstance")
def _check_plan(call: Call) -> None:
    """Refuse what an account of the free plan does not get.

    Source: https://github.com/yc-software/qm/issues/352
    """
    if not ways.number("free-plan"):
        return
    if int(call.params.get("BackupRetentionPeriod") or 0) > _FREE_RETENTION_DAYS:
        raise Refusal(
            "FreeTierRestrictionError",
            "The specified backup retention period exceeds the maximum available to free tier customers. "
            "To remove all limitations, upgrade your account plan.",
        )
    if not str(call.params.get("DBInstanceClass") or ".micro").endswith(".micro"):
        raise Refusal(
            "FreeTierRestrictionError", "This instance size isn't available with free plan accounts."
        )


@correction.refuses(
    "rds",
    "CreateDBInstance",
    "ModifyDBInstance",
    "RestoreDBInstanceFromDBSnapshot",
    "CreateDBCluster",
    "ModifyDBCluster",
    "RestoreDBClusterFromSnapshot",
)
def _check_network(call: Call) -> None:
    params, backend = call.params, account.ec2(call.region)
    group = _backend(call).subnet_groups.get(str(params.get("DBSubnetGroupName") or ""))
    for group_id in params.get("VpcSecurityGroupIds") or []:
        found = backend.get_security_group_from_id(group_id)
        if found is None:
            raise _invalid(f"Invalid security group , groupId= {group_id}, groupName=.")
        if group is not None and found.vpc_id != group.vpc_id:
            raise Refusal(
                "InvalidParameterCombination",
                "The DB instance and EC2 security group are in different VPCs. "
                f"The DB instance is in {group.vpc_id} and the EC2 security group is in {found.vpc_id}",
            )


@correction.refuses("rds", "CreateDBSubnetGroup", "ModifyDBSubnetGroup")
def _check_zones(call: Call) -> None:
    params = call.params
    name = str(params.get("DBSubnetGroupName") or "").lower()
    if call.action == "CreateDBSubnetGroup" and name in _backend(call).subnet_groups:
        raise Refusal("DBSubnetGroupAlreadyExists", f"The DB subnet group '{name}' already exists.")
    subnets = [account.ec2(call.region).get_subnet(subnet_id) for subnet_id in params.get("SubnetIds") or []]
    if len({subnet.vpc_id for subnet in subnets}) > 1:
        raise Refusal("InvalidSubnet", "The subnets of a DB subnet group must all be in the same VPC.")
    zones = sorted({subnet.availability_zone for subnet in subnets})
    if len(zones) < _ZONES_MIN:
        raise Refusal(
            "DBSubnetGroupDoesNotCoverEnoughAZs",
            "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. "
            f"Current AZ coverage: {', '.join(zones)}. Add subnets to cover at least {_ZONES_MIN} AZs.",
        )


@correction.refuses("rds", "DeleteDBSubnetGroup")
def _keep_used_subnet_group(call: Call) -> None:
    name = str(call.params.get("DBSubnetGroupName") or "").lower()
    for database in _backend(call).databases.values():
        group = getattr(database, "db_subnet_group", None)
        if group is not None and group.name == name:
            raise Refusal(
                "InvalidDBSubnetGroupStateFault",
                f"Cannot delete the subnet group '{name}' because at least one database instance: "
                f"{database.db_instance_identifier} is still using it.",
            )


@correction.refuses("rds", "CreateDBParameterGroup", "CreateDBClusterParameterGroup")
def _check_family(call: Call) -> None:
    family = str(call.params.get("DBParameterGroupFamily") or "")
    known = [engine.family(major) for engine in ENGINES.values() for major in engine.majors()]
    if family.startswith(tuple(ENGINES)) and family not in known:
        raise _invalid(f"ParameterGroupFamily {family} is not a valid parameter group family")


@correction.refuses("rds", "DeleteDBParameterGroup")
def _keep_used_parameter_group(call: Call) -> None:
    name = str(call.params.get("DBParameterGroupName") or "").lower()
    if any(database.db_parameter_group_name == name for database in _backend(call).databases.values()):
        raise Refusal(
            "InvalidDBParameterGroupState",
            f"One or more database instances are still members of this parameter group {name}, "
            "so the group cannot be deleted",
        )


# What a stopped one refuses: "Stopping an Amazon RDS DB instance temporarily", Amazon RDS User Guide.
_NEEDS = {
    "ModifyDBInstance": USABLE,
    "RebootDBInstance": USABLE,
    "CreateDBSnapshot": USABLE,
    "StopDBInstance": {"available"},
}


@correction.refuses("rds", *_NEEDS)
def _check_state(call: Call) -> None:
    database = _backend(call).databases.get(str(call.params.get("DBInstanceIdentifier")))
    if database is not None and database.status not in _NEEDS[call.action]:
        raise Refusal(
            "InvalidDBInstanceState",
            "Database instance is not in available state: "
            f"{database.db_instance_identifier} is {database.status}.",
        )


@correction.refuses("rds", "ModifyDBInstance")
def _check_modification(call: Call) -> None:
    params = call.params
    database = _backend(call).databases.get(str(params.get("DBInstanceIdentifier")))
    if database is None or database.db_cluster_identifier:
        return
    engine, version = ENGINES[database.engine], str(params.get("EngineVersion") or "")
    current = str(database.engine_version)
    if version and version not in {current, engine.major(current)}:
        if not engine.is_offered(version):
            raise Refusal("InvalidParameterCombination", f"Cannot find version {version} for {engine.name}")
        raise unsupported(f"an upgrade of a server from {current} to {version}")
    kind = params.get("DBInstanceClass")
    if kind and kind not in offers.classes():
        raise _invalid(f"Invalid DB Instance class: {kind}")


@correction.refuses("rds", "DeleteDBInstance")
def _check_final_snapshot(call: Call) -> None:
    params = call.params
    database = _backend(call).databases.get(str(params.get("DBInstanceIdentifier")))
    if database is not None and database.status in {"deleting", "creating"}:
        raise Refusal(
            "InvalidDBInstanceState",
            f"Instance {database.db_instance_identifier} is already being {database.status}."
            if database.status == "deleting"
            else f"Instance {database.db_instance_identifier} is being created.",
        )
    is_member = database is not None and database.db_cluster_identifier
    if (
        not is_member
        and not _true(params, "SkipFinalSnapshot")
        and not params.get("FinalDBSnapshotIdentifier")
    ):
        raise Refusal(
            "InvalidParameterCombination",
            "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.",
        )
