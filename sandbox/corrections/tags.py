"""Lists of tags: moto keeps those of what is gone, has words of its own for two kinds, and leaves some out.

Source: "DescribeTags", EC2 API Reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from moto.core.resource_tagging import TaggedResource, iter_taggable_backends
from moto.ec2.models.tags import TagBackend
from moto.rds.models import RDSBackend
from moto.resourcegroupstaggingapi import models as tagging

from sandbox import account
from sandbox.api.correction import Correction, substitute
from sandbox.mapping.infrastructure import Infrastructure

_DEPLOYED = frozenset(
    {"eipalloc", "eni", "fl", "i", "igw", "key", "rtb", "sg", "snap", "subnet", "vol", "vpc", "vpce"}
)
"""Kinds of which there may be none left."""
_WORDS = {"flow-logs": "vpc-flow-log", "vpc-elastic-ip": "elastic-ip"}
"""moto's word for a kind, and EC2's: "ResourceType" there."""

correction = Correction()


@correction.patch
def _patch(_: Infrastructure) -> None:
    """Describe the tags of what is there; kinds that no list of moto's tells are left as they are."""
    original = TagBackend.describe_tags

    def describe_tags(self: Any, filters: Any = None) -> list[dict[str, str]]:
        there = set(_ids(self))
        kinds = {id_.partition("-")[0] for id_ in there} | _DEPLOYED
        return [
            tag | {"resource_type": _WORDS.get(tag["resource_type"], tag["resource_type"])}
            for tag in original(self, filters)
            if tag["resource_id"] in there or tag["resource_id"].partition("-")[0] not in kinds
        ]

    substitute(TagBackend, "describe_tags", describe_tags)
    substitute(RDSBackend, "iter_tagged_resources", _with_groups(RDSBackend.iter_tagged_resources))
    substitute(tagging, "iter_taggable_backends", _with_repositories(iter_taggable_backends))


class _Repositories:
    """A region's container repositories; moto leaves the whole service out."""

    def __init__(self, region: str) -> None:
        self._ecr = account.ecr(region)

    def iter_tagged_resources(self) -> Iterator[TaggedResource]:
        for one in self._ecr.repositories.values():
            yield TaggedResource(
                one.arn, self._ecr.tagger.get_tag_dict_for_resource(one.arn), "ecr:repository"
            )

    def owns_arn(self, _: str) -> bool:
        """Say that tags are not set here."""
        return False


def _with_repositories(original: Callable[[str, str], Iterator[Any]]) -> Callable[[str, str], Iterator[Any]]:
    def backends(account_id: str, region: str) -> Iterator[Any]:
        yield from original(account_id, region)
        if account_id == account.ACCOUNT_ID:
            yield _Repositories(region)

    return backends


def _with_groups(
    original: Callable[[Any], Iterable[TaggedResource]],
) -> Callable[[Any], Iterator[TaggedResource]]:
    """List the groups of databases too. Source: "Services that support the Resource Groups Tagging API"."""

    def iter_tagged_resources(self: Any) -> Iterator[TaggedResource]:
        yield from original(self)
        for group in (
            *self.subnet_groups.values(),
            *self.db_parameter_groups.values(),
            *self.db_cluster_parameter_groups.values(),
        ):
            tags = {tag["Key"]: tag["Value"] for tag in group.get_tags()}
            yield TaggedResource(group.arn, tags, f"rds:{group.resource_type}")

    return iter_tagged_resources


def _ids(backend: Any) -> Iterator[str]:
    yield from (one.arn.rpartition("/")[2] for one in backend.iter_tagged_resources())
    yield from (pair.id for pair in backend.key_pairs.values())
    yield from (address.allocation_id for address in backend.addresses)
    yield from (one.id for one in backend.vpc_end_points.values() if one.state != "deleted")
