"""The database that keeps runs, models and users."""

from __future__ import annotations

from provisioner.resources.db_instance import DbInstance
from provisioner.resources.db_parameter_group import DbParameterGroup
from provisioner.resources.db_subnet_group import DbSubnetGroup
from provisioner.resources.monitoring_role import MonitoringRole
from provisioner.resources.security_group import Rule, SecurityGroup
from provisioner.stack.context import Context
from provisioner.stack.network import POSTGRESQL, Network
from provisioner.stack.servers import Servers
from provisioner.stack.storage import Storage


def make_database(context: Context, network: Network, servers: Servers, storage: Storage) -> DbInstance:
    """Compose the database.

    Args:
        context: what is wanted.
        network: where it is.
        servers: who reaches it.
        storage: where the artifacts are of the runs that it lists.

    """
    owner, deployment, database = context.owner, context.deployment, context.deployment.database
    firewall = SecurityGroup(
        "database_firewall",
        owner,
        vpc=network.vpc,
        purpose="Database: PostgreSQL from the MLflow server only",
        inbound=(Rule("tcp", POSTGRESQL, group=servers.firewall),),
    )
    parameters = DbParameterGroup(
        "database_parameters",
        owner,
        engine_version=database.engine_version,
        parameters={"rds.force_ssl": "1"},
    )
    monitoring = MonitoringRole(
        "monitoring_role",
        owner,
        role_name=context.role_name("monitor"),
        region=deployment.region,
        account_id=context.account_id,
        interval_s=database.monitoring_s,
    )
    return DbInstance(
        "database",
        owner,
        engine_version=database.engine_version,
        instance_class=database.instance_class,
        storage_gib=database.storage_gib,
        max_storage_gib=database.max_storage_gib,
        backup_days=database.backup_days,
        multi_az=database.multi_az,
        deletion_protection=database.deletion_protection,
        subnets=DbSubnetGroup("database_subnets", owner, subnets=network.private),
        groups=(firewall,),
        parameters=parameters,
        monitoring=monitoring,
        artifacts=storage.artifacts,
    )
