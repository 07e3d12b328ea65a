"""What IAM's kinds have in common: names instead of look-ups by tag, and policies as JSON."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

NO_SUCH = "NoSuchEntity"
TAKEN = "EntityAlreadyExists"

Policy = Mapping[str, Any]


def as_json(document: Policy) -> str:
    """Write a policy down for a call."""
    return json.dumps(document, sort_keys=True)


def as_policy(document: object) -> Any:
    """Read a policy that AWS gives: as an object, as JSON, or as JSON with URL quoting."""
    if not isinstance(document, str):
        return document
    try:
        return json.loads(document)
    except json.JSONDecodeError:
        return json.loads(unquote(document))


def is_same_policy(first: object, second: object) -> bool:
    """Compare two policies: order does not count in lists, nor does a list around a single value."""
    return _normal(as_policy(first)) == _normal(as_policy(second))


def _normal(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _normal(item) for key, item in value.items()}
    if isinstance(value, list):
        items = sorted((_normal(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
        return items[0] if len(items) == 1 else items
    return value


def foreign_key(key: str | None, account: str) -> str:
    """Say that a key is another account's, which can take it away and with it the data.

    Args:
        key: ARN of a KMS key, "arn:aws:kms:REGION:ACCOUNT:key/ID"; None when the service tells none.
        account: the account that the data is in.

    Returns:
        a sentence's end; empty when the key is the account's own.

    """
    owner = key.split(":")[4] if key and key.startswith("arn:") else account
    text = f"is encrypted with a key of the account {owner}, which can take the key away and so the data"
    return "" if owner == account else text
