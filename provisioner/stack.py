"""The one place where a deployment is composed; reads like the picture in the README."""

from dataclasses import dataclass

from provisioner.config import LEAST_VOLUME_GIB, Deployment
from provisioner.graph import Graph
from provisioner.resources.base import Owner
from provisioner.resources.bucket import Bucket
from provisioner.resources.db_instance import DbInstance
from provisioner.resources.db_parameter_group import DbParameterGroup
from provisioner.resources.db_subnet_group import DbSubnetGroup
from provisioner.resources.elastic_ip import ElasticIp
from provisioner.resources.flow_log import FlowLog
from provisioner.resources.image import Image
from provisioner.resources.instance import Instance
from provisioner.resources.instance_profile import InstanceProfile
from provisioner.resources.internet_gateway import InternetGateway
from provisioner.resources.key_pair import KeyPair
from provisioner.resources.monitoring_role import MonitoringRole
from provisioner.resources.role import AccessRole
from provisioner.resources.route_table import RouteTable
from provisioner.resources.s3_endpoint import S3Endpoint
from provisioner.resources.secret import Secret
from provisioner.resources.security_group import Rule, SecurityGroup
from provisioner.resources.subnet import Subnet
from provisioner.resources.vpc import Vpc
from provisioner.resources.zones import Zones
from provisioner.secret_values import certificate_authority, login, server_keys
from provisioner.systems import systems

HTTPS, SSH, POSTGRESQL = 443, 22, 5432
WORLD = ("0.0.0.0/0",)


@dataclass(frozen=True)
class Facts:
    """What the stack must know beside deployment.yml.

    Args:
        account_id: the AWS account (Aws.identity()["Account"]).
        access_cidrs: networks that may reach ports 443 and 22; `auto` resolved.
        ssh_public_key: the public key, one line as in an authorized_keys file.
        user_data: cloud-init's configuration for a new host, which has no way out in its first seconds.
        code: the code that a baked image should hold (code.current).

    """

    account_id: str
    access_cidrs: tuple[str, ...]
    ssh_public_key: str
    user_data: str = ""
    code: str = ""


@dataclass(frozen=True)
class BakeHost:
    """The temporary host that an image is made from.

    Args:
        graph: it and all that it needs.
        host: the instance.
        address: where it answers.
        lock: its key pair: made first, gone last. Whoever has imported it bakes, alone in the account.

    """

    graph: Graph
    host: Instance
    address: ElasticIp
    lock: KeyPair


