"""The database that keeps runs, models and users."""

from __future__ import annotations

from provisioner.resources.ec2.security_group import Rule, SecurityGroup
from provisioner.resources.iam.policy import Statement
from provisioner.resources.iam.role import Role, Service
from provisioner.resources.rds.db_instance import DbInstance
from provisioner.resources.rds.db_parameter_group import DbParameterGroup
from provisioner.resources.rds.db_subnet_group import DbSubnetGroup
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
    owner, database, engine = context.owner, context.deployment.database, context.engine
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
        engine=engine,
        parameters={"rds.force_ssl": "1"},
    )
    return DbInstance(
        "database",
        owner,
        identifier=context.database_identifier,
        engine=engine,
        instance_class=database.instance_class,
        storage_gib=database.storage_gib,
        max_storage_gib=database.max_storage_gib,
        backup_days=database.backup_days,
        multi_az=database.multi_az,
        deletion_protection=database.deletion_protection,
        subnets=DbSubnetGroup("database_subnets", owner, subnets=network.private),
        groups=(firewall,),
        parameters=parameters,
        monitoring_role=_monitoring_role(context) if database.monitoring_s else None,
        monitoring_s=database.monitoring_s,
        artifacts=storage.artifacts,
    )


def _monitoring_role(context: Context) -> Role:
    """Compose the role with which RDS writes its Enhanced Monitoring to CloudWatch Logs.

    What it may do is what AWS's own policy for it allows, in this region:
    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Monitoring.OS.Enabling.html
    """
    deployment, account = context.deployment, context.account_id
    logs = f"arn:aws:logs:{deployment.region}:{account}:log-group:RDS*"
    streams = ("logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams", "logs:GetLogEvents")
    return Role(
        "monitoring_role",
        context.owner,
        role_name=context.role_name("monitor"),
        taken_by=Service(
            "monitoring.rds.amazonaws.com",
            "RDS for this database",
            source_account=account,
            source_arn=f"arn:aws:rds:{deployment.region}:{account}:db:{context.database_identifier}",
        ),
        statements=(
            Statement("GroupOfRds", ("logs:CreateLogGroup", "logs:PutRetentionPolicy"), (logs,)),
            Statement("ItsStreams", streams, (f"{logs}:log-stream:*",)),
        ),
    )
