"""The network: two public and two private subnets in two zones."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.config.database import Postgresql, Sqlite
from provisioner.resources.ec2.flow_log import FlowLog
from provisioner.resources.ec2.instance_offer import InstanceOffer
from provisioner.resources.ec2.internet_gateway import InternetGateway
from provisioner.resources.ec2.route_table import RouteTable
from provisioner.resources.ec2.subnet import Subnet
from provisioner.resources.ec2.vpc import Vpc
from provisioner.resources.ec2.zones import Zones
from provisioner.resources.rds.database_offer import ClassOffer, DatabaseOffer, ServerlessOffer
from provisioner.stack.context import Context, engine_of

HTTPS, SSH = 443, 22
WORLD = ("0.0.0.0/0",)


@dataclass(frozen=True)
class Network:
    """A network of the deployment's own.

    Args:
        vpc: the network.
        public: subnets with a way to the internet, one for each zone.
        private: subnets for the database; without, if it is not reached from outside.
        gateway: the way to the internet.
        public_routes: the public subnets' routes.
        private_routes: the private ones'.
        flow_log: a record of every connection, if that is wanted.

    """

    vpc: Vpc
    public: tuple[Subnet, ...]
    private: tuple[Subnet, ...]
    gateway: InternetGateway
    public_routes: RouteTable
    private_routes: RouteTable
    flow_log: FlowLog | None


def make_network(context: Context) -> Network:
    """Compose the network.

    Args:
        context: what is wanted.

    """
    owner, deployment = context.owner, context.deployment
    network = deployment.network
    zones = Zones(
        "zones",
        owner,
        subnets=(("public_1", "private_1"), ("public_2", "private_2")),
        offers=(*_server_offers(context), *_database_offers(context)),
    )
    vpc = Vpc("network", owner, cidr=network.cidr)
    public, private = (
        tuple(
            Subnet(f"{name}_{zone + 1}", owner, vpc=vpc, cidr=cidr, zones=zones, zone=zone)
            for zone, cidr in enumerate(cidrs)
        )
        for name, cidrs in (("public", network.public_subnets), ("private", network.private_subnets))
    )
    gateway = InternetGateway("internet_gateway", owner, vpc=vpc)
    return Network(
        vpc=vpc,
        public=public,
        private=private,
        gateway=gateway,
        public_routes=RouteTable("public_routes", owner, vpc=vpc, subnets=public, gateway=gateway),
        private_routes=RouteTable(
            "private_routes",
            owner,
            vpc=vpc,
            subnets=private,
            gateway=gateway if context.is_database_public else None,
        ),
        flow_log=FlowLog("flow_log", owner, vpc=vpc, destination=arn)
        if (arn := network.flow_logs_arn)
        else None,
    )


def _server_offers(context: Context) -> tuple[InstanceOffer, ...]:
    """Say what the zones must have for the server, if there is one."""
    server = context.deployment.server
    return (InstanceOffer("server", server.instance_type),) if server.count else ()


def _database_offers(context: Context) -> tuple[DatabaseOffer, ...]:
    """Say what the zones must have for the database, if there is one."""
    database, identifier = context.deployment.database, context.database_identifier
    if isinstance(database, Sqlite):
        return ()
    engine = engine_of(database)
    if isinstance(database, Postgresql):
        return (ClassOffer("database", identifier, engine, database.instance_class),)
    return (ServerlessOffer("database", identifier, engine, database.min_acu, database.max_acu),)
