"""ECR: tokens that a registry checks, addresses at which it is, and images that are what was pushed there.

Source: Amazon ECR API Reference.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from moto.ecr.models import Image, Repository

from sandbox import account
from sandbox.api import authorization, wire
from sandbox.api.call import Call
from sandbox.api.correction import Correction, substitute
from sandbox.mapping.infrastructure import Infrastructure
from sandbox.mapping.registry import Registry
from sandbox.web import HttpResponse

correction = Correction()

_known: list[Registry] = []


@correction.patch
def _patch(infrastructure: Infrastructure) -> None:
    """Know the registry, and tell where it is; an image is as large as its layers."""
    _known[:] = [infrastructure.registry]
    where = property(lambda repository: f"{_known[0].host}/{repository.name}", lambda *_: None)
    substitute(Repository, "uri", where)
    substitute(Image, "get_image_size_in_bytes", _size)


def _size(image: Any) -> int | None:
    manifest = json.loads(image.image_manifest)
    parts = [manifest.get("config", {}), *manifest.get("layers", [])]
    return sum(int(part.get("size", 0)) for part in parts) if manifest.get("layers") else None


@correction.answers("ecr", "GetAuthorizationToken")
def _give_token(call: Call) -> HttpResponse:
    token, expires = _known[0].issue(call.region, partial(authorization.is_allowed, call))
    data = {
        "authorizationToken": token,
        "expiresAt": expires,
        "proxyEndpoint": f"https://{_known[0].host}",
    }
    return wire.render_result(call, {"authorizationData": [data]})


@correction.settles("ecr", "CreateRepository")
def _start(_: Call, infrastructure: Infrastructure) -> None:
    infrastructure.registry.real.start()


@correction.refuses("ecr", "BatchDeleteImage", "DeleteRepository")
def _look(call: Call) -> None:
    """Note what there is before it goes."""
    call.notes["images"] = _digests(call)


@correction.settles("ecr", "BatchDeleteImage", "DeleteRepository")
def _forget(call: Call, infrastructure: Infrastructure) -> None:
    gone = call.notes["images"] - _digests(call)
    infrastructure.registry.forget(call.region, str(call.params["repositoryName"]), gone)


def _digests(call: Call) -> set[str]:
    repository = account.ecr(call.region).repositories.get(str(call.params.get("repositoryName")))
    return {image.get_image_digest() for image in repository.images} if repository else set()
