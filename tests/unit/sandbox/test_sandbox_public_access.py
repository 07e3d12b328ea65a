"""Publicly accessible databases as the account has them: what is refused, filled in and shown."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from asking import cluster_of, code_of, database_of
from botocore.exceptions import ClientError

from sandbox import account
from sandbox.mapping import database_objects as objects
from sandbox.mapping import names, topology
from sandbox.mapping.public_names import PublicNames
from sandbox.real import machine_names

opened = pytest.mark.usefixtures("open_network")


@pytest.fixture
def open_network(client, network):
    """The network with host names and a gateway, to which no subnet has a route."""
    ec2 = client("ec2")
    ec2.modify_vpc_attribute(VpcId=network.vpc, EnableDnsHostnames={"Value": True})
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=network.vpc)
    network.gateway = {"InternetGatewayId": gateway, "VpcId": network.vpc}
    return network


def refusal(function, **arguments):
    with pytest.raises(ClientError) as caught:
        function(**arguments)
    error = caught.value.response["Error"]
    assert error["Code"] == "InvalidVPCNetworkStateFault"
    return error["Message"]


def test_a_vpc_without_host_names_or_gateway_has_no_public_database(client, create_database, network, unique):
    ec2, rds, public = client("ec2"), client("rds"), {"PubliclyAccessible": True}
    assert "DNS hostnames" in refusal(create_database, **public)
    ec2.modify_vpc_attribute(VpcId=network.vpc, EnableDnsHostnames={"Value": True})
    assert "no internet gateway" in refusal(create_database, **public)
    create_database(PubliclyAccessible=False)
    modify = rds.modify_db_instance
    assert "no internet gateway" in refusal(modify, DBInstanceIdentifier=unique, **public)
    assert code_of(modify, DBInstanceIdentifier="none", **public) == "DBInstanceNotFound"


def test_a_member_is_refused_for_its_clusters_vpc(client, create_cluster, add_member, unique):
    create_cluster()
    assert "DNS" in refusal(add_member, PubliclyAccessible=True)
    add_member()
    modify = client("rds").modify_db_instance
    assert code_of(modify, DBInstanceIdentifier=f"{unique}-1", PubliclyAccessible=True) == (
        "InvalidVPCNetworkStateFault"
    )


@opened
def test_it_is_shown_and_changed_at_once(client, create_database, unique):
    rds, named = client("rds"), {"DBInstanceIdentifier": unique}
    assert create_database(PubliclyAccessible=True)["PubliclyAccessible"] is True
    for wanted in (False, True):
        assert rds.modify_db_instance(**named, PubliclyAccessible=wanted)["DBInstance"]
        (shown,) = rds.describe_db_instances(**named)["DBInstances"]
        assert shown["PubliclyAccessible"] is wanted
        assert not shown.get("PendingModifiedValues")
    rds.modify_db_instance(**named, BackupRetentionPeriod=3)
    assert rds.describe_db_instances(**named)["DBInstances"][0]["PubliclyAccessible"] is True


@opened
def test_a_member_is_changed_at_once(cloud, client, create_cluster, add_member, unique):
    create_cluster()
    assert add_member()["PubliclyAccessible"] is False
    named = {"DBInstanceIdentifier": f"{unique}-1"}
    shown = client("rds").modify_db_instance(**named, PubliclyAccessible=True)["DBInstance"]
    assert shown["PubliclyAccessible"] is True
    asked = cloud.infrastructure.clusters.asked
    assert asked[-1] == ("follow_access", (database_of(f"{unique}-1"),))
    before = len(asked)
    client("rds").modify_db_instance(**named, AutoMinorVersionUpgrade=False)
    assert len(asked) == before


@opened
def test_nobody_is_public_unasked_in_subnets_that_a_call_names(client, create_database, unique):
    assert create_database()["PubliclyAccessible"] is False
    rds = client("rds")
    rds.modify_db_instance(DBInstanceIdentifier=unique, PubliclyAccessible=True)
    rds.create_db_snapshot(DBInstanceIdentifier=unique, DBSnapshotIdentifier=f"{unique}-s")
    restored = {"DBSnapshotIdentifier": f"{unique}-s", "DBSubnetGroupName": unique}
    restore = rds.restore_db_instance_from_db_snapshot
    private = restore(**restored, DBInstanceIdentifier=f"{unique}-a")["DBInstance"]
    assert private["PubliclyAccessible"] is False
    public = restore(**restored, DBInstanceIdentifier=f"{unique}-b", PubliclyAccessible=True)["DBInstance"]
    assert public["PubliclyAccessible"] is True


def test_a_database_in_the_default_vpc_is_public_if_that_has_a_gateway(client, create_database, unique):
    ec2, unnamed = client("ec2"), {"DBSubnetGroupName": None, "VpcSecurityGroupIds": None}
    assert create_database(**unnamed)["PubliclyAccessible"] is False
    vpc = account.ec2("us-east-1").get_default_vpc().id
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    attached = {"InternetGatewayId": gateway, "VpcId": vpc}
    ec2.attach_internet_gateway(**attached)
    try:
        made = create_database(**unnamed, DBInstanceIdentifier=f"{unique}-b")
        assert made["PubliclyAccessible"] is True
    finally:
        ec2.detach_internet_gateway(**attached)


def test_a_public_address_is_its_own_and_holds_the_gateway(client, create_database, open_network, unique):
    create_database(PubliclyAccessible=True)
    database = database_of(unique)
    nic = objects.plug_in(database)
    plan = topology.work_out("us-east-1", open_network.vpc)
    assert plan.public == {nic.public_ip: nic.private_ip_address}
    assert plan.internet == frozenset()
    assert code_of(client("ec2").detach_internet_gateway, **open_network.gateway) == "DependencyViolation"
    before = nic.public_ip
    objects.follow_access(database)
    assert nic.public_ip == before
    database.publicly_accessible = False
    objects.follow_access(database)
    assert topology.work_out("us-east-1", open_network.vpc).public == {}


def test_the_name_leads_to_another_address_inside_than_outside(create_database, open_network, unique):
    create_database(PubliclyAccessible=True)
    database = database_of(unique)
    nic = objects.plug_in(database)
    assert names.resolve("us-east-1", open_network.vpc, database.address) == nic.private_ip_address
    assert names.resolve("us-east-1", "vpc-other", database.address) == nic.public_ip
    nic.public_ip = None
    assert names.resolve("us-east-1", "vpc-other", database.address) == nic.private_ip_address


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the machine knows; `follow` has it follow the account."""
    written: list[dict[str, str]] = []
    monkeypatch.setattr(machine_names, "show", lambda _name, _clone, names: written.append(dict(names)))
    site: Any = SimpleNamespace(name="demo", clone="0a1b")
    return SimpleNamespace(written=written, follow=PublicNames(site).follow)


