"""Tags as AWS's services take and give them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provisioner.aws import Aws, RetryOn


def as_tags(items: list[dict[str, str]]) -> dict[str, str]:
    """Turn AWS's list of keys and values into a mapping; an empty value may be left out."""
    return {item["Key"]: item.get("Value", "") for item in items}


def as_items(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Turn a mapping into AWS's list of keys and values."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


@dataclass(frozen=True)
class TagCalls:
    """How a service sets and removes tags.

    Args:
        service: boto3's name of it.
        set: the operation that takes `Tags`.
        remove: the operation that removes.
        by_key: it takes `TagKeys`; else `Tags` without values.

    """

    service: str
    set: str
    remove: str
    by_key: bool = True


def set_tags(
    aws: Aws, calls: TagCalls, tags: Mapping[str, str | None], *retries: RetryOn, **where: Any
) -> None:
    """Set tags, and remove those that are None.

    Args:
        aws: the AWS client.
        calls: how the service does it.
        tags: keys and values.
        retries: as in `Aws.call`.
        where: the parameters that name the resource.

    """
    wanted = {key: value for key, value in tags.items() if value is not None}
    unwanted = sorted(set(tags) - set(wanted))
    if wanted:
        aws.call(calls.service, calls.set, *retries, Tags=as_items(wanted), **where)
    if unwanted:
        keys = {"TagKeys": unwanted} if calls.by_key else {"Tags": [{"Key": key} for key in unwanted]}
        aws.call(calls.service, calls.remove, *retries, **keys, **where)
