"""Real clusters of the sandbox: one server writes, others follow, and any of them can be lost. Needs root."""

import os

import psycopg2
import pytest
from deployed import until

from sandbox.real import databases, firewall, images
from sandbox.real.certificates import Authority
from sandbox.real.clusters import Cluster
from sandbox.real.firewall import Rule
from sandbox.real.postgresql_member import PostgresqlMember
from sandbox.real.site import Site
from sandbox.real.vpc import Vpc

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

PASSWORD = 'it\'s \\ a "password"'
NAME = "shared.cluster-abc.us-east-1.rds.amazonaws.com"


class Place:
    """Where the clusters of a test live, and how a client gets to their members."""

    def __init__(self, site, directory, version):
        self.site = site
        self.vpc = Vpc(site, "vpc-1", "10.80.0.0/16")
        self.authority = Authority(directory / "ca")
        self.image = images.ensure(f"postgresql-{version}")
        self.public = {}

    def add(self, cluster, number):
        """Make a member of a cluster that lets nobody in but clients of the network, no other member."""
        name, private = f"m{number}", f"10.80.10.{number}"
        if name not in self.public:
            netns = self.vpc.attach(f"db-{name}", private, "10.80.10.0/24")
            firewall.apply(netns, [Rule("in", "tcp", 5432, 5432, ("198.18.0.0/15",))])
            self.public[name] = self.site.public_addresses.take(), netns
            self.vpc.map_public(self.public[name][0], private)
            self.vpc.allow_internet({"10.80.10.5", "10.80.10.6", "10.80.10.7"})
        certificate, key = self.authority.issue([NAME])
        member = PostgresqlMember(
            self.site,
            name,
            self.public[name][1],
            self.image,
            master_user="master",
            password=PASSWORD,
            database="app",
            certificate=certificate,
            key=key,
        )
        cluster.add(member, PASSWORD)
        return name

    def ask(self, member, sql, password=PASSWORD):
        """Return the rows a client gets that checks the certificate against the cluster's name."""
        connection = psycopg2.connect(
            hostaddr=self.public[member][0],
            host=NAME,
            user="master",
            password=password,
            dbname="app",
            sslmode="verify-full",
            sslrootcert=str(self.authority.ca_pem_path),
        )
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()

    def numbers(self, member):
        return [number for (number,) in self.ask(member, "SELECT number FROM seen ORDER BY number")]


@pytest.fixture(params=["15"])
def place(request, tmp_path):
    site = Site.claim("clusters", tmp_path / "state", f"t{os.getpid()}")
    try:
        yield Place(site, tmp_path, request.param)
    finally:
        site.release()
    assert not list((tmp_path / "state").rglob("PG_VERSION"))


def test_readers_follow_the_writer_and_take_over_without_a_loss(place):
    cluster = Cluster(place.site, "shared")
    first, second, third = (place.add(cluster, number) for number in (5, 6, 7))
    place.ask(first, "CREATE TABLE seen AS SELECT 1 AS number")
    for reader in (second, third):
        until(
            lambda reader=reader: place.ask(reader, "SELECT to_regclass('seen') IS NOT NULL")[0][0], "there"
        )
        assert place.numbers(reader) == [1]
        with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
            place.ask(reader, "INSERT INTO seen VALUES (0)")
    place.ask(first, "INSERT INTO seen SELECT generate_series(2, 20000)")
    told = []
    cluster.failover(second, lambda: told.append(cluster.writer))
    assert told == [second]
    place.ask(second, "INSERT INTO seen VALUES (20001)")
    assert place.numbers(second) == list(range(1, 20002))
    for reader in (first, third):
        until(lambda reader=reader: len(place.numbers(reader)) == 20001, f"{reader} follows the new one")
        with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
            place.ask(reader, "INSERT INTO seen VALUES (0)")
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
