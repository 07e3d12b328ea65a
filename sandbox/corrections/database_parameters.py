"""Parameter groups of instances and clusters: every parameter of the family, what may be set, who set it."""

from __future__ import annotations

from typing import Any

from sandbox import account
from sandbox.api import wire
from sandbox.api.call import Call
from sandbox.api.correction import Correction
from sandbox.api.refusal import Refusal, unsupported
from sandbox.corrections.parameters.families import of_family
from sandbox.corrections.parameters.parameter import Parameter
from sandbox.web import HttpResponse

correction = Correction()

_PAGE = 100
"""Parameters in an answer. Source: MaxRecords of DescribeDBParameters."""
_MOST_AT_ONCE = 20
"""Parameters in a call. Source: ModifyDBParameterGroup, RDS's API reference, which names no error."""


def _name(call: Call) -> str:
    params = call.params
    return str(params.get("DBParameterGroupName") or params.get("DBClusterParameterGroupName") or "")


def _group(call: Call) -> Any:
    backend = account.rds(call.region)
    of_clusters = "DBClusterParameterGroupName" in call.params
    return (backend.db_cluster_parameter_groups if of_clusters else backend.db_parameter_groups).get(
        _name(call)
    )


def _family_of(group: Any) -> str:
    return str(group.family if hasattr(group, "family") else group.db_parameter_group_family)


def _invalid(message: str) -> Refusal:
    return Refusal("InvalidParameterValue", message)


@correction.refuses(
    "rds",
    "ModifyDBParameterGroup",
    "ResetDBParameterGroup",
    "ModifyDBClusterParameterGroup",
    "ResetDBClusterParameterGroup",
)
def _keep_default_groups(call: Call) -> None:
    if _name(call).startswith("default."):
        raise _invalid("Cannot modify a default parameter group.")


@correction.refuses("rds", "ModifyDBParameterGroup", "ModifyDBClusterParameterGroup")
def _check_parameters(call: Call) -> None:
    group, given = _group(call), call.params.get("Parameters") or []
    if group is None:
        return
    if len(given) > _MOST_AT_ONCE:
        raise _invalid(f"A maximum of {_MOST_AT_ONCE} parameters can be modified in a single request.")
    for item in given:
        _check_parameter(of_family(_family_of(group)), item)


def _check_parameter(known: dict[str, Parameter], item: dict[str, Any]) -> None:
    name, value = str(item.get("ParameterName") or ""), str(item.get("ParameterValue") or "")
    parameter = known.get(name)
    if parameter is None:
        extension = name.partition(".")[0] if "." in name else "rds"
        if extension != "rds":
            raise unsupported(f"the parameters of the extension {extension}")
        raise _invalid(f"Could not find parameter with name: {name}")
    if parameter.is_fixed:
        raise _invalid(f"The parameter {name} cannot be modified.")
    if parameter.apply_type == "static" and item.get("ApplyMethod") == "immediate":
        raise Refusal("InvalidParameterCombination", "cannot use immediate apply method for static parameter")
    if "{" in value:
        raise unsupported(f"a formula as the value of {name}")
    if not parameter.allows(value):
        allowed = parameter.allowed.replace(" ", "-")
        raise _invalid(f"Invalid parameter value: {value} for: {name} allowed values are: {allowed}")


@correction.answers("rds", "DescribeDBParameters", "DescribeDBClusterParameters")
def _describe(call: Call) -> HttpResponse | None:
    """Answer with the whole family, as RDS does; moto knows only what was set."""
    group, params = _group(call), call.params
    name = _name(call)
    family = _family_of(group) if group is not None else name.removeprefix("default.")
    if group is None and family == name:
        return None
    wanted = {value for item in params.get("Filters") or [] for value in item.get("Values", [])}
    described = [
        _described(parameter, group.parameters.get(parameter.name, {}) if group is not None else {})
        for parameter in of_family(family).values()
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
        "IsModifiable": not parameter.is_fixed,
        "ApplyMethod": given.get("ApplyMethod", "pending-reboot"),
    }
    return {key: item for key, item in described.items() if item not in {None, ""}}
