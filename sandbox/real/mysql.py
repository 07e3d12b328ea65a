"""What makes a MySQL server behave as Aurora's: settings, and the master user, who is no superuser."""

from __future__ import annotations

import re
from collections.abc import Mapping

REPLICATION_USER = "rdsrepladmin"
"""Comes in by the socket only, and so without a password."""
MASTER_ROLE = "rds_superuser_role"
"""Source: "Master user account privileges", Amazon Aurora User Guide."""
_MASTER_HAS = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, "
    "SHOW DATABASES, CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, REPLICATION SLAVE, REPLICATION CLIENT, "
    "CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, TRIGGER, CREATE ROLE, "
    "DROP ROLE, APPLICATION_PASSWORD_ADMIN, CONNECTION_ADMIN, FLUSH_OPTIMIZER_COSTS, FLUSH_STATUS, "
    "FLUSH_TABLES, FLUSH_USER_RESOURCES, ROLE_ADMIN, SESSION_VARIABLES_ADMIN, SHOW_ROUTINE"
)
"""Source: as above, less what is Aurora's own."""
_OF_AWS = re.compile(r"(aurora|aws|rds|server_audit)_")
_NAME = re.compile(r"[a-z][a-z0-9_]*", re.IGNORECASE)
_CLASS_MEMORY = 0.75
"""The share of a class's memory that RDS counts as DBInstanceClassMemory; see `postgresql`."""


def is_servers(name: str, value: str) -> bool:
    """Say whether a parameter is the server's own: not a service's, and no formula of one."""
    return bool(_NAME.fullmatch(name)) and not _OF_AWS.match(name) and not value.startswith(("{", "GREATEST"))


def config(parameters: Mapping[str, str], places: Mapping[str, str], *, memory_mib: int) -> str:
    """Return the server's configuration file.

    Args:
        parameters: what the parameter group says.
        places: its socket and its port.
        memory_mib: memory of the instance class.
    """
    memory = int(memory_mib * _CLASS_MEMORY)
    values = {
        "innodb_buffer_pool_size": f"{max(memory // 2, 64)}M",
        "max_connections": str(max(memory // 12, 45)),
        "log_bin_trust_function_creators": "0",
        **{name: value for name, value in parameters.items() if is_servers(name, value)},
        "datadir": "/data",
        **places,
        "bind_address": "*",
        "mysqlx": "OFF",
        "skip_name_resolve": "ON",
        "ssl_cert": "/run/tls/server.crt",
        "ssl_key": "/run/tls/server.key",
        # What those that read follow: it is what Aurora's shared storage stands for.
        "gtid_mode": "ON",
        "enforce_gtid_consistency": "ON",
        "binlog_expire_logs_seconds": "86400",
        "plugin_load_add": "mysql_clone.so",
    }
    return "[mysqld]\n" + "".join(f"{name} = {quoted(value)}\n" for name, value in values.items())


def first_sql(master_user: str, password: str, database: str | None) -> str:
    """Return the SQL that makes a new server Aurora's: the master user, and a first database."""
    master = f"{quoted(master_user)}@'%'"
    lines = [
        f"CREATE ROLE '{MASTER_ROLE}'@'%'",
        f"GRANT {_MASTER_HAS} ON *.* TO '{MASTER_ROLE}'@'%' WITH GRANT OPTION",
        f"CREATE USER {master} IDENTIFIED BY {quoted(password)}",
        f"GRANT '{MASTER_ROLE}'@'%' TO {master} WITH ADMIN OPTION",
        f"SET DEFAULT ROLE ALL TO {master}",
        f"CREATE USER '{REPLICATION_USER}'@'localhost'",
        f"GRANT REPLICATION SLAVE ON *.* TO '{REPLICATION_USER}'@'localhost'",
    ]
    if database:
        lines.append(f"CREATE DATABASE `{database.replace('`', '``')}`")
    return ";\n".join(lines)


def password_sql(user: str, password: str) -> str:
    """Return the SQL that gives a user another password."""
    return f"ALTER USER {quoted(user)}@'%' IDENTIFIED BY {quoted(password)}"


def quoted(value: str) -> str:
    """Return a string of SQL, or of the configuration file."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"
