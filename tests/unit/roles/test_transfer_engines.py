"""MLflow's real databases, carried from each engine to each other one."""

from __future__ import annotations

import itertools
import json
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

import fill_tables
import pytest
import sqlalchemy as sa
from flowstead_host.errors import ChangeError
from flowstead_host.transfer.databases import opened, reflected
from mlflow_release import HOST, migrate, release, run
from mysql_server import ENDPOINT as MYSQL_ENDPOINT
from mysql_server import MASTER, PARAMETERS, PORT, MysqlServer

from day_two.gathered import PASSWORD, gather
from sandbox.real import images, namespaces
from sandbox.real.postgresql_server import PostgresqlServer
from sandbox.real.site import Site
from tests.clearing import cleared

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
VERSION = "3.17.2"
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "ERROR"}
FILL, ASK = (Path(__file__).with_name(f"{does}_mlflow.py") for does in ("fill", "ask"))
STORES = ("tracking", "login")


@pytest.fixture(scope="module")
def python():
    """A release, installed before a test is where there is no network."""
    return release(VERSION)


@pytest.fixture(scope="module")
def servers(authority, tmp_path_factory):
    """Both servers in one network namespace, where a host's programs reach them."""
    certificate, key = authority.issue(["localhost"])
    name = f"transfer-{secrets.token_hex(4)}"
    site = Site(name, tmp_path_factory.mktemp("servers"), "unit", 0)
    common = {"certificate": certificate, "key": key, "database": None, "master_user": MASTER.username}
    place = str(namespaces.path(name))
    postgresql = PostgresqlServer(
        *(site, "postgresql", place, images.ensure("postgresql-17")),
        **common,
        password=MASTER.password,
        parameters={},
    )
    mysql = MysqlServer(
        *(site, "mysql", place, images.ensure("mysql-9")),
        **common,
        password=MASTER.password,
        parameters=PARAMETERS,
        port=PORT,
    )
    mysql.ca = authority.ca_pem_path
    clear = "from sandbox.real import containers, namespaces; "
    clear += "[containers.remove(one) for one in sys.argv[1:3]]; namespaces.remove(sys.argv[3])"
    with cleared(clear, site.container("db-postgresql"), site.container("db-mysql"), name):
        namespaces.make(name)
        postgresql.run()
        mysql.run()
        with namespaces.entered(name):
            yield postgresql, mysql


