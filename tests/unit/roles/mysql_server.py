"""A real MySQL server, for all tests that need one: its master is no superuser, as on Aurora."""

from __future__ import annotations

import secrets
import subprocess
import time
from pathlib import Path

import pytest

from sandbox.real import containers, images, namespaces
from sandbox.real.commands import CommandError, RealError, run
from tests.clearing import cleared

PORT = 3306
CONFIG = f"""
[mysqld]
datadir = /data
socket = /run/mysqld/mysqld.sock
port = {PORT}
bind-address = *
mysqlx = OFF
skip-name-resolve
ssl-cert = /run/tls/server.crt
ssl-key = /run/tls/server.key
require-secure-transport = ON
log-bin-trust-function-creators = 1
# It lives as long as the tests.
sync-binlog = 0
innodb-flush-log-at-trx-commit = 0
innodb-buffer-pool-size = 256M
performance-schema = OFF
"""


class MysqlServer:
    """The server, reached as `localhost` from its network namespace."""

    def __init__(self, container: str, ca: Path) -> None:
        self.container = container
        self.ca = ca

    def do(self, sql: str) -> list[list[str]]:
        """Run SQL as the superuser; return the rows."""
        said = run(
            *("podman", "exec", "--interactive", self.container, "mysql", "--no-defaults", "--batch"),
            *("--skip-column-names", "--raw", "--user=root", "--socket=/run/mysqld/mysqld.sock"),
            text_input=sql,
        )
        return [line.split("\t") for line in said.splitlines()]

    def wait(self) -> None:
        """Return when it answers."""
        deadline = time.monotonic() + 120
        while True:
            try:
                self.do("SELECT 1")
            except CommandError as error:
                state = containers.inspect(self.container) or {"Status": "gone"}
                if time.monotonic() > deadline or state["Status"] != "running":
                    log = subprocess.run(
                        ["podman", "logs", "--tail", "15", self.container],
                        stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT,
                        text=True,
                        check=False,
                    )
                    raise RealError(f"MySQL does not start: {error}\n{log.stdout}") from error
                time.sleep(0.2)
            else:
                return

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
def mysql(authority, tmp_path_factory):
    """A new server, in a network namespace where the tests are too."""
    certificate, key = authority.issue(["localhost"])
    name = f"mysql-{secrets.token_hex(4)}"
    config = tmp_path_factory.mktemp("mysql")
    (config / "my.cnf").write_text(CONFIG)
    for source, target in ((certificate, "server.crt"), (key, "server.key")):
        (config / target).write_bytes(source.read_bytes())
    try:
        image = images.ensure("mysql-9")
    except RealError as error:
        pytest.fail(
            "MySQL's tests need the image mysql-9, of Debian's unstable packages, and it cannot be "
            f"built: {error}"
        )
    clear = "from sandbox.real import containers, namespaces; containers.remove(sys.argv[1]); "
    with cleared(f"{clear}namespaces.remove(sys.argv[1])", name):
        namespaces.make(name)
        run(
            *("podman", "run", "--detach", *containers.runtime_options(), *containers.limit_options()),
            *("--name", name, "--network", f"ns:{namespaces.path(name)}", "--tmpfs", "/data"),
            *("--volume", f"{config}:/config:ro", image, "/usr/local/sbin/sandbox-database"),
        )
        server = MysqlServer(name, authority.ca_pem_path)
        server.wait()
        with namespaces.entered(name):
            yield server