def build(deployment: Deployment, facts: Facts) -> Graph:
    """Compose the deployment's resources.

    Args:
        deployment: what is wanted.
        facts: what else must be known.

    Returns:
        the graph; `graph["server"]` is a resource by its logical name, the first string below.

    """
    owner = Owner(deployment.name, deployment.tags)
    network, server, database = deployment.network, deployment.server, deployment.database
    full_name = f"flowstead-{deployment.name}-{deployment.region}"
    server_role_name, artifacts_role_name = f"{full_name}-server", f"{full_name}-mlflow"
    server_role_arn, artifacts_role_arn = (
        f"arn:aws:iam::{facts.account_id}:role/{name}" for name in (server_role_name, artifacts_role_name)
    )

    # The network: two public and two private subnets in two zones.
    zones = Zones(
        "zones",
        owner,
        subnets=(("public_1", "private_1"), ("public_2", "private_2")),
        instance_type=server.instance_type,
        instance_class=database.instance_class,
        engine_version=database.engine_version,
    )
    vpc = Vpc("network", owner, cidr=network.cidr)
    public_1, public_2 = (
        Subnet(f"public_{zone + 1}", owner, vpc=vpc, cidr=cidr, zones=zones, zone=zone)
        for zone, cidr in enumerate(network.public_subnets)
    )
    private_1, private_2 = (
        Subnet(f"private_{zone + 1}", owner, vpc=vpc, cidr=cidr, zones=zones, zone=zone)
        for zone, cidr in enumerate(network.private_subnets)
    )
    gateway = InternetGateway("internet_gateway", owner, vpc=vpc)
    public_routes = RouteTable("public_routes", owner, vpc=vpc, subnets=(public_1, public_2), gateway=gateway)
    private_routes = RouteTable("private_routes", owner, vpc=vpc, subnets=(private_1, private_2))

    flow_log = FlowLog("flow_log", owner, vpc=vpc, destination=network.flow_logs_arn)

    # Which packets may come: HTTPS and SSH from where the users are, PostgreSQL from the server only.
    server_firewall = SecurityGroup(
        "server_firewall",
        owner,
        vpc=vpc,
        purpose="MLflow server: HTTPS and SSH",
        inbound=(Rule("tcp", HTTPS, facts.access_cidrs), Rule("tcp", SSH, facts.access_cidrs)),
        outbound=(Rule("-1", None, WORLD),),
    )
    database_firewall = SecurityGroup(
        "database_firewall",
        owner,
        vpc=vpc,
        purpose="Database: PostgreSQL from the MLflow server only",
        inbound=(Rule("tcp", POSTGRESQL, group=server_firewall),),
    )

    # What is kept: artifacts in a bucket, everything else in PostgreSQL, passwords and keys in secrets.
    artifacts = Bucket(
        "artifacts",
        owner,
        bucket_name=_bucket_name(deployment, facts),
        account_id=facts.account_id,
        prefix=deployment.artifacts.prefix,
        noncurrent_days=deployment.artifacts.noncurrent_days,
        backups_prefix=deployment.backups.prefix,
        backups_days=deployment.backups.keep_days,
    )
    s3_endpoint = S3Endpoint(
        "s3_endpoint",
        owner,
        vpc=vpc,
        route_tables=(public_routes, private_routes),
        bucket=artifacts,
        packages=systems[server.system].packages.format(region=deployment.region),
    )
    database_instance = DbInstance(
        "database",
        owner,
        engine_version=database.engine_version,
        instance_class=database.instance_class,
        storage_gib=database.storage_gib,
        max_storage_gib=database.max_storage_gib,
        backup_days=database.backup_days,
        multi_az=database.multi_az,
        deletion_protection=database.deletion_protection,
        subnets=DbSubnetGroup("database_subnets", owner, subnets=(private_1, private_2)),
        groups=(database_firewall,),
        parameters=DbParameterGroup(
            "database_parameters",
            owner,
            engine_version=database.engine_version,
            parameters={"rds.force_ssl": "1"},
        ),
        monitoring=MonitoringRole(
            "monitoring_role",
            owner,
            role_name=f"{full_name}-monitor",
            region=deployment.region,
            account_id=facts.account_id,
            interval_s=database.monitoring_s,
        ),
        artifacts=f"s3://{artifacts.bucket_name}/{artifacts.prefix}",
    )
    host_reads = {"readers": (server_role_arn,), "strangers": (artifacts_role_arn,)}
    no_host_reads = {"strangers": (server_role_arn, artifacts_role_arn)}
    database_owner, database_application, admin, keys, tls_ca = (
        Secret(
            f"secret_{name}",
            owner,
            secret_name=_secret_name(owner, name),
            purpose=purpose,
            generate=generate,
            account_id=facts.account_id,
            **who,
        )
        for name, purpose, generate, who in (
            ("database_owner", "Migrates MLflow's schema", login("mlflow_owner"), host_reads),
            (
                "database_application",
                "MLflow's server at the database",
                login("mlflow_application"),
                host_reads,
            ),
            ("admin", "MLflow's first administrator", login("admin"), host_reads),
            ("server_keys", "Keys that MLflow signs and encrypts with", server_keys, host_reads),
            # It signs where provision.py runs.
            (
                "tls_ca",
                "Signs the gateway's certificate",
                certificate_authority(owner.deployment),
                no_host_reads,
            ),
        )
    )

    # The server: one host, with a role instead of keys, at an address that stays.
    role = AccessRole(
        "server_role",
        owner,
        role_name=server_role_name,
        bucket=artifacts,
        prefix=deployment.artifacts.prefix,
        backups_prefix=deployment.backups.prefix,
        secrets=(database_owner, database_application, admin, keys),
    )
    # What the process that users talk to may do: root on the host takes it, and hands it on.
    artifacts_role = AccessRole(
        "artifacts_role",
        owner,
        role_name=artifacts_role_name,
        bucket=artifacts,
        prefix=deployment.artifacts.prefix,
        taken_by=role,
    )
    host = Instance(
        "server",
        owner,
        role="tracking_server",
        image=Image(
            "image",
            owner,
            system=server.system,
            instance_type=server.instance_type,
            baked=server.baked,
            code=facts.code,
        ),
        instance_type=server.instance_type,
        volume_gib=server.volume_gib,
        subnet=public_1,
        groups=(server_firewall,),
        key_pair=KeyPair("ssh_key", owner, public_key=facts.ssh_public_key),
        profile=InstanceProfile("server_profile", owner, role=role),
        routes=public_routes,
        user_data=facts.user_data,
    )
    address = ElasticIp("server_address", owner, gateway=gateway, instance=host)

    return Graph([address, s3_endpoint, flow_log, database_instance, tls_ca, artifacts_role])


