"""What RDS makes of PostgreSQL's parameters.

``postgres<version>.tsv`` lists PostgreSQL's own: name, apply type, data type, allowed values. They are the
rows of pg_settings of the server that the sandbox runs (``context``, ``vartype``, ``enumvals``, ``min_val``
and ``max_val``; internal ones left out).
"""

from __future__ import annotations

from dataclasses import replace

from sandbox.corrections.parameters.parameter import OfEngine, Parameter

_CONNECTIONS = "LEAST({DBInstanceClassMemory/9531392},5000)"
# Source: "RDS for PostgreSQL DB instance parameter list", "Working with PostgreSQL autovacuum", "Requiring an
# SSL connection to a PostgreSQL DB instance", "Setting the log retention period" and "Restricting password
# management", Amazon RDS User Guide.
_OWN = (
    Parameter("max_connections", "static", "integer", "6 262143", _CONNECTIONS),
    Parameter("shared_buffers", "static", "integer", "16 1073741823", "{DBInstanceClassMemory/32768}"),
    Parameter("rds.adaptive_autovacuum", "dynamic", "boolean", "0,1", "1"),
    Parameter("rds.force_ssl", "dynamic", "boolean", "0,1", "1"),
    Parameter("rds.log_retention_period", "dynamic", "integer", "1440 10080", "4320"),
    Parameter("rds.logical_replication", "static", "boolean", "0,1", "0"),
    Parameter("rds.restrict_password_commands", "static", "boolean", "0,1", "0"),
)
# Source: "Modifiable: No" in "Amazon Aurora PostgreSQL parameters", Amazon Aurora User Guide, as far as the
# service needs the value for itself: where its files, sockets and logs are.
_FIXED = frozenset(
    {
        "archive_command",
        "config_file",
        "data_directory",
        "hba_file",
        "ident_file",
        "listen_addresses",
        "log_directory",
        "log_file_mode",
        "logging_collector",
        "port",
        "ssl_ca_file",
        "ssl_cert_file",
        "ssl_key_file",
        "superuser_reserved_connections",
        "unix_socket_directories",
        "unix_socket_group",
        "unix_socket_permissions",
    }
)

POSTGRES = AURORA_POSTGRES = OfEngine(_OWN, _FIXED)
AURORA_POSTGRES_BEFORE_17 = OfEngine(
    tuple(replace(one, default="0") if one.name == "rds.force_ssl" else one for one in _OWN), _FIXED
)
"""Source: "Securing Aurora PostgreSQL data with SSL/TLS", Amazon Aurora User Guide."""
