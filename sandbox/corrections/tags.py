"""What is gone has no tags: moto keeps them for ever. Source: "DescribeTags", EC2 API Reference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moto.ec2.models.tags import TagBackend

from sandbox.api.correction import Correction, substitute
from sandbox.mapping.infrastructure import Infrastructure

_DEPLOYED = frozenset(
    {"eipalloc", "eni", "fl", "i", "igw", "key", "rtb", "sg", "snap", "subnet", "vol", "vpc", "vpce"}
)

correction = Correction()
"""Kinds of which there may be none left."""


@correction.patch
def _patch(_: Infrastructure) -> None:
    """Describe the tags of what is there; kinds that no list of moto's tells are left as they are."""
    original = TagBackend.describe_tags

    def describe_tags(self: Any, filters: Any = None) -> list[dict[str, str]]:
        there = set(_ids(self))
        kinds = {id_.partition("-")[0] for id_ in there} | _DEPLOYED
        return [
            tag
            for tag in original(self, filters)
            if tag["resource_id"] in there or tag["resource_id"].partition("-")[0] not in kinds
        ]

    substitute(TagBackend, "describe_tags", describe_tags)


def _ids(backend: Any) -> Iterator[str]:
    yield from (one.arn.rpartition("/")[2] for one in backend.iter_tagged_resources())
    yield from (pair.id for pair in backend.key_pairs.values())
    yield from (address.allocation_id for address in backend.addresses)
    yield from (one.id for one in backend.vpc_end_points.values() if one.state != "deleted")
