"""IAM: sizes, trusted principals and lengths of sessions that AWS refuses; tags that differ in case only."""

from __future__ import annotations

import json
from typing import Any

from sandbox import account
from sandbox.api import principals
from sandbox.api.call import Call
from sandbox.api.correction import Correction
from sandbox.api.refusal import Refusal

correction = Correction()

_INLINE_BYTES = {"Role": 10_240, "User": 2_048, "Group": 5_120}
"""Of all inline policies of one of these together, white space not counted.

Source: "IAM and AWS STS quotas", IAM User Guide.
"""

_HOUR_S = 3600


@correction.refuses("iam", "CreateRole", "UpdateAssumeRolePolicy")
def _check_trust(call: Call) -> None:
    text = str(call.params.get("AssumeRolePolicyDocument") or call.params.get("PolicyDocument"))
    try:
        stranger = principals.unknown(json.loads(text))
    except ValueError as error:
        raise Refusal("MalformedPolicyDocument", "This policy contains invalid Json") from error
    if stranger:
        raise Refusal("MalformedPolicyDocument", f'Invalid principal in policy: "AWS":"{stranger}"')


def _holder(kind: str, name: str) -> Any:
    items = getattr(account.iam(), f"{kind.lower()}s").values()
    return next((item for item in items if item.name == name), None)


@correction.refuses("iam", "PutRolePolicy", "PutUserPolicy", "PutGroupPolicy")
def _check_inline_size(call: Call) -> None:
    kind = call.action.removeprefix("Put").removesuffix("Policy")
    name = str(call.params.get(f"{kind}Name"))
    holder = _holder(kind, name)
    if holder is None:
        return
    policies = {**holder.policies, call.params.get("PolicyName"): call.params.get("PolicyDocument")}
    size = sum(len("".join(str(text).split())) for text in policies.values())
    if size > _INLINE_BYTES[kind]:
        raise Refusal(
            "LimitExceeded",
            f"Maximum policy size of {_INLINE_BYTES[kind]} bytes exceeded for {kind.lower()} {name}",
            409,
        )


@correction.refuses("sts", "AssumeRole")
def _check_duration(call: Call) -> None:
    """Refuse a session that is too long: an hour at most for whoever is in a session already.

    Source: AssumeRole, AWS STS API reference.
    """
    role = _holder("Role", str(call.params.get("RoleArn")).rpartition("/")[2])
    wanted_s = int(call.params.get("DurationSeconds") or _HOUR_S)
    if call.principal is not None and call.principal.role_name and wanted_s > _HOUR_S:
        which = "1 hour session limit for roles assumed by role chaining"
    elif wanted_s > role.max_session_duration:
        which = "MaxSessionDuration set for this role"
    else:
        return
    raise Refusal("ValidationError", f"The requested DurationSeconds exceeds the {which}.")


@correction.follows("iam", "TagRole", "TagInstanceProfile")
def _replace_tags(call: Call) -> None:
    """Let a tag replace one whose key differs in case only; moto keeps both.

    Source: "Tags for AWS Identity and Access Management resources", IAM User Guide.
    """
    iam = account.iam()
    if call.action == "TagRole":
        holder = iam.get_role(call.params["RoleName"])
    else:
        holder = iam.get_instance_profile(call.params["InstanceProfileName"])
    holder.tags = list({tag["Key"].lower(): tag for tag in holder.tags}.values())
