"""What RDS makes of MySQL's parameters.

``aurora-mysql8.0.tsv`` lists MySQL's own: name, apply type, data type, allowed values. They are the rows of
variables_metadata of the server that the sandbox runs; static are those that SET GLOBAL calls read-only.
"""

from __future__ import annotations

from sandbox.corrections.parameters.parameter import OfEngine, Parameter

# Source: "Aurora MySQL configuration parameters" and "Requiring TLS connections to an Aurora MySQL DB
# cluster", Amazon Aurora User Guide.
_OWN = (
    Parameter("innodb_buffer_pool_size", "static", "integer", "", "{DBInstanceClassMemory*3/4}"),
    Parameter("log_bin_trust_function_creators", "dynamic", "boolean", "0,1", "0"),
    Parameter("require_secure_transport", "dynamic", "string", "ON,OFF", "OFF"),
)
# Source: "Modifiable: No" in the first, as far as the service needs the value for itself.
_FIXED = frozenset(
    {
        "basedir",
        "bind_address",
        "datadir",
        "enforce_gtid_consistency",
        "gtid_mode",
        "innodb_data_home_dir",
        "innodb_log_group_home_dir",
        "lc_messages_dir",
        "log_bin_basename",
        "log_error",
        "pid_file",
        "plugin_dir",
        "port",
        "read_only",
        "relay_log",
        "secure_file_priv",
        "server_id",
        "skip_name_resolve",
        "skip_networking",
        "socket",
        "ssl_ca",
        "ssl_cert",
        "ssl_key",
        "super_read_only",
    }
)

AURORA_MYSQL = OfEngine(_OWN, _FIXED)
