"""Real clusters of the sandbox: one server writes, others follow, and any of them can be lost. Needs root."""

import os
import ssl

import psycopg2
import pymysql
import pytest
from deployed import until

from sandbox.real import databases, firewall, images
from sandbox.real.certificates import Authority
from sandbox.real.clusters import Cluster
from sandbox.real.firewall import Rule
from sandbox.real.mysql_member import MysqlMember
from sandbox.real.postgresql_member import PostgresqlMember
from sandbox.real.site import Site
from sandbox.real.vpc import Vpc

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

PASSWORD = 'it\'s \\ a "password"'
NAME = "shared.cluster-abc.us-east-1.rds.amazonaws.com"
IS_THERE = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'seen'"


class Postgresql:
    """PostgreSQL, as a client sees it that checks the certificate against the cluster's name."""

    server, image, port = PostgresqlMember, "postgresql-15", 5432

    @staticmethod
    def connect(address, password, ca):
        options = {"sslmode": "verify-full", "sslrootcert": str(ca)}
        return psycopg2.connect(
            hostaddr=address, host=NAME, user="master", password=password, dbname="app", **options
        )


class Mysql:
    """MySQL, as such a client sees it."""

    server, image, port = MysqlMember, "mysql-9", 3306

    @staticmethod
    def connect(address, password, ca):
        context = ssl.create_default_context(cafile=ca)
        under_its_address = context.wrap_socket
        context.wrap_socket = lambda made, server_hostname: under_its_address(made, server_hostname=NAME)  # noqa: ARG005
        return pymysql.connect(host=address, user="master", password=password, database="app", ssl=context)


class Place:
    """Where the clusters of a test live, and how a client gets to their members."""

    def __init__(self, site, directory, engine):
        self.engine = engine
        self.site = site
        self.vpc = Vpc(site, "vpc-1", "10.80.0.0/16")
        self.authority = Authority(directory / "ca")
        self.image = images.ensure(engine.image)
        self.public = {}

    def add(self, cluster, number):
        """Make a member of a cluster that lets nobody in but clients of the network, no other member."""
        name, private = f"m{number}", f"10.80.10.{number}"
        if name not in self.public:
            netns = self.vpc.attach(f"db-{name}", private, "10.80.10.0/24")
            firewall.apply(netns, [Rule("in", "tcp", self.engine.port, self.engine.port, ("198.18.0.0/15",))])
            self.public[name] = self.site.public_addresses.take(), netns
            self.vpc.map_public(self.public[name][0], private)
            self.vpc.allow_internet({"10.80.10.5", "10.80.10.6", "10.80.10.7"})
        certificate, key = self.authority.issue([NAME])
        member = self.engine.server(
            self.site,
            name,
            self.public[name][1],
            self.image,
            master_user="master",
            password=PASSWORD,
            database="app",
            certificate=certificate,
            key=key,
            port=self.engine.port,
        )
        cluster.add(member, PASSWORD)
        return name

    def ask(self, member, sql, password=PASSWORD):
        """Return the rows that a client gets."""
        address = self.public[member][0]
        connection = self.engine.connect(address, password, self.authority.ca_pem_path)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                rows = list(cursor.fetchall()) if cursor.description else None
            connection.commit()
            return rows
        finally:
            connection.close()

    def numbers(self, member):
        return [number for (number,) in self.ask(member, "SELECT number FROM seen ORDER BY number")]

    def refuses_writes(self, member):
        """Tell whether a member only reads, and says so."""
        with pytest.raises((psycopg2.Error, pymysql.Error), match="read-only"):
            self.ask(member, "INSERT INTO seen VALUES (0)")


@pytest.fixture(params=[Postgresql, Mysql])
def place(request, tmp_path):
    site = Site.claim("clusters", tmp_path / "state", f"t{os.getpid()}")
    try:
        yield Place(site, tmp_path, request.param)
    finally:
        site.release()
    assert not [path for path in (tmp_path / "state").rglob("*") if path.name in {"PG_VERSION", ".made"}]


def test_readers_follow_the_writer_and_take_over_without_a_loss(place):
    cluster = Cluster(place.site, "shared")
    first, second, third = (place.add(cluster, number) for number in (5, 6, 7))
    place.ask(first, "CREATE TABLE seen AS SELECT 1 AS number")
    for reader in (second, third):
        until(lambda reader=reader: place.ask(reader, IS_THERE)[0][0], "there")
        assert place.numbers(reader) == [1]
        place.refuses_writes(reader)
    more = ", ".join(f"({number})" for number in range(2, 20001))
    place.ask(first, f"INSERT INTO seen VALUES {more}")  # noqa: S608 - numbers
    told = []
    cluster.failover(second, lambda: told.append(cluster.writer))
    assert told == [second]
    place.ask(second, "INSERT INTO seen VALUES (20001)")
    assert place.numbers(second) == list(range(1, 20002))
    for reader in (first, third):
        until(lambda reader=reader: len(place.numbers(reader)) == 20001, f"{reader} follows the new one")
        place.refuses_writes(reader)
    cluster.delete()


def test_the_data_outlive_every_member(place):
    cluster = Cluster(place.site, "shared")
    first, second = place.add(cluster, 5), place.add(cluster, 6)
    place.ask(first, "CREATE TABLE seen AS SELECT 1 AS number")
    cluster.remove(first)
    assert cluster.writer == second
    place.ask(second, "INSERT INTO seen VALUES (2)")
    cluster.remove(second)
    assert cluster.writer == ""
    again = place.add(cluster, 7)
    assert place.numbers(again) == [1, 2]
    place.ask(again, "INSERT INTO seen VALUES (3)")
    cluster.delete()


def test_it_stops_starts_and_comes_back_from_a_snapshot(place):
    cluster = Cluster(place.site, "shared")
    first, second = place.add(cluster, 5), place.add(cluster, 6)
    place.ask(first, "CREATE TABLE seen AS SELECT 1 AS number")
    cluster.stop()
    cluster.start()
    place.ask(first, "INSERT INTO seen VALUES (2)")
    until(lambda: place.numbers(second) == [1, 2], "followed")
    cluster.set_password("another")
    assert place.ask(first, "SELECT 1", password="another") == [(1,)]
    cluster.snapshot("cluster:running")
    cluster.remove(second)
    cluster.remove(first)
    cluster.snapshot("cluster:without")
    cluster.delete()
    for snapshot in ("cluster:running", "cluster:without"):
        copy = Cluster(place.site, "copy")
        copy.restore(snapshot)
        assert place.numbers(place.add(copy, 5)) == [1, 2]
        copy.delete()
        databases.remove_snapshot(place.site, snapshot)
