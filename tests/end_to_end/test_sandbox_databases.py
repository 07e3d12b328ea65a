"""Real databases of the sandbox, asked over the network as clients ask. Needs root."""

import os

import psycopg2
import pytest

from sandbox.real import databases, firewall, images
from sandbox.real.certificates import Authority
from sandbox.real.commands import RealError
from sandbox.real.firewall import Rule
from sandbox.real.postgresql_server import PostgresqlServer
from sandbox.real.site import Site
from sandbox.real.vpc import Vpc

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

PASSWORD = 'it\'s \\ a "password"'
NAME = "{}.abc.us-east-1.rds.amazonaws.com"


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