@pytest.fixture
def stores(servers, authority, tmp_path):
    """The addresses of MLflow's two databases, not made yet, by engine."""
    postgresql, mysql = servers
    assert MYSQL_ENDPOINT == "localhost"
    names = ("mlflow", "mlflow_auth")
    password = secrets.token_urlsafe(20)
    # The servers are the same for every test.
    for name in names:
        postgresql._sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        mysql.do(f"DROP DATABASE IF EXISTS {name}")
    postgresql._sql("DROP ROLE IF EXISTS own")
    mysql.do("DROP USER IF EXISTS own")
    postgresql._sql(f"CREATE ROLE own LOGIN PASSWORD '{password}'")
    for name in names:
        postgresql._sql(f"CREATE DATABASE {name} OWNER own")
        mysql.do(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin")
    passfile = tmp_path / "pgpass"
    passfile.touch(0o600)
    passfile.write_text(f"*:*:*:own:{password}\n")
    trust = f"sslmode=verify-full&sslrootcert={authority.ca_pem_path}&passfile={passfile}"
    option_file = mysql.make_user("own", "ALL PRIVILEGES", names, tmp_path)
    return {
        "postgresql": [f"postgresql+psycopg2://own@localhost:5432/{name}?{trust}" for name in names],
        "mysql": [mysql.uri(name, "own", option_file) for name in names],
        "sqlite": [f"sqlite:///{tmp_path}/{name}.db" for name in names],
        "other sqlite": [f"sqlite:///{tmp_path}/other_{name}.db" for name in names],
    }


def test_everything_is_carried_from_each_engine_to_each_other_one(python, stores):
    for addresses in stores.values():
        migrate(python, dict(zip(STORES, addresses, strict=True)))
    run(str(python), "-B", str(FILL), stores["sqlite"][0], env=QUIET)

    def carry(source: str, target: str) -> dict[str, dict[str, object]]:
        pairs = dict(zip(STORES, zip(stores[source], stores[target], strict=True), strict=True))
        said = run(str(python), "-B", str(HOST / "transfer.py"), words=json.dumps(pairs), env={})
        return json.loads(said.splitlines()[-1])

    way = ("sqlite", "postgresql", "mysql", "other sqlite", "mysql", "postgresql", "other sqlite")
    told = [carry(one, other) for one, other in itertools.pairwise(way)]
    assert told[0]["tracking"]["rows"] > 70
    assert told == told[:1] * len(told)

    found = {
        engine: json.loads(run(str(python), "-B", str(ASK), addresses[0], env=QUIET).splitlines()[-1])
        for engine, addresses in stores.items()
    }
    assert found["sqlite"]["everything"]
    assert found == dict.fromkeys(stores, found["sqlite"])

    # What MLflow's own calls did not make: rows in all tables, of the logins, too.
    for address in stores["sqlite"]:
        fill_tables.fill(address)
    before, told = told, [carry(one, other) for one, other in itertools.pairwise(way)]
    assert told[0]["tracking"]["rows"] > before[0]["tracking"]["rows"]
    assert told[0]["login"]["rows"] > before[0]["login"]["rows"]
    # In MySQL two columns, weights and budgets, have fewer digits, and so has what comes from there.
    assert told[1:] == told[1:2] * (len(told) - 1)
    assert told[0]["tracking"]["rows"] == told[1]["tracking"]["rows"]
    assert told[0]["login"] == told[1]["login"]

    # Whose failure it is, is told, and no values of rows.
    with sqlite3.connect(stores["sqlite"][0].removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE workspaces SET description = CAST(x'ff' AS TEXT)")
    with pytest.raises(AssertionError, match="the sqlite database refused: Could not decode"):
        carry("sqlite", "postgresql")
    for engine, said in (("postgresql", "duplicate key value"), ("mysql", "Duplicate entry")):
        with opened(stores[engine][0]) as connection:
            workspaces = reflected(connection).tables["workspaces"]
            row = {"name": "default", "description": "not to be told"}
            with pytest.raises(ChangeError, match=f"the {engine} database refused: .*{said}") as caught:
                connection.execute(sa.insert(workspaces), row)
        assert "to be told" not in str(caught.value)
        assert "(default)" not in str(caught.value)
    # What was refused has left everything as it was.
    assert carry("postgresql", "other sqlite") == told[1]


def test_an_import_reads_the_same_from_each_engine(python, stores, authority, monkeypatch, tmp_path):
    """By addresses as people write them, with the password in the environment."""
    for addresses in stores.values():
        migrate(python, dict(zip(STORES, addresses, strict=True)))
    run(str(python), "-B", str(FILL), stores["sqlite"][0], env=QUIET)
    for target in ("postgresql", "mysql"):
        pairs = {"tracking": (stores["sqlite"][0], stores[target][0])}
        run(str(python), "-B", str(HOST / "transfer.py"), words=json.dumps(pairs), env={})
    passfile, option_file = tmp_path / "pgpass", tmp_path / "own.cnf"
    trust = f"sslmode=verify-full&sslrootcert={authority.ca_pem_path}"
    sources = {
        "sqlite": (stores["sqlite"][0], ""),
        "postgresql": (
            f"postgresql://own@localhost:5432/mlflow?{trust}",
            passfile.read_text().strip().rpartition(":")[2],
        ),
        "mysql": (
            f"mysql://own@localhost:{PORT}/mlflow?ssl_ca={authority.ca_pem_path}",
            option_file.read_text().strip().rpartition(" = ")[2],
        ),
    }
    found = {}
    for engine, (source, password) in sources.items():
        monkeypatch.setenv(PASSWORD, password)
        told = gather(VERSION, source, "s3://bucket/prefix", tmp_path / f"gathered-{engine}.db")
        with closing(sqlite3.connect(told.file)) as database:
            # MLflow's migrations write the constraints of a table in any order.
            rows = {line for line in database.iterdump() if line.startswith("INSERT")}
            found[engine] = told.rows, told.folders, told.elsewhere, rows
    assert sum(found["sqlite"][0].values()) > 50
    for engine in ("postgresql", "mysql"):
        assert found[engine][:3] == found["sqlite"][:3]
        assert found[engine][3] ^ found["sqlite"][3] == set()
