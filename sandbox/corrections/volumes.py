"""EBS volumes: they never shrink, and one change ends before the next.

Source: ModifyVolume, Amazon EC2 API Reference; "Requirements for EBS volume modifications", Amazon EBS User
Guide.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from moto.ec2.models.elastic_block_store import VolumeModification

from sandbox import account
from sandbox.api.call import Call
from sandbox.api.correction import Correction, substitute
from sandbox.api.refusal import Refusal
from sandbox.mapping.infrastructure import Infrastructure
from sandbox.ways import ways

correction = Correction()

_CHANGES = 4
_WINDOW_S = 24 * 3600.0
"""So many changes of a volume are made in so long. Source: ModifyVolume, as above."""
_WAY = "volume-modification"

_changed: dict[str, list[float]] = defaultdict(list)


@correction.patch
def _patch(_: Infrastructure) -> None:
    """Show a change that goes on as ``optimizing``; with moto each has ended."""

    def state(modification: Any) -> str:
        last = modification.volume.modifications[-1] is modification
        return "optimizing" if last and ways.lags(_WAY, modification.volume_id) else "completed"

    substitute(VolumeModification, "modification_state", property(state))


@correction.refuses("ec2", "ModifyVolume")
def _check_change(call: Call) -> None:
    volume_id = str(call.params.get("VolumeId"))
    volume, size = account.ec2(call.region).volumes.get(volume_id), call.params.get("Size")
    if volume is None:
        return
    if size is not None and int(size) < volume.size:
        raise Refusal("InvalidParameterValue", "New size cannot be smaller than existing size")
    if ways.lags(_WAY, volume_id):
        raise Refusal(
            "IncorrectModificationState",
            f"Volume {volume_id} cannot be modified in modification state OPTIMIZING",
        )
    if sum(moment > ways.clock() - _WINDOW_S for moment in _changed[volume_id]) >= _CHANGES:
        raise Refusal(
            "VolumeModificationRateExceeded",
            "You've reached the maximum modification rate per volume limit. "
            f"A volume can be modified {_CHANGES} times in 24 hours.",
        )


@correction.follows("ec2", "ModifyVolume")
def _note_change(call: Call) -> None:
    volume_id = str(call.params["VolumeId"])
    ways.begin(_WAY, volume_id)
    _changed[volume_id].append(ways.clock())
