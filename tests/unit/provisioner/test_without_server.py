"""A deployment without a server: what is made, who reaches the data, and how a server comes and goes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.provisioner.moto_account import Account, changes

OPEN = ["203.0.113.0/24"]
WITHOUT: dict[str, Any] = {
    "server": {"count": 0},
    "database": {"deletion_protection": False, "access_cidrs": OPEN},
}
WITH: dict[str, Any] = {"database": {"deletion_protection": False}}
OF_SERVER = {"server", "server_address", "server_firewall", "server_role", "ssh_key"}


def database(account: Account) -> dict[str, Any]:
    return dict(account.call("rds", "describe_db_instances")["DBInstances"][0])


def allowed(account: Account) -> tuple[list[str], int]:
    """From which networks, and from how many groups, the database is reached."""
    (group,) = (one["VpcSecurityGroupId"] for one in database(account)["VpcSecurityGroups"])
    found = account.call("ec2", "describe_security_groups", GroupIds=[group])["SecurityGroups"][0]
    (rule,) = found["IpPermissions"]
    return [one["CidrIp"] for one in rule["IpRanges"]], len(rule["UserIdGroupPairs"])


def ways_out(account: Account) -> int:
    """How many route tables lead to the internet."""
    tables = account.call("ec2", "describe_route_tables")["RouteTables"]
    routes = (route for table in tables for route in table["Routes"])
    return sum(str(route.get("GatewayId", "")).startswith("igw-") for route in routes)


def test_the_database_is_reached_from_the_networks_that_are_named_and_nothing_of_a_server_is_made(
    account: Account,
) -> None:
    assert not OF_SERVER & set(changes(account.plan(**WITHOUT)))
    account.apply(**WITHOUT)
    assert database(account)["PubliclyAccessible"] is True
    assert allowed(account) == (OPEN, 0)
    assert ways_out(account) == 2
    assert account.plan(**WITHOUT).is_empty


def test_a_server_comes_and_goes_and_the_data_stay(account: Account) -> None:
    account.apply(**WITHOUT)
    made = database(account)["DbiResourceId"]
    planned = changes(account.plan(**WITH))
    assert {planned[name] for name in OF_SERVER} == {"create"}
    account.apply(**WITH)
    assert (database(account)["PubliclyAccessible"], allowed(account)) == (False, ([], 1))
    assert ways_out(account) == 1
    planned = changes(account.plan(**WITHOUT))
    assert {planned[name] for name in OF_SERVER} == {"delete"}
    account.apply(**WITHOUT)
    assert (database(account)["PubliclyAccessible"], allowed(account)) == (True, (OPEN, 0))
    assert account.plan(**WITHOUT).is_empty
    assert database(account)["DbiResourceId"] == made


@pytest.mark.parametrize("engine", ["aurora-postgresql", "aurora-mysql"])
def test_each_member_of_a_cluster_is_reached(account: Account, engine: str) -> None:
    account.apply(**WITHOUT | {"database": {**WITHOUT["database"], "engine": engine, "readers": 1}})
    members = account.call("rds", "describe_db_instances")["DBInstances"]
    assert [one["PubliclyAccessible"] for one in members] == [True, True]