def build_bake_host(deployment: Deployment, facts: Facts) -> BakeHost:
    """Compose the temporary host that an image is made from: a network of its own, and nothing to protect.

    Args:
        deployment: what the image is for.
        facts: what else must be known; `user_data` ends the host after a while, come what may.

    Returns:
        the host and what it needs.

    """
    # No deployment's name has a dot in it, so its own resources are never taken for these.
    owner = Owner(f"{deployment.name}.bake", deployment.tags)
    cidr, instance_type = deployment.network.public_subnets[0], deployment.server.instance_type
    key_pair = KeyPair("ssh_key", owner, public_key=facts.ssh_public_key)
    zones = Zones("zones", owner, subnets=(("public",),), instance_type=instance_type)
    vpc = Vpc("network", owner, cidr=deployment.network.cidr, lock=key_pair)
    subnet = Subnet("public", owner, vpc=vpc, cidr=cidr, zones=zones, zone=0)
    gateway = InternetGateway("internet_gateway", owner, vpc=vpc)
    firewall = SecurityGroup(
        "firewall",
        owner,
        vpc=vpc,
        purpose="Temporary host that an image is made from: SSH only",
        inbound=(Rule("tcp", SSH, facts.access_cidrs),),
        outbound=(Rule("-1", None, WORLD),),
    )
    host = Instance(
        "host",
        owner,
        role="image_host",
        image=Image("image", owner, system=deployment.server.system, instance_type=instance_type),
        instance_type=instance_type,
        volume_gib=LEAST_VOLUME_GIB,
        subnet=subnet,
        groups=(firewall,),
        key_pair=key_pair,
        routes=RouteTable("routes", owner, vpc=vpc, subnets=(subnet,), gateway=gateway),
        cpu_credits="unlimited",
        at_shutdown="terminate",
        user_data=facts.user_data,
    )
    address = ElasticIp("address", owner, gateway=gateway, instance=host)
    return BakeHost(Graph([address]), host, address, key_pair)


def _bucket_name(deployment: Deployment, facts: Facts) -> str:
    """Choose a name that is the deployment's alone in all of AWS, within S3's 63 characters."""
    if deployment.artifacts.bucket != "auto":
        return deployment.artifacts.bucket
    return f"{deployment.name}-{facts.account_id}-{deployment.region}"


def _secret_name(owner: Owner, name: str) -> str:
    return f"flowstead/{owner.deployment}/{name.replace('_', '-')}"
