"""A real PostgreSQL server whose master is no superuser, as on RDS, for all tests that need one."""

from __future__ import annotations

import os
import secrets
import shlex
import tempfile

import pytest
from flowstead_database_access.logins import Login
from flowstead_database_access.server import Server

from sandbox.real import containers, images, namespaces
from sandbox.real.certificates import Authority
from sandbox.real.postgresql_server import PostgresqlServer
from sandbox.real.site import Site
from tests.clearing import cleared

ENDPOINT = "db.flowstead.test"
MASTER = Login("master", "the-masters-password")


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session", params=images.versions(), ids="postgresql-{}".format)
def postgresql(request, authority, tmp_path_factory):
    """A new server of each version, in a network namespace of its own; it logs all SQL."""
    certificate, key = authority.issue([ENDPOINT])
    name = f"unit-{secrets.token_hex(4)}"
    site = Site(name, tmp_path_factory.mktemp("server"), "unit", 0)
    database = PostgresqlServer(
        site,
        "server",
        str(namespaces.path(name)),
        images.ensure(f"postgresql-{request.param}"),
        master_user=MASTER.username,
        password=MASTER.password,
        database=None,
        certificate=certificate,
        key=key,
        parameters={"log_statement": "all"},
    )
    clear = "from sandbox.real import containers, namespaces; containers.remove(sys.argv[1]); "
    with cleared(f"{clear}namespaces.remove(sys.argv[2])", site.container("db-server"), name):
        namespaces.make(name)
        database.run()
        database.namespace = name
        yield database


@pytest.fixture
def programs(postgresql, tmp_path_factory, tmp_path, monkeypatch):
    """PostgreSQL's own programs, of the server's version, before all others on PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    base = tmp_path_factory.getbasetemp()
    image = images.ensure(f"postgresql-{postgresql.version().split('.')[0]}")
    options = (*containers.runtime_options(), *containers.limit_options(), *containers.labels("unit", "unit"))
    for name in ("pg_dump", "pg_restore", "psql"):
        program = folder / name
        words = ("podman", "run", "--rm", "--network=host", *options, f"--volume={base}:{base}")
        words += ("--env=PGPASSFILE", "--env=PGAPPNAME", image, name)
        program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        program.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.fixture
def server(postgresql, authority):
    """The way to it, for a test that is in its network namespace: other tests need the machine's own."""
    with namespaces.entered(postgresql.namespace):
        yield Server(endpoint=ENDPOINT, at=("127.0.0.1", 5432), ca_path=authority.ca_pem_path)
