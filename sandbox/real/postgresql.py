"""What makes a PostgreSQL server behave as RDS's: settings, who may connect, the master user."""

from __future__ import annotations

import re
from collections.abc import Mapping

FORCE_SSL = "rds.force_ssl"
"""On by default from version 15.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Concepts.General.SSL.html
"""
_CLASS_MEMORY = 0.75
"""The share of a class's memory that RDS counts as DBInstanceClassMemory; the rest is not the server's.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ParamValuesRef.html says that it is less, not how
much less: servers of the class db.t4g.micro (1 GiB) answer `SHOW max_connections` with 80 to 90.
"""
_BYTES_PER_CONNECTION = 9531392
"""RDS's default of max_connections is LEAST({DBInstanceClassMemory/9531392}, 5000).

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html#RDS_Limits.MaxConnections
"""
_MOST_CONNECTIONS = 5000
_BYTES_PER_BUFFER = 32768
"""RDS's default of shared_buffers, in PostgreSQL's blocks of 8 KiB, is {DBInstanceClassMemory/32768}."""
_RDS_SUPERUSER_HAS = "pg_monitor, pg_signal_backend, pg_checkpoint, rds_password"
_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?", re.IGNORECASE)


def files(parameters: Mapping[str, str], *, port: int, memory_mib: int) -> dict[str, str]:
    """Return the server's configuration files, name -> text.

    Args:
        parameters: what the parameter group says; names that begin with `rds.` are RDS's own.
        port: where it listens.
        memory_mib: memory of the instance class.
    """
    return {
        "postgresql.conf": _settings(parameters, port=port, memory_mib=memory_mib),
        "pg_hba.conf": _access(forces_tls=parameters.get(FORCE_SSL, "1") in ("1", "on", "true")),
        "pg_ident.conf": "internal postgres rdsadmin\n",
    }


def first_sql(master_user: str, password: str, database: str | None) -> str:
    """Return the SQL that makes a new server RDS's: the master user, and a first database that it owns."""
    master = _identifier(master_user)
    lines = [
        "CREATE ROLE rds_superuser NOLOGIN;",
        "CREATE ROLE rds_password NOLOGIN;",
        f"GRANT {_RDS_SUPERUSER_HAS} TO rds_superuser WITH ADMIN OPTION;",
        f"CREATE ROLE {master} LOGIN CREATEDB CREATEROLE PASSWORD {_literal(password)};",
        f"GRANT rds_superuser TO {master};",
        f"ALTER DATABASE postgres OWNER TO {master};",
        f"ALTER DATABASE template1 OWNER TO {master};",
    ]
    if database:
        lines.append(f"CREATE DATABASE {_identifier(database)} OWNER {master};")
    return "\n".join(lines)


def password_sql(user: str, password: str) -> str:
    """Return the SQL that gives a user another password."""
    return f"ALTER ROLE {_identifier(user)} PASSWORD {_literal(password)};"


def _settings(parameters: Mapping[str, str], *, port: int, memory_mib: int) -> str:
    memory = int(memory_mib * 1024 * 1024 * _CLASS_MEMORY)
    values = {
        "max_connections": str(min(memory // _BYTES_PER_CONNECTION, _MOST_CONNECTIONS)),
        "shared_buffers": str(memory // _BYTES_PER_BUFFER),
        "log_line_prefix": "%t:%r:%u@%d:[%p]:",
        "password_encryption": "scram-sha-256",
        "ssl_min_protocol_version": "TLSv1.2",
        "timezone": "UTC",
        **{name: value for name, value in parameters.items() if not name.startswith("rds.")},
        "listen_addresses": "*",
        "port": str(port),
        "unix_socket_directories": "/run/postgresql",
        "hba_file": "/config/pg_hba.conf",
        "ident_file": "/config/pg_ident.conf",
        "ssl": "on",
        "ssl_cert_file": "/run/tls/server.crt",
        "ssl_key_file": "/run/tls/server.key",
        "logging_collector": "off",
        "log_destination": "stderr",
    }
    lines = (f"{name} = {_setting(value)}" for name, value in values.items() if _NAME.fullmatch(name))
    return "\n".join(lines) + "\n"


def _access(*, forces_tls: bool) -> str:
    kind = "hostssl" if forces_tls else "host"
    return (
        "local all rdsadmin peer map=internal\n"
        "local replication rdsadmin peer map=internal\n"
        "local all all reject\n"
        "host all rdsadmin all reject\n"
        f"{kind} all all 0.0.0.0/0 scram-sha-256\n"
    )


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: str) -> str:
    """Return an SQL string (standard_conforming_strings is on: a backslash is a letter)."""
    return "'" + value.replace("'", "''") + "'"


def _setting(value: str) -> str:
    """Return a string of postgresql.conf, where a backslash is an escape."""
    return _literal(value.replace("\\", "\\\\"))
