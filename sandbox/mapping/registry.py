"""ECR's registry: what container tools ask, decided by the account and done by a real registry.

Source: "Private registry authentication" and "Pushing an image", Amazon ECR User Guide; the protocol is the
OCI Distribution Specification.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox import account
from sandbox.real.registry import Registry as RealRegistry
from sandbox.web import HttpRequest, HttpResponse

LIFETIME = timedelta(hours=12)
"""Of a token. Source: GetAuthorizationToken, Amazon ECR API Reference."""
_PATH = re.compile(
    r"/v2/(?P<name>.+?)/(?P<what>blobs/uploads|blobs|manifests|tags)/(?P<which>.*)", re.ASCII | re.DOTALL
)
_DENIED = "User is not authorized to perform: {action} on resource: {resource}"
_ACTIONS = {
    ("HEAD", "blobs"): "BatchCheckLayerAvailability",
    ("GET", "blobs"): "GetDownloadUrlForLayer",
    ("POST", "blobs/uploads"): "InitiateLayerUpload",
    ("PATCH", "blobs/uploads"): "UploadLayerPart",
    ("GET", "blobs/uploads"): "UploadLayerPart",
    ("DELETE", "blobs/uploads"): "UploadLayerPart",
    ("PUT", "blobs/uploads"): "CompleteLayerUpload",
    ("GET", "manifests"): "BatchGetImage",
    ("HEAD", "manifests"): "BatchGetImage",
    ("PUT", "manifests"): "PutImage",
    ("GET", "tags"): "ListImages",
}
"""The permission for each request. Source: "Required permissions", "Pushing an image", as above."""


@dataclass(frozen=True)
class _Token:
    region: str
    expires: datetime
    may: Callable[[str, str], bool]


class _Error(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Registry:
    """The account's registry.

    Args:
        real: keeps the images.
        host: name and port at which container tools reach this.
    """

    def __init__(self, real: RealRegistry, host: str) -> None:
        self.real = real
        self.host = host
        self._tokens: dict[str, _Token] = {}

    def issue(self, region: str, may: Callable[[str, str], bool]) -> tuple[str, datetime]:
        """Make a token.

        Args:
            region: of the repositories that it is for.
            may: tells whether its owner may do something to a resource (IAM action, ARN).

        Returns:
            The token, as GetAuthorizationToken writes it, and its end.
        """
        password, expires = secrets.token_urlsafe(96), datetime.now(UTC) + LIFETIME
        self._tokens[password] = _Token(region, expires, may)
        return base64.b64encode(f"AWS:{password}".encode()).decode(), expires

    def forget(self, region: str, name: str, digests: set[str]) -> None:
        """Remove images that the account has no more."""
        for digest in digests:
            self.real.ask("DELETE", f"/v2/{region}/{name}/manifests/{digest}")

    def answer(self, request: HttpRequest) -> HttpResponse:
        """Answer a container tool."""
        try:
            token = self._token(request.headers.get("Authorization") or "")
            if request.path in {"/v2", "/v2/"}:
                return HttpResponse(200, [("Docker-Distribution-Api-Version", "registry/2.0")], b"{}")
            return self._answer(request, token)
        except _Error as error:
            body = json.dumps({"errors": [{"code": error.code, "message": str(error)}]}).encode()
            headers = [("Content-Type", "application/json")]
            if error.status == 401:  # noqa: PLR2004 - HTTP's own number
                headers.append(
                    ("Www-Authenticate", f'Basic realm="https://{self.host}/",service="ecr.amazonaws.com"')
                )
            return HttpResponse(error.status, headers, body)

    def _token(self, header: str) -> _Token:
        try:
            user, _, password = base64.b64decode(header.removeprefix("Basic "), validate=True).partition(b":")
        except binascii.Error as error:
            raise _Error(401, "UNAUTHORIZED", "Not Authorized") from error
        token = self._tokens.get(password.decode(errors="replace"))
        if user != b"AWS" or token is None:
            raise _Error(401, "UNAUTHORIZED", "Not Authorized")
        if token.expires < datetime.now(UTC):
            message = "Your authorization token has expired. Reauthenticate and try again."
            raise _Error(403, "DENIED", message)
        return token

    def _answer(self, request: HttpRequest, token: _Token) -> HttpResponse:
        found = _PATH.fullmatch(request.path)
        action = _ACTIONS.get((request.method, found["what"])) if found else None
        if found is None or action is None:
            raise _Error(405, "UNSUPPORTED", "The operation is unsupported.")
        name, which = found["name"], found["which"]
        with account.lock:
            resource = f"arn:{account.PARTITION}:ecr:{token.region}:{account.ACCOUNT_ID}:repository/{name}"
            if not token.may(f"ecr:{action}", resource):
                raise _Error(403, "DENIED", _DENIED.format(action=f"ecr:{action}", resource=resource))
            repository = account.ecr(token.region).repositories.get(name)
            if repository is None:
                known = f"in the registry with id '{account.ACCOUNT_ID}'"
                message = f"The repository with name '{name}' does not exist {known}"
                raise _Error(404, "NAME_UNKNOWN", message)
            if found["what"] == "manifests":
                which = self._check_manifest(request, repository, which)
            if found["what"] == "tags":
                tags = sorted(tag for image in repository.images for tag in image.image_tags)
                body = json.dumps({"name": name, "tags": tags}).encode()
                return HttpResponse(200, [("Content-Type", "application/json")], body)
        answer = self._forward(request, token.region, name, f"{found['what']}/{which}")
        if action == "PutImage" and answer.status == 201:  # noqa: PLR2004 - HTTP's own number
            self._note(request, token.region, name, found["which"])
        return answer

    def _check_manifest(self, request: HttpRequest, repository: Any, which: str) -> str:
        """Check that a tag may be written, or find what it is the tag of; returns what to ask for."""
        tagged = next((image for image in repository.images if which in image.image_tags), None)
        if request.method == "PUT":
            digest = f"sha256:{hashlib.sha256(request.body).hexdigest()}"
            if tagged and repository.is_tag_immutable() and tagged.get_image_digest() != digest:
                raise _Error(
                    400,
                    "TAG_INVALID",
                    f"The image tag '{which}' already exists in the '{repository.name}' repository and "
                    "cannot be overwritten because the tag is immutable.",
                )
            return digest
        if which.startswith("sha256:") and any(
            image.get_image_digest() == which for image in repository.images
        ):
            return which
        if tagged is None:
            raise _Error(404, "MANIFEST_UNKNOWN", "Requested image not found")
        return str(tagged.get_image_digest())

    def _forward(self, request: HttpRequest, region: str, name: str, rest: str) -> HttpResponse:
        """Ask the real registry, which has a region's repositories in a folder."""
        passed = ("Accept", "Content-Type", "Content-Range", "Range")
        headers = {one: request.headers[one] for one in passed if one in request.headers}
        # Layers are not taken from another repository: nothing was said of who may read that.
        query = "" if request.method == "POST" else request.query
        target = f"/v2/{region}/{name}/{rest}" + (f"?{query}" if query else "")
        status, answered, body = self.real.ask(request.method, target, headers, request.body)
        own = [
            (key, value.replace(f"/v2/{region}/", "/v2/", 1) if key.lower() == "location" else value)
            for key, value in answered
        ]
        return HttpResponse(status, own, body)

    @staticmethod
    def _note(request: HttpRequest, region: str, name: str, which: str) -> None:
        """Have the account know of an image that was pushed."""
        digest = f"sha256:{hashlib.sha256(request.body).hexdigest()}"
        tag = None if which.startswith("sha256:") else which
        with account.lock:
            repository = account.ecr(region).repositories[name]
            known = any(
                image.get_image_digest() == digest and (tag is None or tag in image.image_tags)
                for image in repository.images
            )
            if not known:
                account.ecr(region).put_image(
                    name, request.body.decode(), tag, request.headers.get("Content-Type"), digest
                )
