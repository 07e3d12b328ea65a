"""Hosts of type t are as dear or as slow as they were told to be; moto calls all of them "standard".

AWS's own choice: unlimited for T3, T3a and T4g, standard for T2. Source: "Unlimited mode for burstable
performance instances", EC2 User Guide.
"""

from __future__ import annotations

import re
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.responses.instances import InstanceResponse

from sandbox.api.call import Call
from sandbox.api.correction import Correction, substitute
from sandbox.mapping.infrastructure import Infrastructure

correction = Correction()

_BURSTABLE = re.compile(r"t\d")
_chosen: dict[str, str] = {}


@correction.patch
def _patch(_: Infrastructure) -> None:
    """Tell what was chosen, and take another choice."""

    def describe(self: Any) -> ActionResult:
        ids = self._get_param("InstanceIds", [])
        hosts = self.ec2_backend.describe_instance_credit_specifications(ids)
        items = [
            {"InstanceId": host.id, "CpuCredits": _credits(host)}
            for host in hosts
            if _BURSTABLE.match(host.instance_type)
        ]
        return ActionResult({"InstanceCreditSpecifications": items})

    def modify(self: Any) -> ActionResult:
        done, refused = [], []
        for item in self._get_param("InstanceCreditSpecifications", []):
            host = self.ec2_backend.get_instance(item["InstanceId"])
            if _BURSTABLE.match(host.instance_type):
                _chosen[host.id] = item["CpuCredits"]
                done.append({"InstanceId": host.id})
            else:
                message = f"The instance type {host.instance_type} has no CPU credits."
                error = {"Code": "InstanceCreditSpecification.NotSupported", "Message": message}
                refused.append({"InstanceId": host.id, "Error": error})
        answer = {
            "SuccessfulInstanceCreditSpecifications": done,
            "UnsuccessfulInstanceCreditSpecifications": refused,
        }
        return ActionResult(answer)

    substitute(InstanceResponse, "describe_instance_credit_specifications", describe)
    substitute(InstanceResponse, "modify_instance_credit_specification", modify)


def _credits(host: Any) -> str:
    own = "standard" if host.instance_type.startswith("t2.") else "unlimited"
    return _chosen.get(host.id, own)


@correction.follows("ec2", "RunInstances")
def _keep(call: Call) -> None:
    chosen = (call.params.get("CreditSpecification") or {}).get("CpuCredits")
    for host in call.notes.get("launched", ()) if chosen else ():
        _chosen[host.id] = str(chosen)
