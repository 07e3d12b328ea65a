"""How RDS is asked about instances, about clusters and about the parameters of each; and their states."""

from dataclasses import dataclass


@dataclass(frozen=True)
class States:
    """Words of RDS for how something is.

    Args:
        settled: it serves, and this may last.
        usable: more in which it serves, or could.
        hopeless: it lasts until somebody does something that RDS does not do by itself.

    """

    settled: frozenset[str]
    usable: frozenset[str]
    hopeless: frozenset[str]

    @property
    def ready(self) -> frozenset[str]:
        """States in which there is nothing to wait for."""
        return self.settled | self.usable | self.hopeless

    @property
    def serving(self) -> frozenset[str]:
        """States in which it serves."""
        return (self.settled | self.usable) - {"stopped"}

    @property
    def lasting(self) -> frozenset[str]:
        """States that last."""
        return self.settled | self.hopeless | (self.usable & {"stopped"})


INSTANCE_STATES = States(
    # For hours after a growth, and full until the disk grows.
    settled=frozenset({"available", "storage-full", "storage-initialization", "storage-optimization"}),
    usable=frozenset({"backing-up", "configuring-enhanced-monitoring", "modifying", "stopped"}),
    hopeless=frozenset(
        {
            "failed",
            "inaccessible-encryption-credentials",
            "incompatible-network",
            "incompatible-option-group",
            "incompatible-parameters",
            "incompatible-restore",
            "restore-error",
            "insufficient-capacity",
        }
    ),
)
"""https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html#Overview.DBInstance.Status"""
MEMBER_STATES = States(
    INSTANCE_STATES.settled,
    # It stops and starts with its cluster, and restarts when the writer's role moves.
    INSTANCE_STATES.usable - {"stopped"} | {"rebooting"},
    INSTANCE_STATES.hopeless,
)
CLUSTER_STATES = States(
    settled=frozenset({"available", "storage-optimization"}),
    usable=frozenset({"backing-up", "failing-over", "modifying", "stopped"}),
    hopeless=frozenset(
        {
            "cloning-failed",
            "inaccessible-encryption-credentials",
            "inaccessible-encryption-credentials-recoverable",
            "migration-failed",
        }
    ),
)
"""https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/accessing-monitoring.html#Aurora.Status"""


@dataclass(frozen=True)
class Calls:
    """How RDS is asked about something that runs.

    Args:
        describe: the operation that describes.
        modify: the operation that changes.
        start: the operation that starts what was stopped.
        delete: the operation that deletes.
        deleted: botocore's waiter for its end.
        items: where a description holds what it describes.
        named: where calls and descriptions have its name.
        status: where a description has its state.
        arn: where a description has its ARN.
        absent: codes that say that there is none.
        taken: codes that say that there is one already.
        busy: codes that say that its state forbids the call.

    """

    describe: str
    modify: str
    start: str
    delete: str
    deleted: str
    items: str
    named: str
    status: str
    arn: str
    absent: tuple[str, ...]
    taken: tuple[str, ...]
    busy: tuple[str, ...]


INSTANCES = Calls(
    describe="describe_db_instances",
    modify="modify_db_instance",
    start="start_db_instance",
    delete="delete_db_instance",
    deleted="db_instance_deleted",
    items="DBInstances",
    named="DBInstanceIdentifier",
    status="DBInstanceStatus",
    arn="DBInstanceArn",
    absent=("DBInstanceNotFound", "DBInstanceNotFoundFault"),
    taken=("DBInstanceAlreadyExists", "DBInstanceAlreadyExistsFault"),
    busy=("InvalidDBInstanceState", "InvalidDBInstanceStateFault"),
)
CLUSTERS = Calls(
    describe="describe_db_clusters",
    modify="modify_db_cluster",
    start="start_db_cluster",
    delete="delete_db_cluster",
    deleted="db_cluster_deleted",
    items="DBClusters",
    named="DBClusterIdentifier",
    status="Status",
    arn="DBClusterArn",
    absent=("DBClusterNotFoundFault",),
    taken=("DBClusterAlreadyExistsFault",),
    # The second of them when it is a member that is busy.
    busy=("InvalidDBClusterStateFault", "InvalidDBInstanceState"),
)


@dataclass(frozen=True)
class ParameterCalls:
    """How RDS is asked about a group of parameters.

    Args:
        describe: the operation that describes groups.
        parameters: the operation that lists a group's parameters.
        create: the operation that makes one.
        modify: the operation that sets parameters.
        delete: the operation that deletes.
        items: where a description holds groups.
        named: where calls and descriptions have a group's name.
        arn: where a description has its ARN.

    """

    describe: str
    parameters: str
    create: str
    modify: str
    delete: str
    items: str
    named: str
    arn: str


OF_INSTANCES = ParameterCalls(
    describe="describe_db_parameter_groups",
    parameters="describe_db_parameters",
    create="create_db_parameter_group",
    modify="modify_db_parameter_group",
    delete="delete_db_parameter_group",
    items="DBParameterGroups",
    named="DBParameterGroupName",
    arn="DBParameterGroupArn",
)
OF_CLUSTERS = ParameterCalls(
    describe="describe_db_cluster_parameter_groups",
    parameters="describe_db_cluster_parameters",
    create="create_db_cluster_parameter_group",
    modify="modify_db_cluster_parameter_group",
    delete="delete_db_cluster_parameter_group",
    items="DBClusterParameterGroups",
    named="DBClusterParameterGroupName",
    arn="DBClusterParameterGroupArn",
)
