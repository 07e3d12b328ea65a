"""RDS parameter groups: every parameter of the family, what may be set, and who set it.

``parameters/postgres<version>.tsv`` lists PostgreSQL's own parameters: name, apply type, data type, allowed
values. They are the rows of pg_settings of the server that the sandbox runs (``context``, ``vartype``,
``enumvals``, ``min_val`` and ``max_val``; internal ones left out).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sandbox import account
from sandbox.api import wire
from sandbox.api.call import Call
from sandbox.api.correction import Correction
from sandbox.api.refusal import Refusal, unsupported
from sandbox.web import HttpResponse

correction = Correction()

_FILES = Path(__file__).with_name("parameters")
_PAGE = 100
"""Parameters in an answer. Source: MaxRecords of DescribeDBParameters."""
_MOST_AT_ONCE = 20
"""Parameters in a call. Source: ModifyDBParameterGroup, RDS's API reference, which names no error."""


@dataclass(frozen=True)
class Parameter:
    """What RDS knows of a parameter.

    ``allowed`` is ``least most`` of a number, choices joined by commas, or empty. ``default`` is RDS's own
    value; without one, the engine's is in force and RDS shows none.
    """

    name: str
    apply_type: str
    data_type: str
    allowed: str
    default: str | None = None

    def allows(self, value: str) -> bool:
        """Say whether a value may be set.

        Args:
            value: the value.

        Returns:
            Whether it can.
        """
        if not self.allowed:
            return True
        if self.data_type not in {"integer", "float"}:
            return value in self.allowed.split(",")
        least, most = self.allowed.split(" ")
        try:
            return float(least) <= float(value) <= float(most)
        except ValueError:
            return False


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
_FIXED = {
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


@cache
def parameters_of_family(family: str) -> dict[str, Parameter]:
    """List the parameters of a family.

    Args:
        family: e.g. ``postgres17``.

    Returns:
        The parameters by name, in RDS's order.

    Raises:
        Refusal: it is a family of another engine.
    """
    file = _FILES / f"{family}.tsv"
    if not file.exists():
        raise unsupported(f"the parameters of {family}")
    rows = file.read_text(encoding="utf-8").splitlines()
    found = [Parameter(*row.split("\t")) for row in rows]
    return {parameter.name: parameter for parameter in sorted([*found, *_OWN], key=lambda p: p.name)}


def _group(call: Call) -> Any:
    return account.rds(call.region).db_parameter_groups.get(
        str(call.params.get("DBParameterGroupName") or "")
    )


def _invalid(message: str) -> Refusal:
    return Refusal("InvalidParameterValue", message)


@correction.refuses("rds", "ModifyDBParameterGroup", "ResetDBParameterGroup")
def _keep_default_groups(call: Call) -> None:
    if str(call.params.get("DBParameterGroupName") or "").startswith("default."):
        raise _invalid("Cannot modify a default parameter group.")


@correction.refuses("rds", "ModifyDBParameterGroup")
def _check_parameters(call: Call) -> None:
    group, given = _group(call), call.params.get("Parameters") or []
    if group is None:
        return
    if len(given) > _MOST_AT_ONCE:
        raise _invalid(f"A maximum of {_MOST_AT_ONCE} parameters can be modified in a single request.")
    for item in given:
        _check_parameter(parameters_of_family(group.family), item)


def _check_parameter(known: dict[str, Parameter], item: dict[str, Any]) -> None:
    name, value = str(item.get("ParameterName") or ""), str(item.get("ParameterValue") or "")
    parameter = known.get(name)
    if parameter is None:
        extension = name.partition(".")[0] if "." in name else "rds"
        if extension != "rds":
            raise unsupported(f"the parameters of the extension {extension}")
        raise _invalid(f"Could not find parameter with name: {name}")
    if name in _FIXED:
        raise _invalid(f"The parameter {name} cannot be modified.")
    if parameter.apply_type == "static" and item.get("ApplyMethod") == "immediate":
        raise Refusal("InvalidParameterCombination", "cannot use immediate apply method for static parameter")
    if "{" in value:
        raise unsupported(f"a formula as the value of {name}")
    if not parameter.allows(value):
        allowed = parameter.allowed.replace(" ", "-")
        raise _invalid(f"Invalid parameter value: {value} for: {name} allowed values are: {allowed}")


@correction.answers("rds", "DescribeDBParameters")
def _describe(call: Call) -> HttpResponse | None:
    """Answer with the whole family, as RDS does; moto knows only what was set."""
    group, params = _group(call), call.params
    name = str(params.get("DBParameterGroupName") or "")
    family = group.family if group is not None else name.removeprefix("default.")
    if group is None and family == name:
        return None
    wanted = {value for item in params.get("Filters") or [] for value in item.get("Values", [])}
    described = [
        _described(parameter, group.parameters.get(parameter.name, {}) if group is not None else {})
        for parameter in parameters_of_family(family).values()
        if not wanted or parameter.name in wanted
    ]
    chosen = [item for item in described if params.get("Source") in {None, "", item["Source"]}]
    start, size = int(params.get("Marker") or 0), int(params.get("MaxRecords") or _PAGE)
    result: dict[str, Any] = {"Parameters": chosen[start : start + size]}
    if start + size < len(chosen):
        result["Marker"] = str(start + size)
    return wire.render_result(call, result)


def _described(parameter: Parameter, given: dict[str, Any]) -> dict[str, Any]:
    """Describe a parameter: one that was set to what RDS has anyway still has its old source.

    Source: https://github.com/hashicorp/terraform-provider-aws/issues/23335
    """
    value, source = parameter.default, "engine-default" if parameter.default is None else "system"
    if given.get("ParameterValue", value) != value:
        value, source = given["ParameterValue"], "user"
    described = {
        "ParameterName": parameter.name,
        "ParameterValue": value,
        "Source": source,
        "ApplyType": parameter.apply_type,
        "DataType": parameter.data_type,
        "AllowedValues": parameter.allowed.replace(" ", "-"),
        "IsModifiable": parameter.name not in _FIXED,
        "ApplyMethod": given.get("ApplyMethod", "pending-reboot"),
    }
    return {key: item for key, item in described.items() if item not in {None, ""}}