@opened
def test_the_machine_knows_who_is_public_while_it_is(create_database, unique, known):
    create_database(PubliclyAccessible=True)
    database = database_of(unique)
    address = objects.plug_in(database).public_ip
    for status in ("creating", "available", "modifying"):
        database.status = status
        known.follow()
    assert known.written == [{database.address: address}]
    database.publicly_accessible = False
    objects.follow_access(database)
    known.follow()
    assert known.written[1:] == [{}]


@opened
def test_the_machine_follows_who_writes_and_knows_one_reader(create_cluster, add_member, unique, known):
    create_cluster()
    cluster, members = cluster_of(unique), []
    for number in (1, 2):
        add_member(DBInstanceIdentifier=f"{unique}-{number}", PubliclyAccessible=True)
        members.append(database_of(f"{unique}-{number}"))
        members[-1].db_subnet_group = account.rds("us-east-1").subnet_groups[unique]
        objects.plug_in(members[-1])
    first, second = (member.real_nic.public_ip for member in members)
    known.follow()
    assert known.written[-1] == {
        members[0].address: first,
        members[1].address: second,
        cluster.endpoint: first,
        cluster.reader_endpoint: second,
    }
    for member in members:
        member.is_cluster_writer = not member.is_cluster_writer
    known.follow()
    shown = known.written[-1]
    assert (shown[cluster.endpoint], shown[cluster.reader_endpoint]) == (second, first)
    members[1].publicly_accessible = False
    objects.follow_access(members[1])
    known.follow()
    assert cluster.endpoint not in known.written[-1]


@opened
def test_a_machine_that_cannot_be_told_holds_nothing_up(create_database, unique, monkeypatch, caplog):
    def refuse(*_: Any) -> None:
        raise OSError("read-only file system")

    monkeypatch.setattr(machine_names, "show", refuse)
    create_database(PubliclyAccessible=True)
    objects.plug_in(database_of(unique))
    site: Any = SimpleNamespace(name="demo", clone="0a1b")
    PublicNames(site).follow()
    assert database_of(unique).address in caplog.text
