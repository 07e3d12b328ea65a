"""What the tests of a deployment's life count, and how they kill a command."""

from __future__ import annotations

import subprocess
import time
from typing import Any

from deployed import Deployment, Sandbox

# A command is killed as soon as AWS got one of the calls asked for, or after these seconds.
KILLED_LATEST_S = 10
SECRETS = ("admin", "database-application", "database-owner", "server-keys", "tls-ca")


def tagged(name: str) -> list[dict[str, Any]]:
    """EC2's filter for what a deployment owns."""
    return [{"Name": "tag:flowstead:deployment", "Values": [name]}]


def kill_at(deployment: Deployment, action: str) -> None:
    """Start provision.py and kill it, as a lost connection or a full disk would, at one of its calls.

    If an earlier run has made that call already, it is killed some seconds after its start.
    """
    before = deployment.sandbox.count(action)
    process = subprocess.Popen(
        ["python", "provision.py"],
        cwd=deployment.clone,
        env=deployment.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + KILLED_LATEST_S
    while (
        process.poll() is None and time.monotonic() < deadline and deployment.sandbox.count(action) == before
    ):
        time.sleep(0.02)
    process.kill()
    process.wait()


def is_there(secrets: Any, name: str) -> bool:
    """Whether a secret is there for good; asked by name, for ListSecrets may be minutes behind."""
    try:
        return "DeletedDate" not in secrets.describe_secret(SecretId=name)
    except secrets.exceptions.ResourceNotFoundException:
        return False


def things(sandbox: Sandbox, name: str) -> dict[str, int]:
    """How many of each kind a deployment has."""
    ec2, rds, secrets = sandbox.client("ec2"), sandbox.client("rds"), sandbox.client("secretsmanager")
    reservations = ec2.describe_instances(Filters=tagged(name))["Reservations"]
    alive = [
        instance
        for reservation in reservations
        for instance in reservation["Instances"]
        if instance["State"]["Name"] not in {"shutting-down", "terminated"}
    ]
    return {
        "instances": len(alive),
        "networks": len(ec2.describe_vpcs(Filters=tagged(name))["Vpcs"]),
        "subnets": len(ec2.describe_subnets(Filters=tagged(name))["Subnets"]),
        "gateways": len(ec2.describe_internet_gateways(Filters=tagged(name))["InternetGateways"]),
        "firewalls": len(ec2.describe_security_groups(Filters=tagged(name))["SecurityGroups"]),
        "addresses": len(ec2.describe_addresses(Filters=tagged(name))["Addresses"]),
        "key pairs": len(ec2.describe_key_pairs(Filters=tagged(name))["KeyPairs"]),
        "databases": sum(
            name in one["DBInstanceIdentifier"] for one in rds.describe_db_instances()["DBInstances"]
        ),
        "buckets": sum(name in one["Name"] for one in sandbox.client("s3").list_buckets()["Buckets"]),
        "roles": sum(name in one["RoleName"] for one in sandbox.client("iam").list_roles()["Roles"]),
        "secrets": sum(is_there(secrets, f"flowstead/{name}/{secret}") for secret in SECRETS),
    }


ONE_OF_EACH = {
    "instances": 1,
    "networks": 1,
    "subnets": 4,
    "gateways": 1,
    "firewalls": 2,
    "addresses": 1,
    "key pairs": 1,
    "databases": 1,
    "buckets": 1,
    "roles": 2,
    "secrets": 5,
}
