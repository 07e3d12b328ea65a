"""Policies of Amazon Data Lifecycle Manager, which moto does not know, in this process."""

from __future__ import annotations

import json
import uuid
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_ARN = "arn:aws:dlm:us-east-1:123456789012:policy/"
_MISSING = 404, {}, json.dumps({"__type": "ResourceNotFoundException", "Message": "no such policy"})


class Policies:
    """An account's policies, as their API tells and takes them.

    Attributes:
        kept: each as GetLifecyclePolicy gives it, by id.

    """

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, Any]] = {}

    def answer(self, request: Any) -> tuple[int, dict[str, str], str]:
        """Answer one request."""
        url, body = urlsplit(request.url), json.loads(request.body or "{}")
        _, what, *rest = url.path.split("/", 2)
        if what == "tags":
            return self._tag(request.method, unquote(rest[0]).removeprefix(_ARN), url.query, body)
        if not rest:
            return self._create(body) if request.method == "POST" else self._list(url.query)
        policy = self.kept.get(rest[0])
        if policy is None:
            return _MISSING
        if request.method == "DELETE":
            del self.kept[rest[0]]
        if request.method == "PATCH":
            policy.update(_filled(body))
        return 200, {}, json.dumps({"Policy": policy})

    def _create(self, asked: dict[str, Any]) -> tuple[int, dict[str, str], str]:
        id_ = f"policy-0{uuid.uuid4().hex[:16]}"
        self.kept[id_] = _filled(asked) | {"PolicyId": id_, "PolicyArn": _ARN + id_}
        return 200, {}, json.dumps({"PolicyId": id_})

    def _list(self, query: str) -> tuple[int, dict[str, str], str]:
        (mark,) = parse_qs(query)["targetTags"]
        found = [one for one in self.kept.values() if mark in _targets(one)]
        return 200, {}, json.dumps({"Policies": found})

    def _tag(
        self, method: str, id_: str, query: str, body: dict[str, Any]
    ) -> tuple[int, dict[str, str], str]:
        if id_ not in self.kept:
            return _MISSING
        tags = self.kept[id_]["Tags"]
        tags.update(body.get("Tags", {}))
        for key in parse_qs(query).get("tagKeys", []) if method == "DELETE" else []:
            tags.pop(key, None)
        return 200, {}, "{}"

    def show(self, called: str, answer: dict[str, Any]) -> None:
        """List them among what carries tags."""
        if called == "GetResources":
            answer["ResourceTagMappingList"] += [
                {
                    "ResourceARN": one["PolicyArn"],
                    "Tags": [{"Key": key, "Value": value} for key, value in one["Tags"].items()],
                }
                for one in self.kept.values()
            ]


def _targets(policy: dict[str, Any]) -> set[str]:
    return {f"{tag['Key']}={tag['Value']}" for tag in policy["PolicyDetails"]["TargetTags"]}


def _filled(asked: dict[str, Any]) -> dict[str, Any]:
    """Fill in what the service does where nothing was said."""
    if "PolicyDetails" in asked:
        asked["PolicyDetails"] |= {"PolicyLanguage": "STANDARD", "ResourceLocations": ["CLOUD"]}
        for schedule in asked["PolicyDetails"]["Schedules"]:
            schedule |= {"TagsToAdd": [], "VariableTags": []}
            schedule["CreateRule"] |= {"Location": "CLOUD"}
    return asked
