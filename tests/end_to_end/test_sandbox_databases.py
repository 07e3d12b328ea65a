"""Real databases of the sandbox, asked over the network as clients ask. Needs root."""

import json
import os
import signal
import socket
from pathlib import Path

import psycopg2
import pymysql
import pytest
from deployed import Sandbox, base_environment, run, until

from sandbox.real import clones, containers, databases, firewall, images
from sandbox.real.certificates import Authority
from sandbox.real.commands import RealError
from sandbox.real.firewall import Rule
from sandbox.real.postgresql_server import PostgresqlServer
from sandbox.real.site import Site
from sandbox.real.vpc import Vpc

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

PASSWORD = 'it\'s \\ a "password"'
NAME = "{}.abc.us-east-1.rds.amazonaws.com"
RDS_PASSWORD = "letters-and-digits-17"


class Place:
    """Where the databases of a test live, and how a client gets to them."""

    def __init__(self, site, directory, version):
        self.site = site
        self.vpc = Vpc(site, "vpc-1", "10.80.0.0/16")
        self.authority = Authority(directory / "ca")
        self.image = images.ensure(f"postgresql-{version}")
        self.public = {}

    def database(self, identifier, private_ip, parameters=None):
        netns = self.vpc.attach(f"db-{identifier}", private_ip, "10.80.10.0/24")
        firewall.apply(netns, [Rule("in", "tcp", 5432, 5432, ("0.0.0.0/0",))])
        self.public[identifier] = self.site.public_addresses.take()
        self.vpc.map_public(self.public[identifier], private_ip)
        self.vpc.allow_internet({"10.80.10.5", "10.80.10.6"})
        certificate, key = self.authority.issue([NAME.format(identifier)])
        return PostgresqlServer(
            self.site,
            identifier,
            netns,
            self.image,
            master_user="master",
            password=PASSWORD,
            database="app",
            certificate=certificate,
            key=key,
            parameters=parameters,
        )

    def ask(self, identifier, sql, password=PASSWORD, **options):
        """Return the rows a client gets that checks the certificate against the endpoint's name."""
        checked = {"sslmode": "verify-full", "sslrootcert": str(self.authority.ca_pem_path)} | options
        connection = psycopg2.connect(
            hostaddr=self.public[identifier],
            host=NAME.format(identifier),
            user="master",
            password=password,
            dbname="app",
            **checked,
        )
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()


@pytest.fixture(params=["17", "15"])
def place(request, tmp_path):
    site = Site.claim("databases", tmp_path / "state", f"t{os.getpid()}")
    try:
        yield Place(site, tmp_path, request.param)
    finally:
        site.release()
    assert not list((tmp_path / "state").rglob("PG_VERSION"))


