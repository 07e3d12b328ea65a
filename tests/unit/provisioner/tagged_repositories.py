"""Container repositories among what is listed by tags, as AWS lists them."""

from collections.abc import Callable, Iterator
from typing import Any

from moto.core.resource_tagging import TaggedResource
from moto.ecr.models import ecr_backends


class Repositories:
    """Lists container repositories by their tags too; moto leaves the whole service out."""

    def __init__(self, account_id: str, region: str) -> None:
        self._ecr = ecr_backends[account_id][region]

    def iter_tagged_resources(self) -> Iterator[TaggedResource]:
        for one in self._ecr.repositories.values():
            yield TaggedResource(
                one.arn, self._ecr.tagger.get_tag_dict_for_resource(one.arn), "ecr:repository"
            )


def taggable(original: Callable[..., Any]) -> Callable[..., Any]:
    """Have repositories among what is listed by tags."""

    def backends(account_id: str, region: str) -> Iterator[Any]:
        yield from original(account_id, region)
        yield Repositories(account_id, region)

    return backends
