"""IAM is eventually consistent: EC2 does not know a new instance profile for some seconds.

Source: "Troubleshoot IAM policies: changes that I make are not always immediately visible", IAM User Guide.
"""

from __future__ import annotations

import time
from typing import Any

from sandbox import account
from sandbox.api.call import Call
from sandbox.api.correction import Correction
from sandbox.api.refusal import Refusal
from sandbox.ways import ways

correction = Correction()

DELAY_S = 6.0
"""How long EC2 does not know a profile or its role; on AWS five to fifteen seconds are usual."""

_changed: dict[str, float] = {}


@correction.follows("iam", "CreateInstanceProfile", "AddRoleToInstanceProfile")
def _note_change(call: Call) -> None:
    _changed[str(call.params["InstanceProfileName"])] = time.monotonic()


def _find(wanted: dict[str, Any]) -> Any:
    name = wanted.get("Name") or str(wanted.get("Arn", "")).rpartition("/")[2]
    return next((p for p in account.iam().instance_profiles.values() if p.name == name), None)


@correction.refuses("ec2", "RunInstances", "AssociateIamInstanceProfile")
def _refuse_unknown_profile(call: Call) -> None:
    wanted = call.params.get("IamInstanceProfile") or {}
    if not wanted:
        return
    profile, delay_s = _find(wanted), max(DELAY_S, ways.number("instance-profile"))
    key, value = ("arn", wanted["Arn"]) if "Arn" in wanted else ("name", wanted.get("Name"))
    if profile is None or time.monotonic() - _changed.get(profile.name, -delay_s) < delay_s:
        raise Refusal(
            "InvalidParameterValue",
            f"Value ({value}) for parameter iamInstanceProfile.{key} is invalid. "
            f"Invalid IAM Instance Profile {'ARN' if key == 'arn' else 'name'}",
        )
    if not profile.roles:
        raise Refusal(
            "InvalidParameterValue", f'IAM Instance Profile "{profile.arn}" has no associated IAM Roles'
        )
