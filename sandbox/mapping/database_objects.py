"""What the account says about a database: password, parameters, names, network interface."""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Callable
from typing import Any

from sandbox import account

_UNREACHABLE = {"creating", "deleting"}
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


def cluster_parameters_of(cluster: Any) -> dict[str, str]:
    """Return what a cluster's parameter group says otherwise than the engine's defaults.

    Args:
        cluster: moto's cluster.

    Returns:
        Names and values.
    """
    group = account.rds(cluster.region).db_cluster_parameter_groups.get(cluster.parameter_group)
    # A server's own default is that of RDS's instances.
    is_old = str(cluster.engine_version).startswith("15")
    defaults = {"rds.force_ssl": "0"} if is_old else {}
    return defaults | {
        name: str(parameter["ParameterValue"])
        for name, parameter in (group.parameters.items() if group is not None else ())
        if "ParameterValue" in parameter
    }


def members_of(cluster: Any) -> list[Any]:
    """Return the members of a cluster; moto's own list appoints one that writes.

    Args:
        cluster: moto's cluster.

    Returns:
        moto's instances.
    """
    return list(cluster._members)  # noqa: SLF001 - as above


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
    follow_access(database)
    return nic


def follow_access(database: Any) -> None:
    """Give an instance a public address if it is publicly accessible, or take it away.

    Args:
        database: moto's instance.
    """
    nic = getattr(database, "real_nic", None)
    if nic is None:
        return
    nic.public_ip_auto_assign = bool(database.publicly_accessible)
    if not database.publicly_accessible:
        nic.public_ip = None
    elif nic.public_ip is None:
        nic.check_auto_public_ip()


def public_address(database: Any) -> str | None:
    """Return the address at which the internet finds an instance, or None.

    Args:
        database: moto's instance.
    """
    nic = getattr(database, "real_nic", None)
    return nic.public_ip if nic is not None and database.status not in _UNREACHABLE else None


def address_in(vpc_id: str) -> Callable[[Any], str | None]:
    """Return what tells an instance's address as a VPC sees it: the public one, if it is of another.

    Args:
        vpc_id: the VPC that asks.
    """

    def address(database: Any) -> str | None:
        nic = getattr(database, "real_nic", None)
        if nic is None:
            return None
        is_outside = nic.public_ip and nic.subnet.vpc_id != vpc_id
        return str(nic.public_ip if is_outside else nic.private_ip_address)

    return address


def unplug(database: Any) -> None:
    """Take an instance's network interface away.

    Args:
        database: moto's instance.
    """
    nic = getattr(database, "real_nic", None)
    if nic is not None:
        account.ec2(database.region).enis.pop(nic.id, None)
        nic.subnet.del_subnet_ip(nic.private_ip_address)


def endpoints(backend: Any, address_of: Callable[[Any], str | None]) -> dict[str, list[str]]:
    """List the names that lead to databases.

    Args:
        backend: RDS's backend of a region.
        address_of: tells an instance's address, as whoever asks sees it.

    Returns:
        Addresses by name, of those that have one; each reader's for the name of a cluster's readers.
    """
    found = {database.address: [database] for database in backend.databases.values()}
    for cluster in backend.clusters.values():
        members = [one for one in members_of(cluster) if one.status not in _UNREACHABLE]
        writers = [one for one in members if one.is_cluster_writer]
        # Without one that reads, the one that writes answers at that name, too.
        readers = [one for one in members if one not in writers] or writers
        found |= {cluster.reader_endpoint: readers, cluster.endpoint: writers[:1]}
    known = {name: [address_of(one) for one in those] for name, those in found.items()}
    addresses = {name: [address for address in those if address] for name, those in known.items()}
    return {name: those for name, those in addresses.items() if those}
