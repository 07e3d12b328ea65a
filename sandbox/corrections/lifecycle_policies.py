"""Amazon Data Lifecycle Manager, which moto does not have: nightly snapshots of volumes.

Source: the service's API reference; "Create Amazon Data Lifecycle Manager custom policy for EBS snapshots",
Amazon EBS User Guide.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sandbox import account
from sandbox.api import principals, wire
from sandbox.api.call import Call
from sandbox.api.correction import Correction
from sandbox.api.refusal import Refusal, unsupported
from sandbox.mapping.infrastructure import Infrastructure
from sandbox.mapping.lifecycle_policies import LifecyclePolicies
from sandbox.web import HttpResponse

correction = Correction()

_SERVICE = "dlm.amazonaws.com"
_MOST = 100
"""Policies in a region. Source: "Quotas", as above."""
_known: list[LifecyclePolicies] = []


@correction.patch
def _patch(infrastructure: Infrastructure) -> None:
    """Know the policies that the real things follow."""
    _known[:] = [infrastructure.lifecycle_policies]


def _policies(call: Call) -> dict[str, dict[str, Any]]:
    return _known[0].by_region[call.region]


def _find(call: Call) -> dict[str, Any]:
    id_ = str(call.params.get("PolicyId") or str(call.params.get("ResourceArn")).rpartition("/")[2])
    policy = _policies(call).get(id_)
    if policy is None:
        raise Refusal("ResourceNotFoundException", f"The policy {id_} does not exist.", 404)
    return policy


def _check_details(details: dict[str, Any]) -> None:
    """Refuse what a night does not do here, and what the service refuses."""
    if details.get("PolicyType", "EBS_SNAPSHOT_MANAGEMENT") != "EBS_SNAPSHOT_MANAGEMENT":
        raise unsupported(f"a policy of the type {details['PolicyType']}")
    if details.get("ResourceTypes") != ["VOLUME"]:
        raise unsupported("policies for other resources than volumes")
    schedules = details.get("Schedules") or []
    if not details.get("TargetTags") or not schedules:
        raise _invalid("A policy needs target tags and one to four schedules.")
    if len(schedules) > 1:
        raise unsupported("policies with several schedules")
    make, keep = schedules[0].get("CreateRule") or {}, schedules[0].get("RetainRule") or {}
    if make.get("Interval") != 24 or make.get("IntervalUnit") != "HOURS" or "CronExpression" in make:  # noqa: PLR2004 - hours of a day
        raise unsupported("schedules that are not nightly")
    if keep.get("IntervalUnit") != "DAYS":
        raise unsupported("snapshots that are kept by other rules than for days")
    others = {"ArchiveRule", "CrossRegionCopyRules", "FastRestoreRule", "ShareRules"} & set(schedules[0])
    if others:
        raise unsupported(f"{', '.join(sorted(others))} of a schedule")


def _check_role(call: Call) -> None:
    arn = f"arn:{account.PARTITION}:dlm:{call.region}:{account.ACCOUNT_ID}:policy/*"
    context = {"aws:sourceaccount": account.ACCOUNT_ID, "aws:sourcearn": arn}
    if not principals.trusts_service(str(call.params["ExecutionRoleArn"]), _SERVICE, context):
        raise _invalid("The execution role does not exist, or the service cannot assume this role.")


def _invalid(message: str) -> Refusal:
    return Refusal("InvalidRequestException", message)


def _filled(asked: dict[str, Any]) -> dict[str, Any]:
    """Fill in what the service does where nothing was said."""
    found: dict[str, Any] = {
        key: asked[key] for key in ("Description", "ExecutionRoleArn", "State") if key in asked
    }
    if details := asked.get("PolicyDetails"):
        schedules = [
            {"CopyTags": False, "TagsToAdd": [], "VariableTags": [], **one} for one in details["Schedules"]
        ]
        for one in schedules:
            one["CreateRule"] = {"Location": "CLOUD", **one["CreateRule"]}
        own = {"PolicyLanguage": "STANDARD", "ResourceLocations": ["CLOUD"]}
        found["PolicyDetails"] = {**own, **details, "Schedules": schedules}
    return found | {"DateModified": datetime.now(UTC)}


def _create(call: Call) -> dict[str, Any]:
    if len(_policies(call)) >= _MOST:
        raise Refusal("LimitExceededException", f"There are {_MOST} policies in this Region.", 429)
    if not call.params.get("PolicyDetails"):
        raise unsupported("default policies")
    _check_details(call.params["PolicyDetails"])
    _check_role(call)
    tags = dict(call.params.get("Tags") or {})
    id_ = f"policy-0{uuid.uuid4().hex[:16]}"
    arn = f"arn:{account.PARTITION}:dlm:{call.region}:{account.ACCOUNT_ID}:policy/{id_}"
    own = {"PolicyId": id_, "PolicyArn": arn, "Tags": tags, "DateCreated": datetime.now(UTC)}
    _policies(call)[id_] = {**_filled(call.params), **own}
    return {"PolicyId": id_}


def _update(call: Call) -> dict[str, Any]:
    policy = _find(call)
    if details := call.params.get("PolicyDetails"):
        _check_details({**policy["PolicyDetails"], **details})
    if "ExecutionRoleArn" in call.params:
        _check_role(call)
    policy.update(_filled(call.params))
    return {}


def _list(call: Call) -> dict[str, Any]:
    wanted, ids = set(call.params.get("TargetTags") or ()), call.params.get("PolicyIds") or ()
    found = [
        {**one, "PolicyType": one["PolicyDetails"].get("PolicyType")}
        for one in _policies(call).values()
        if not ids or one["PolicyId"] in ids
        if not wanted
        or wanted & {f"{tag['Key']}={tag['Value']}" for tag in one["PolicyDetails"]["TargetTags"]}
    ]
    return {"Policies": found}


def _delete(call: Call) -> dict[str, Any]:
    del _policies(call)[_find(call)["PolicyId"]]
    return {}


def _tag(call: Call) -> dict[str, Any]:
    _find(call)["Tags"].update(call.params["Tags"])
    return {}


def _untag(call: Call) -> dict[str, Any]:
    tags = _find(call)["Tags"]
    for key in call.params["TagKeys"]:
        tags.pop(key, None)
    return {}


_OPERATIONS: dict[str, Callable[[Call], dict[str, Any]]] = {
    "CreateLifecyclePolicy": _create,
    "DeleteLifecyclePolicy": _delete,
    "GetLifecyclePolicies": _list,
    "GetLifecyclePolicy": lambda call: {"Policy": _find(call)},
    "ListTagsForResource": lambda call: {"Tags": _find(call)["Tags"]},
    "TagResource": _tag,
    "UntagResource": _untag,
    "UpdateLifecyclePolicy": _update,
}


@correction.answers("dlm", "*")
def _answer(call: Call) -> HttpResponse:
    operation = _OPERATIONS.get(call.action)
    if operation is None:
        raise unsupported(call.action)
    return wire.render_result(call, operation(call))


@correction.follows("resourcegroupstaggingapi", "GetResources")
def _list_tagged(call: Call) -> None:
    """List the policies that carry the tags that are asked for."""
    asked = {one["Key"]: one.get("Values") or [] for one in call.params.get("TagFilters") or ()}
    found = [
        {
            "ResourceARN": policy["PolicyArn"],
            "Tags": [{"Key": key, "Value": value} for key, value in policy["Tags"].items()],
        }
        for policy in _policies(call).values()
        if all(
            key in policy["Tags"] and (not values or policy["Tags"][key] in values)
            for key, values in asked.items()
        )
    ]
    if found and not call.params.get("ResourceTypeFilters"):
        answer = wire.parse_response(call)
        answer["ResourceTagMappingList"] = [*answer["ResourceTagMappingList"], *found]
        call.response = wire.render_result(call, answer)
