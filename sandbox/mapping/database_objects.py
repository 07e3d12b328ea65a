"""What the account says about a database: password, parameters, names, network interface."""

from __future__ import annotations

import json
import secrets
import string
from typing import Any

from sandbox import account

_PASSWORD = string.ascii_letters + string.digits + "!#$%&()*+,-.:;<=>?[]^_{|}~"


def new_password() -> str:
    """Make a password as RDS makes them: 28 characters, none that a URI or a shell would trip over.

    Returns:
        The password.
    """
    return "".join(secrets.choice(_PASSWORD) for _ in range(28))


def password_of(database: Any) -> str:
    """Return the master password that the account says is in force.

    Args:
        database: moto's instance.

    Returns:
        The password: of the managed secret, or of the last call that set one.
    """
    if database.manage_master_user_password:
        secret = database.master_user_secret.secret
        version = secret.versions[secret.default_version_id]
        return str(json.loads(version["secret_string"])["password"])
    return str(database._master_user_password or "")  # noqa: SLF001 - moto makes it write-only


def parameters_of(database: Any) -> dict[str, str]:
    """Return what the instance's parameter group says otherwise than the engine's defaults.

    Args:
        database: moto's instance.

    Returns:
        Names and values.
    """
    return {
        name: str(parameter["ParameterValue"])
        for group in database.db_parameter_groups()
        for name, parameter in group.parameters.items()
        if "ParameterValue" in parameter
    }


def security_groups(database: Any) -> list[Any]:
    """Return the security groups of an instance.

    Args:
        database: moto's instance.

    Returns:
        moto's groups.
    """
    backend = account.ec2(database.region)
    found = [backend.get_security_group_from_id(group_id) for group_id in database.vpc_security_group_ids]
    return [group for group in found if group is not None]


def plug_in(database: Any) -> Any:
    """Give the instance a network interface in one of its subnets, as RDS does.

    Args:
        database: moto's instance.

    Returns:
        moto's interface.
    """
    backend = account.ec2(database.region)
    group = getattr(database, "db_subnet_group", None)
    if group is None:
        subnets = list(backend.get_default_subnets().values())
    else:
        subnets = [backend.get_subnet(item["SubnetIdentifier"]) for item in group.subnets]
    wanted = [s for s in subnets if s.availability_zone == database.availability_zone]
    subnet = (wanted or sorted(subnets, key=lambda s: s.availability_zone))[0]
    address = subnet.get_available_subnet_ip(database)
    nic = backend.create_network_interface(
        subnet, address, group_ids=list(database.vpc_security_group_ids), description="RDSNetworkInterface"
    )
    nic.requester_managed, nic.status = True, "in-use"
    database.availability_zone = subnet.availability_zone
    database.private_ip_address, database.real_nic = address, nic
    return nic


def unplug(database: Any) -> None:
    """Take an instance's network interface away.

    Args:
        database: moto's instance.
    """
    nic = getattr(database, "real_nic", None)
    if nic is not None:
        account.ec2(database.region).enis.pop(nic.id, None)
        nic.subnet.del_subnet_ip(nic.private_ip_address)


def endpoints(backend: Any) -> dict[str, str]:
    """List the names that lead to databases.

    Args:
        backend: RDS's backend of a region.

    Returns:
        Private addresses by name, of those that have one.
    """
    found = {d.address: getattr(d, "private_ip_address", None) for d in backend.databases.values()}
    return {name: address for name, address in found.items() if address}
