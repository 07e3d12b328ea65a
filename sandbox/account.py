"""The account behind the API: moto's backends, started in this process, and the lock that guards them.

moto is pinned exactly (pyproject.toml): its backends are private to it.
"""

from __future__ import annotations

import importlib
import os
import threading
from typing import Any

ACCOUNT_ID = "123456789012"
PARTITION = "aws"

lock = threading.RLock()
"""Held while moto works or its objects are read: moto is not made for threads."""


def prepare(amis_file: str) -> None:
    """Set moto's environment; must run before anything imports moto.

    Args:
        amis_file: path of the JSON file that lists the images.
    """
    os.environ |= {
        "MOTO_AMIS_PATH": amis_file,
        "MOTO_ENABLE_AMI_VALIDATION": "true",
        "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION": "true",
        "MOTO_DISABLE_GLOBAL_CORS": "true",
        "MOTO_ACCOUNT_ID": ACCOUNT_ID,
    }


def _backends(service: str) -> Any:
    """Return moto's backends of a service; they are imported with the first question, after `prepare`."""
    return getattr(importlib.import_module(f"moto.{service}.models"), f"{service}_backends")


def ec2(region: str) -> Any:
    """Return EC2's backend of a region."""
    return _backends("ec2")[ACCOUNT_ID][region]


def ec2_regions() -> list[str]:
    """Name the regions that EC2 was asked about so far."""
    return list(dict.keys(_backends("ec2")[ACCOUNT_ID]))


def rds(region: str) -> Any:
    """Return RDS's backend of a region."""
    return _backends("rds")[ACCOUNT_ID][region]


def rds_regions() -> list[str]:
    """Name the regions that RDS was asked about so far."""
    return list(dict.keys(_backends("rds")[ACCOUNT_ID]))


def iam(account_id: str = ACCOUNT_ID) -> Any:
    """Return IAM's backend of an account, the sandbox's own unless said otherwise."""
    return _backends("iam")[account_id][PARTITION]


def sts() -> Any:
    """Return STS's backend."""
    return _backends("sts")[ACCOUNT_ID][PARTITION]


def sessions() -> list[Any]:
    """List the sessions of roles, those of other accounts' roles too."""
    backends = [regional[PARTITION] for regional in _backends("sts").values()]
    return [session for backend in backends for session in backend.assumed_roles]


def ecr(region: str) -> Any:
    """Return the container registry's backend of a region."""
    return _backends("ecr")[ACCOUNT_ID][region]


def s3() -> Any:
    """Return S3's backend."""
    return _backends("s3")[ACCOUNT_ID][PARTITION]


def secrets(region: str) -> Any:
    """Return Secrets Manager's backend of a region."""
    return _backends("secretsmanager")[ACCOUNT_ID][region]


def create_administrator(access_key_id: str, secret_access_key: str) -> None:
    """Make the operator's user: an administrator with a key that is ours to choose.

    Args:
        access_key_id: the key's id.
        secret_access_key: the key's secret.
    """
    backend = iam()
    user = backend.create_user(region_name="us-east-1", user_name="operator", path="/")
    backend.put_user_policy(
        "operator",
        "administrator",
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}',
    )
    key = backend.create_access_key(user_name="operator")
    backend.access_keys.pop(key.access_key_id, None)
    key.access_key_id, key.secret_access_key = access_key_id, secret_access_key
    backend.access_keys[access_key_id] = key
    if key not in user.access_keys:
        user.access_keys.append(key)
