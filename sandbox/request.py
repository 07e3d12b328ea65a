"""What an HTTP request asks of AWS: service, action, parameters, and who signed it."""

from __future__ import annotations

import io
import mmap
import re
import uuid
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, unquote

from sandbox.web import HttpRequest, HttpResponse

_SCOPE = re.compile(r"Credential=([^,\s]+)")
_PATH_STYLE_HOST = re.compile(r"^(?P<bucket>.+)\.s3[.-]([a-z0-9-]+\.)?amazonaws\.com$")

# Signing names that botocore's service models file under another name.
_SERVICE_OF_SIGNING_NAME = {
    "tagging": "resourcegroupstaggingapi",
    "elasticloadbalancing": "elbv2",
    "monitoring": "cloudwatch",
}


@dataclass(frozen=True)
class Signature:
    """The parts of a version 4 signature that the request carries.

    ``scope_date`` and ``amz_date`` are AWS's compact dates; ``expires_s`` is set for a presigned address
    only.
    """

    access_key_id: str
    scope_date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    amz_date: str
    token: str | None
    expires_s: int | None = None


def read_signature(request: HttpRequest) -> Signature | None:
    """Read the version 4 signature from the header or from a presigned address.

    Args:
        request: the request.

    Returns:
        The signature, or nothing if the request has none that can be read.
    """
    header = request.headers.get("Authorization", "")
    if header.startswith("AWS4-HMAC-SHA256"):
        parts = dict(re.findall(r"(Credential|SignedHeaders|Signature)=([^,\s]+)", header))
        date = request.headers.get("X-Amz-Date", "")
        token, expires_s = request.headers.get("X-Amz-Security-Token"), None
    else:
        query = {name: values[0] for name, values in parse_qs(request.query).items()}
        if query.get("X-Amz-Algorithm") != "AWS4-HMAC-SHA256":
            return None
        parts = {
            name: query.get(f"X-Amz-{name}", "") for name in ("Credential", "SignedHeaders", "Signature")
        }
        date, token = query.get("X-Amz-Date", ""), query.get("X-Amz-Security-Token")
        expires_s = int(query.get("X-Amz-Expires", "0") or 0)
    scope = parts.get("Credential", "").split("/")
    if len(scope) != 5 or "Signature" not in parts:  # noqa: PLR2004 - key, date, region, service, aws4_request
        return None
    return Signature(
        access_key_id=scope[0],
        scope_date=scope[1],
        region=scope[2],
        service=scope[3],
        signed_headers=tuple(parts.get("SignedHeaders", "").split(";")),
        signature=parts["Signature"],
        amz_date=date,
        token=token,
        expires_s=expires_s,
    )


@dataclass
class Call:
    """One AWS call on its way through the front.

    ``principal`` is filled in by the authorization, ``coverage`` by the checks (which of its parameters are
    checked), ``response`` when there is one, ``content`` when its body is a file's; ``notes`` is where a
    correction that comes before moto leaves word for the one that comes after.
    """

    request: HttpRequest
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    principal: Any = None
    coverage: dict[str, bool] = field(default_factory=dict)
    response: HttpResponse | None = None
    content: mmap.mmap | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def signature(self) -> Signature | None:
        """Who signed the request, if anybody."""
        return read_signature(self.request)

    @cached_property
    def service(self) -> str:
        """Botocore's name of the service."""
        if self.signature is not None:
            name = self.signature.service.lower()
            return _SERVICE_OF_SIGNING_NAME.get(name, name)
        if "Action" in self.form:
            # AssumeRoleWithWebIdentity and its like are the unsigned calls that name an action.
            return "sts"
        return "s3"

    @property
    def region(self) -> str:
        """The region the request was signed for."""
        return self.signature.region if self.signature else "us-east-1"

    @cached_property
    def form(self) -> dict[str, str]:
        """The form of a query-protocol call, flat."""
        kind = self.request.headers.get("Content-Type", "")
        text = self.request.query
        if kind.startswith("application/x-www-form-urlencoded"):
            text = self.request.body.decode("utf-8", "replace")
        if "Action=" not in text:
            return {}
        return {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}

    @cached_property
    def protocol(self) -> str:
        """Botocore's name of the wire protocol of this request."""
        if self.service == "s3":
            return "rest-xml"
        if self.service == "ec2":
            return "ec2"
        if self.form:
            return "query"
        return "json"

    @cached_property
    def environ(self) -> dict[str, Any]:
        """The request as moto's WSGI application wants it, but for the body."""
        request = self.request
        path = unquote(request.path).encode().decode("latin-1")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": request.query,
            "REQUEST_URI": request.target,
            "RAW_URI": request.target,
            "REMOTE_ADDR": request.peer,
            "SERVER_NAME": "sandbox",
            "SERVER_PORT": "443",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_LENGTH": str(len(request.body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "https",
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        preserved: dict[str, str] = {}
        for name, value in request.headers.items():
            key = name.upper().replace("-", "_")
            if key in {"CONTENT_LENGTH", "TRANSFER_ENCODING", "EXPECT"}:
                continue
            if key != "CONTENT_TYPE":
                key = f"HTTP_{key}"
            environ[key] = f"{environ[key]},{value}" if key in environ else value
            if "_" in name and name.lower().startswith("x-amz-meta-"):
                preserved[key] = name
        environ["moto.preserved_header_names"] = preserved
        return environ

    def fresh_environ(self) -> dict[str, Any]:
        """Return the environment with the body unread."""
        return {**self.environ, "wsgi.input": io.BytesIO(self.request.body)}

    @cached_property
    def _routed(self) -> tuple[str, dict[str, Any]]:
        """Action and parameters, by botocore's service model."""
        from sandbox import wire  # noqa: PLC0415 - moto's environment must be set before moto is imported

        return wire.route(self)

    @property
    def action(self) -> str:
        """The action's name as IAM and botocore write it, e.g. ``RunInstances``."""
        return self._routed[0]

    @property
    def params(self) -> dict[str, Any]:
        """The parameters as boto3's caller wrote them."""
        return self._routed[1]

    @cached_property
    def _modelled(self) -> tuple[Any, dict[str, Any]]:
        from sandbox import wire  # noqa: PLC0415 - as above

        return wire.read(self)

    @property
    def operation(self) -> Any:
        """Botocore's model of the operation; None if there is none, or the request cannot be read by it."""
        return self._modelled[0]

    @property
    def input(self) -> dict[str, Any]:
        """The parameters by that model, those of S3 too."""
        return self._modelled[1]

    @cached_property
    def unknown_fields(self) -> list[str]:
        """Names in the form of a query-protocol call that the operation's model does not have."""
        from sandbox import wire  # noqa: PLC0415 - as above

        return wire.unknown_fields(self) if self.form and self.operation is not None else []

    @cached_property
    def result(self) -> dict[str, Any]:
        """The response as boto3's caller will see it."""
        from sandbox import wire  # noqa: PLC0415 - as above

        return wire.parse_response(self)

    @property
    def virtual_bucket(self) -> str | None:
        """The bucket in the host name, where the client uses that style."""
        match = _PATH_STYLE_HOST.match(self.request.headers.get("Host", "").split(":")[0])
        return match["bucket"] if match else None
