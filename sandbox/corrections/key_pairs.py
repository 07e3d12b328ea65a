"""Key pairs are deleted by id too, as EC2 does it; moto knows their names only, and says that it was done."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.responses.key_pairs import KeyPairs

from sandbox.api.correction import Correction, substitute
from sandbox.mapping.infrastructure import Infrastructure

correction = Correction()


@correction.patch
def _patch(_: Infrastructure) -> None:
    """Delete by name or id. Source: "DeleteKeyPair", EC2 API Reference."""

    def delete_key_pair(self: Any) -> ActionResult:
        id_ = self._get_param("KeyPairId")
        name = self._get_param("KeyName") or next(
            (pair.key_name for pair in list(self.ec2_backend.key_pairs.values()) if pair.id == id_), None
        )
        pair = self.ec2_backend.delete_key_pair(name)
        return ActionResult({"Return": True, "KeyPairId": pair.id if pair else id_})

    substitute(KeyPairs, "delete_key_pair", delete_key_pair)
