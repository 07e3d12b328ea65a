"""A real MySQL server, for all tests that need one: its master is no superuser, as on Aurora."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from flowstead_database_access.logins import Login

from sandbox.real import images, mysql_server, namespaces
from sandbox.real.commands import RealError
from sandbox.real.site import Site
from tests.clearing import cleared

ENDPOINT = "localhost"
MASTER = Login("master", "the-masters-password")
PORT = 3306
PARAMETERS = {
    "require_secure_transport": "ON",
    "log_bin_trust_function_creators": "1",
    # It lives as long as the tests.
    "sync_binlog": "0",
    "innodb_flush_log_at_trx_commit": "0",
}


class MysqlServer(mysql_server.MysqlServer):
    """The server, reached as `localhost` from its network namespace."""

    ca: Path

    def do(self, sql: str) -> list[list[str]]:
        """Run SQL as the superuser; return the rows."""
        return self._query(sql)

    def make_user(self, name: str, rights: str, databases: tuple[str, ...], folder: Path) -> Path:
        """Make a user with rights to databases, and return its option file."""
        password = secrets.token_urlsafe(20)
        sql = [f"CREATE USER IF NOT EXISTS {name}", f"ALTER USER {name} IDENTIFIED BY '{password}'"]
        sql += [f"GRANT {rights} ON `{database}`.* TO {name}" for database in databases]
        self.do(";\n".join(sql))
        file = folder / f"{name}.cnf"
        file.touch(0o600)
        file.write_text(f"[client]\nuser = {name}\npassword = {password}\n")
        return file

    def uri(self, name: str, user: str, file: Path) -> str:
        """Return a database's address, as MLflow has it."""
        return f"mysql+pymysql://{user}@localhost:{PORT}/{name}?read_default_file={file}&ssl_ca={self.ca}"


@pytest.fixture(scope="session")
def mysql_server(authority, tmp_path_factory):
    """A new server, in a network namespace of its own."""
    certificate, key = authority.issue([ENDPOINT])
    name = f"mysql-{secrets.token_hex(4)}"
    try:
        image = images.ensure("mysql-9")
    except RealError as error:
        pytest.fail(
            "MySQL's tests need the image mysql-9, of Debian's unstable packages, and it cannot be "
            f"built: {error}"
        )
    site = Site(name, tmp_path_factory.mktemp("mysql"), "unit", 0)
    server = MysqlServer(
        site,
        "server",
        str(namespaces.path(name)),
        image,
        master_user=MASTER.username,
        password=MASTER.password,
        database=None,
        certificate=certificate,
        key=key,
        parameters=PARAMETERS,
        port=PORT,
    )
    server.ca = authority.ca_pem_path
    clear = "from sandbox.real import containers, namespaces; containers.remove(sys.argv[1]); "
    with cleared(f"{clear}namespaces.remove(sys.argv[2])", site.container("db-server"), name):
        namespaces.make(name)
        server.run()
        server.namespace = name
        yield server


@pytest.fixture
def mysql(mysql_server):
    """The server, for a test that is in its network namespace: other tests need the machine's own."""
    with namespaces.entered(mysql_server.namespace):
        yield mysql_server