def test_a_database_is_what_rds_hands_out(place):
    made = place.database("one", "10.80.10.5")
    made.run()
    assert place.ask(
        "one", "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = 'master'"
    ) == [(False, True, True)]
    assert place.ask("one", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [(True,)]
    with pytest.raises(psycopg2.OperationalError, match="no encryption"):
        place.ask("one", "SELECT 1", sslmode="disable")
    with pytest.raises(psycopg2.OperationalError, match="authentication failed"):
        place.ask("one", "SELECT 1", password="wrong")
    with pytest.raises(psycopg2.Error, match="permission denied"):
        place.ask("one", "ALTER SYSTEM SET work_mem = '1MB'")
    made.set_password("another")
    assert place.ask("one", "SELECT 1", password="another") == [(1,)]


def test_parameters_are_in_force_at_once_or_after_a_reboot_as_they_are_dynamic_or_static(place):
    made = place.database("one", "10.80.10.5")
    made.run()
    pending = made.apply_parameters({"rds.force_ssl": "0", "work_mem": "8192", "max_connections": "77"})
    assert pending == made.pending_parameters() == ("max_connections",)
    assert place.ask("one", "SHOW work_mem", sslmode="disable") == [("8MB",)]
    assert place.ask("one", "SHOW max_connections") == [("84",)]
    for wrong in ({"no_such_thing": "1"}, {"work_mem": "much"}, {"max_connections": "many"}):
        with pytest.raises(RealError, match=next(iter(wrong))):
            made.apply_parameters(wrong)
    made.reboot()
    assert place.ask("one", "SHOW max_connections") == [("77",)]
    assert made.pending_parameters() == ()


def test_data_outlive_a_stop_and_come_back_from_a_snapshot(place):
    made = place.database("one", "10.80.10.5")
    made.run()
    place.ask("one", "CREATE TABLE seen AS SELECT 1 AS number")
    made.snapshot("running")
    made.stop()
    assert made.state() == "stopped"
    made.snapshot("stopped")
    made.start()
    place.ask("one", "INSERT INTO seen VALUES (2)")
    made.reboot()
    assert place.ask("one", "SELECT count(*) FROM seen") == [(2,)]
    for snapshot in ("running", "stopped"):
        copy = place.database("two", "10.80.10.6")
        copy.restore(snapshot)
        copy.run()
        assert place.ask("two", "SELECT number FROM seen") == [(1,)]
        copy.remove()
    databases.remove_snapshot(place.site, "running")
    with pytest.raises(RealError, match="no data of a snapshot running"):
        place.database("two", "10.80.10.6").restore("running")


def test_a_removed_database_leaves_its_data_only_if_told_to(place):
    made = place.database("one", "10.80.10.5")
    made.run()
    place.ask("one", "CREATE TABLE kept (number int)")
    made.remove(keep_data=True)
    assert made.state() == "absent"
    made.run()
    assert place.ask("one", "SELECT count(*) FROM kept") == [(0,)]
    made.remove()
    made.run()
    with pytest.raises(psycopg2.Error, match="does not exist"):
        place.ask("one", "SELECT count(*) FROM kept")


class Internet:
    """A VPC of an account, open to this machine, which is the internet; and what it sees of databases."""

    def __init__(self, sandbox):
        self.ca = sandbox.env["AWS_CA_BUNDLE"]
        self.ec2, self.rds = sandbox.client("ec2"), sandbox.client("rds")
        vpc = self.ec2.create_vpc(CidrBlock="10.80.0.0/16")["Vpc"]["VpcId"]
        self.ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
        gateway = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        tables = self.ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
        self.route = {"RouteTableId": tables[0]["RouteTableId"], "DestinationCidrBlock": "0.0.0.0/0"}
        self.ec2.create_route(**self.route, GatewayId=gateway)
        group = self.ec2.create_security_group(GroupName="g", Description="d", VpcId=vpc)["GroupId"]
        here = sandbox.env["AWS_ENDPOINT_URL"].removeprefix("https://").partition(":")[0]
        permission = {"FromPort": 3306, "ToPort": 5432, "IpRanges": [{"CidrIp": f"{here}/32"}]}
        self.rule = {"GroupId": group, "IpPermissions": [permission | {"IpProtocol": "tcp"}]}
        self.ec2.authorize_security_group_ingress(**self.rule)
        subnets = [
            self.ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.80.{n}.0/24", AvailabilityZone=zone)
            for n, zone in enumerate(("us-east-1d", "us-east-1f"))
        ]
        self.rds.create_db_subnet_group(
            DBSubnetGroupName="g",
            DBSubnetGroupDescription="d",
            SubnetIds=[subnet["Subnet"]["SubnetId"] for subnet in subnets],
        )
        self.subnet = subnets[0]["Subnet"]["SubnetId"]
        self.common = {"DBSubnetGroupName": "g", "VpcSecurityGroupIds": [group], "MasterUsername": "master"}
        self.common["MasterUserPassword"] = RDS_PASSWORD

    def create(self):
        """Make a public instance; returns its name."""
        size = {"DBInstanceClass": "db.t4g.micro", "AllocatedStorage": 20}
        asked = {"Engine": "postgres", "DBName": "app", "PubliclyAccessible": True} | size
        self.rds.create_db_instance(DBInstanceIdentifier="open", **asked, **self.common)
        return self.available("open")["Endpoint"]["Address"]

    def create_cluster(self, engine):
        """Make a cluster with two public members; returns the names of who writes and who reads."""
        scaling = {"ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "MaxCapacity": 1}}
        asked = {"DBClusterIdentifier": "shared", "Engine": engine}
        made = self.rds.create_db_cluster(**asked, **scaling, DatabaseName="app", **self.common)["DBCluster"]
        until(lambda: self.cluster()["Status"] == "available", "available", pause_s=0.2)
        for name in ("one", "two"):
            member = {"DBInstanceIdentifier": name, "DBInstanceClass": "db.serverless"}
            self.rds.create_db_instance(**asked, **member, PubliclyAccessible=True)
        addresses = [self.available(name)["Endpoint"]["Address"] for name in ("one", "two")]
        return made["Endpoint"], made["ReaderEndpoint"], addresses

    def launch(self):
        """Start a host beside the database; returns its id when it runs."""
        asked = {"InstanceType": "t3.small", "MinCount": 1, "MaxCount": 1, "SubnetId": self.subnet}
        asked["ImageId"] = self.ec2.describe_images(Owners=["136693071363"])["Images"][0]["ImageId"]
        host = self.ec2.run_instances(**asked)["Instances"][0]["InstanceId"]
        self.ec2.get_waiter("instance_running").wait(InstanceIds=[host], WaiterConfig={"Delay": 1})
        return host

    def cluster(self):
        return self.rds.describe_db_clusters(DBClusterIdentifier="shared")["DBClusters"][0]

    def change(self, *, is_public):
        self.rds.modify_db_instance(DBInstanceIdentifier="open", PubliclyAccessible=is_public)
        assert self.available("open")["PubliclyAccessible"] is is_public

    def available(self, name):
        def shown():
            (one,) = self.rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
            assert one["DBInstanceStatus"] != "failed"
            return one if one["DBInstanceStatus"] == "available" else None

        return until(shown, "available", pause_s=0.2)

    def connect(self, name, engine="postgres", address=None):
        """Return a connection that checks the certificate against the name."""
        known = {"host": name, "user": "master", "password": RDS_PASSWORD, "connect_timeout": 2}
        if "mysql" in engine:
            return pymysql.connect(**known, database="app", ssl_ca=self.ca, ssl_verify_identity=True)
        checked = {"sslmode": "verify-full", "sslrootcert": self.ca}
        return psycopg2.connect(**known, dbname="app", hostaddr=address, **checked)

    def is_shut_out(self, name, address=None):
        with pytest.raises(psycopg2.OperationalError, match="timeout expired"):
            self.connect(name, address=address)
        return True


@pytest.fixture
def internet(clone):
    sandbox = Sandbox.up(clone, "public")
    yield Internet(sandbox)
    run("python", "-m", "sandbox", "down", "--name", "public", cwd=clone, env=base_environment())


def lines_of(name):
    return [line for line in Path("/etc/hosts").read_text().splitlines() if name in line.split()]


def test_a_public_database_is_reached_by_its_name_while_its_groups_and_routes_let_in(internet, clone):
    name = internet.create()
    address = socket.gethostbyname(name)
    assert address.startswith("198.18.")
    internet.connect(name).close()
    options = (*containers.runtime_options(), *containers.limit_options(), "--rm", "--network", "host")
    looked_up = ("podman", "run", *options, images.ensure("postgresql-17"), "getent", "hosts", name)
    assert run(*looked_up, cwd=clone, env=os.environ).stdout.split() == [address, name]
    internet.ec2.revoke_security_group_ingress(**internet.rule)
    assert internet.is_shut_out(name)
    internet.ec2.authorize_security_group_ingress(**internet.rule)
    internet.connect(name).close()
    internet.ec2.delete_route(**internet.route)
    assert internet.is_shut_out(name)


def test_the_name_leads_a_host_of_the_vpc_to_the_private_address(internet, clone):
    name, host = internet.create(), internet.launch()
    container = f"flowstead.{clones.short(clone)}.public.{host}"
    say = ("podman", "exec", container, "getent", "hosts")
    address, _ = run(*say, name, cwd=clone, env=os.environ).stdout.split()
    assert address.startswith("10.80.")
    assert "localhost" in run(*say, "localhost", cwd=clone, env=os.environ).stdout


def test_a_database_that_is_private_again_has_neither_name_nor_address_here(internet, clone):
    name = internet.create()
    address = socket.gethostbyname(name)
    internet.change(is_public=False)
    assert not lines_of(name)
    assert internet.is_shut_out(name, address)
    internet.change(is_public=True)
    internet.connect(name).close()
    assert len(lines_of(name)) == 1
    daemon = json.loads((clone / ".sandbox" / "public" / "daemon.json").read_text())["pid"]
    os.kill(daemon, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{daemon}/exe").exists(), "dead")
    assert lines_of(name)
    Sandbox.up(clone, "public")
    assert not lines_of(name)


@pytest.mark.parametrize("engine", ["aurora-postgresql", "aurora-mysql"])
def test_the_names_of_a_public_cluster_follow_its_writer(internet, engine):
    writer, reader, members = internet.create_cluster(engine)
    first, second = map(socket.gethostbyname, members)
    assert [socket.gethostbyname(name) for name in (writer, reader)] == [first, second]
    internet.connect(writer, engine).close()
    internet.rds.failover_db_cluster(DBClusterIdentifier="shared")
    until(lambda: internet.cluster()["Status"] == "available", "failed over", pause_s=0.2)
    assert [socket.gethostbyname(name) for name in (writer, reader)] == [second, first]
    with internet.connect(writer, engine) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE seen (number int)")
    internet.rds.modify_db_instance(DBInstanceIdentifier="two", PubliclyAccessible=False)
    assert not lines_of(writer)
