"""The one place where a deployment is composed; reads like the picture in the README."""

from dataclasses import dataclass

from provisioner.config import Deployment
from provisioner.graph import Graph


@dataclass(frozen=True)
class Facts:
    """What the stack must know beside deployment.yml.

    Args:
        account_id: the AWS account (Aws.identity()["Account"]).
        access_cidrs: networks that may reach ports 443 and 22; `auto` resolved.
        ssh_public_key: the public key, one line as in an authorized_keys file.
        user_data: cloud-init's configuration for a new host; it must not need the internet in the first seconds.
    """

    account_id: str
    access_cidrs: tuple[str, ...]
    ssh_public_key: str
    user_data: str = ""


def build(deployment: Deployment, facts: Facts) -> Graph:
    """Compose the deployment's resources.

    Logical names (graph["server"] and so on): zones, image (looked up); network, public_1, public_2, private_1, private_2,
    internet_gateway, public_routes, private_routes, s3_endpoint, server_firewall, database_firewall, ssh_key, server_role,
    server_profile, server, server_address, database_subnets, database_parameters, database, artifacts,
    secret_database_owner, secret_database_application, secret_admin, secret_server_keys, secret_tls_ca.

    Live facts that outputs may read (state[graph["..."]]): server .id, .facts["PrivateIpAddress"]; server_address .facts["PublicIp"];
    database .facts["Endpoint"]["Address"|"Port"], .facts["MasterUserSecret"]["SecretArn"]; artifacts .id (bucket name);
    server_role .id (role name), .arn; secret_* .id (name), .arn.
    """
    raise NotImplementedError
