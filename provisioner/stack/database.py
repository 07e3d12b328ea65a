"""The database that keeps runs, models and users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provisioner.config.database import Aurora, AuroraMysql, Postgresql, Sqlite
from provisioner.resources.ec2.security_group import Rule, SecurityGroup
from provisioner.resources.iam.policy import Statement
from provisioner.resources.iam.role import Role, Service
from provisioner.resources.rds.database import Database
from provisioner.resources.rds.db_cluster import DbCluster
from provisioner.resources.rds.db_instance import DbInstance
from provisioner.resources.rds.db_member import DbMember
from provisioner.resources.rds.db_subnet_group import DbSubnetGroup
from provisioner.resources.rds.parameter_group import DbClusterParameterGroup, DbParameterGroup
from provisioner.stack.context import Context, engine_of
from provisioner.stack.network import Network
from provisioner.stack.servers import Servers
from provisioner.stack.storage import Storage

_POSTGRESQL = {"rds.force_ssl": "1"}
_MYSQL = {
    # MLflow's migrations make a trigger, and who makes one is no superuser.
    "log_bin_trust_function_creators": "1",
    "require_secure_transport": "ON",
}


@dataclass(frozen=True)
class Store:
    """Where runs, models and users are kept.

    Args:
        database: what has the data.
        members: what answers for it, if that is something else.

    """

    database: Database
    members: tuple[DbMember, ...] = ()


def make_database(
    context: Context, network: Network, servers: Servers | None, storage: Storage
) -> Store | None:
    """Compose the database.

    Args:
        context: what is wanted.
        network: where it is.
        servers: who reaches it; None: whoever is in the networks of database.access_cidrs.
        storage: where the artifacts are of the runs that it lists.

    Returns:
        None where no service keeps the data, but a volume of the server's.

    """
    owner, database = context.owner, context.deployment.database
    if isinstance(database, Sqlite):
        return None
    engine = engine_of(database)
    is_mysql = isinstance(database, AuroraMysql)
    firewall = SecurityGroup(
        context.database_part("database_firewall"),
        owner,
        vpc=network.vpc,
        purpose=f"Database: {'MySQL' if is_mysql else 'PostgreSQL'} from those only who use it for MLflow",
        inbound=(
            Rule("tcp", engine.port, context.database_cidrs, group=servers.firewall if servers else None),
        ),
    )
    common: dict[str, Any] = {
        "identifier": context.database_identifier,
        "engine": engine,
        "backup_days": database.backup_days,
        "deletion_protection": database.deletion_protection,
        "subnets": DbSubnetGroup("database_subnets", owner, subnets=network.private),
        "public_routes": network.private_routes if context.is_database_public else None,
        "groups": (firewall,),
        "artifacts": storage.artifacts,
        "moving_from": context.moving_from,
    }
    if isinstance(database, Postgresql):
        return Store(_instance(context, database, common))
    return _aurora(context, database, network, common, _MYSQL if is_mysql else _POSTGRESQL)


def _instance(context: Context, database: Postgresql, common: dict[str, Any]) -> DbInstance:
    owner = context.owner
    return DbInstance(
        context.database_part("database"),
        owner,
        **common,
        parameters=DbParameterGroup(
            context.database_part("database_parameters"),
            owner,
            engine=common["engine"],
            parameters=_POSTGRESQL,
        ),
        instance_class=database.instance_class,
        storage_gib=database.storage_gib,
        max_storage_gib=database.max_storage_gib,
        multi_az=database.multi_az,
        **_monitoring(context, context.database_identifier, database.monitoring_s),
    )


def _aurora(
    context: Context,
    database: Aurora,
    network: Network,
    common: dict[str, Any],
    parameters: Mapping[str, str],
) -> Store:
    """Compose a cluster and its members, in one zone after the other."""
    owner = context.owner
    name = context.database_part("database")
    cluster = DbCluster(
        name,
        owner,
        **common,
        parameters=DbClusterParameterGroup(
            context.database_part("database_parameters"),
            owner,
            engine=common["engine"],
            parameters=parameters,
        ),
        min_acu=database.min_acu,
        max_acu=database.max_acu,
    )
    monitoring = _monitoring(context, f"{context.database_identifier}-*", database.monitoring_s)
    members = tuple(
        DbMember(
            f"{name}_{number}",
            owner,
            identifier=f"{context.database_identifier}-{number}",
            cluster=cluster,
            zones=network.private[0].zones,
            zone=(number - 1) % len(network.private),
            **monitoring,
        )
        for number in range(1, database.readers + 2)
    )
    return Store(cluster, members)


def _monitoring(context: Context, watched: str, interval_s: int) -> dict[str, Any]:
    """Compose the role with which RDS writes its Enhanced Monitoring to CloudWatch Logs.

    What it may do is what AWS's own policy for it allows, in this region:
    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Monitoring.OS.Enabling.html

    Args:
        context: what is wanted.
        watched: the name of what it looks at; "*" in it stands for any text.
        interval_s: seconds between two looks; 0: it does not look.

    """
    deployment, account = context.deployment, context.account_id
    if not interval_s:
        return {"monitoring_role": None, "monitoring_s": 0}
    logs = f"arn:aws:logs:{deployment.region}:{account}:log-group:RDS*"
    streams = ("logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams", "logs:GetLogEvents")
    role = Role(
        context.database_part("monitoring_role"),
        context.owner,
        role_name=context.monitoring_role_name,
        taken_by=Service(
            "monitoring.rds.amazonaws.com",
            "RDS for this database",
            source_account=account,
            source_arn=f"arn:aws:rds:{deployment.region}:{account}:db:{watched}",
        ),
        statements=(
            Statement("GroupOfRds", ("logs:CreateLogGroup", "logs:PutRetentionPolicy"), (logs,)),
            Statement("ItsStreams", streams, (f"{logs}:log-stream:*",)),
        ),
    )
    return {"monitoring_role": role, "monitoring_s": interval_s}
