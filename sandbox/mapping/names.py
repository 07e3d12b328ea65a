"""The names that AWS's DNS knows: hosts by their private names, databases by their endpoints, AWS itself."""

from __future__ import annotations

import random
import re
from typing import Any

from sandbox import account
from sandbox.mapping import database_objects
from sandbox.mapping.topology import interfaces

_PRIVATE = re.compile(r"ip-(\d+-\d+-\d+-\d+)\.(ec2\.internal|[a-z0-9-]+\.compute\.internal)")
_PUBLIC = re.compile(r"ec2-(\d+-\d+-\d+-\d+)\.(compute-1|[a-z0-9-]+\.compute)\.amazonaws\.com")


def _by_address(backend: Any, vpc_id: str, attribute: str, address: str) -> Any:
    return next((n for n in interfaces(backend, vpc_id) if getattr(n, attribute) == address), None)


def resolve(region: str, vpc_id: str, name: str) -> str | None:
    """Look a name up as a VPC's resolver does.

    Args:
        region: the region.
        vpc_id: the VPC that asks.
        name: the name, with or without a final dot, in any case.

    Returns:
        The address, or nothing for a name that is not one of the account's.
    """
    name = name.rstrip(".").lower()
    with account.lock:
        backend = account.ec2(region)
        if match := _PRIVATE.fullmatch(name):
            nic = _by_address(backend, vpc_id, "private_ip_address", match[1].replace("-", "."))
            return nic.private_ip_address if nic is not None else None
        if match := _PUBLIC.fullmatch(name):
            address = match[1].replace("-", ".")
            nic = _by_address(backend, vpc_id, "public_ip", address)
            # Inside its own VPC a host's public name leads to its private address.
            return nic.private_ip_address if nic is not None else address
        seen = database_objects.address_in(vpc_id)
        for other in account.rds_regions():
            if addresses := database_objects.endpoints(account.rds(other), seen).get(name):
                return random.choice(addresses)  # noqa: S311 - no secret
    return None
