"""ModifyInstanceMetadataOptions changes what it names and leaves the rest; moto sets the rest back."""

from __future__ import annotations

from typing import Any

from moto.ec2.models.instances import InstanceBackend

from sandbox.api.correction import Correction, substitute
from sandbox.mapping.infrastructure import Infrastructure

correction = Correction()


_FIELDS = {
    "http_tokens": "http_tokens",
    "hop_limit": "http_put_response_hop_limit",
    "http_endpoint": "http_endpoint",
    "http_protocol": "http_protocol_ipv6",
    "metadata_tags": "instance_metadata_tags",
}


@correction.patch
def _patch(_: Infrastructure) -> None:
    """Fill in what the call leaves out with what the instance has."""
    original = InstanceBackend.modify_instance_metadata_options

    def modify(self: Any, instance_id: str, **options: Any) -> Any:
        current = self.get_instance(instance_id).metadata_options
        for name, attribute in _FIELDS.items():
            if options.get(name) is None:
                options[name] = getattr(current, attribute)
        return original(self, instance_id, **options)

    substitute(InstanceBackend, "modify_instance_metadata_options", modify)
