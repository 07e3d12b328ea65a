"""Reads a request by the services' models: service, action and parameters.

The parsers are moto's and botocore's own, so names and nesting are those of boto3.
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

from botocore.exceptions import UnknownServiceError
from botocore.serialize import create_serializer
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model
from werkzeug.exceptions import NotFound

from sandbox.api.call import Call
from sandbox.api.signature import Signature, read_signature
from sandbox.web import HttpRequest

_VIRTUAL_HOST = re.compile(r"^(?P<bucket>.+)\.s3[.-]([a-z0-9-]+\.)?amazonaws\.com$")
_OF_EVERY_FORM = {"Action", "Version"}
# Signing names that botocore's service models file under another name.
_SERVICE_OF_SIGNING_NAME = {
    "tagging": "resourcegroupstaggingapi",
    "elasticloadbalancing": "elbv2",
    "monitoring": "cloudwatch",
}


def read_call(request: HttpRequest) -> Call:
    """Read what a request asks of AWS.

    Args:
        request: the request.

    Returns:
        The call. An action of a service that botocore does not know keeps the name the request gives.
    """
    signature, form = read_signature(request), _form(request)
    asked = _Asked(request, _service(signature, form), form)
    action, params = asked.route()
    operation, model_input = asked.read(action)
    return Call(
        request=request,
        signature=signature,
        service=asked.service,
        protocol=_protocol(asked.service, form),
        form=form,
        action=action,
        params=params,
        operation=operation,
        input=model_input,
    )


def unknown_fields(call: Call) -> list[str]:
    """Name what is in a call's form and not in the operation's model.

    Args:
        call: a call that has a form and a model.

    Returns:
        The names as the form has them.
    """
    protocol = call.operation.service_model.metadata["protocol"]
    serializer = create_serializer(protocol, include_validation=False)
    known = serializer.serialize_to_request(call.input, call.operation)["body"]
    return sorted(name for name in call.form.keys() - known.keys() - _OF_EVERY_FORM if "X-Amz-" not in name)


def environ_of(request: HttpRequest) -> dict[str, Any]:
    """Write a request as moto's WSGI application wants it, the body unread.

    Args:
        request: the request.

    Returns:
        The environment.
    """
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(request.path).encode().decode("latin-1"),
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
        "wsgi.input": io.BytesIO(request.body),
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


def _form(request: HttpRequest) -> dict[str, str]:
    kind = request.headers.get("Content-Type", "")
    text = request.query
    if kind.startswith("application/x-www-form-urlencoded"):
        text = request.body.decode("utf-8", "replace")
    if "Action=" not in text:
        return {}
    return {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}


def _service(signature: Signature | None, form: dict[str, str]) -> str:
    if signature is not None:
        name = signature.service.lower()
        return _SERVICE_OF_SIGNING_NAME.get(name, name)
    # AssumeRoleWithWebIdentity and its like are the unsigned calls that name an action.
    return "sts" if "Action" in form else "s3"


def _protocol(service: str, form: dict[str, str]) -> str:
    own = {"s3": "rest-xml", "ec2": "ec2"}
    return own.get(service, "query" if form else "json")


def _plain(value: Any) -> Any:
    """Turn moto's typed values into plain ones."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


@dataclass(frozen=True)
class _Asked:
    """A request of a service."""

    request: HttpRequest
    service: str
    form: dict[str, str]

    def route(self) -> tuple[str, dict[str, Any]]:
        """Name the action and read its parameters."""
        if self.service == "s3":
            return self._route_s3()
        target = self.request.headers.get("X-Amz-Target", "")
        action = self.form.get("Action") or (target.rsplit(".", 1)[-1] if target else "")
        if not action and "/operation/" in self.request.path:
            action = self.request.path.rsplit("/", 1)[-1]
        request = self._moto_request()
        try:
            model = get_service_model(self.service)
            uri_params: dict[str, Any] = {}
            if not action:
                operation, uri_params = get_service_router(self.service).match(request)
                action = str(operation.name)
            return action, self._parse(request, model.operation_model(action), uri_params)
        except (UnknownServiceError, NotFound, NotImplementedError, KeyError):
            pass
        except Exception:  # noqa: BLE001 - a malformed request is for moto to refuse, not for us
            return action or self.request.method, {}
        if target and self.request.body:
            try:
                return action, dict(json.loads(self.request.body))
            except ValueError:
                return action, {}
        return action or f"{self.request.method} {self.request.path}", dict(self.form)

    def read(self, action: str) -> tuple[Any, dict[str, Any]]:
        """Read the parameters by the operation's model; None and nothing if that cannot be done."""
        try:
            model = get_service_model(self.service)
            request = self._moto_request()
            if self.service == "s3":
                operation, uri_params = get_service_router("s3").match(request)
            else:
                operation, uri_params = model.operation_model(action), {}
            return operation, self._parse(request, operation, uri_params)
        except Exception:  # noqa: BLE001 - a malformed request is for moto to refuse, not for us
            return None, {}

    def _route_s3(self) -> tuple[str, dict[str, Any]]:
        bucket, path = self._bucket_and_path()
        params: dict[str, Any] = {}
        if bucket:
            params["Bucket"] = unquote(bucket)
        if path:
            params["Key"] = unquote(path)
        request = self._moto_request()
        params |= {name.lower(): value for name, value in request.args.items()}
        try:
            operation, _ = get_service_router("s3").match(request)
        except (NotFound, NotImplementedError):
            return f"{self.request.method} {self.request.path}", params
        return str(operation.name), params

    @property
    def _virtual_bucket(self) -> str | None:
        """The bucket in the host's name, where the client uses that style."""
        match = _VIRTUAL_HOST.match(self.request.headers.get("Host", "").split(":")[0])
        return match["bucket"] if match else None

    def _bucket_and_path(self) -> tuple[str, str]:
        bucket, path = self._virtual_bucket, self.request.path.lstrip("/")
        if bucket is None:
            bucket, _, path = path.partition("/")
        return bucket, path

    def _moto_request(self) -> Request:
        """Write the request for moto: one of S3 has its bucket in the path, whatever its addressing style.

        It is read without a circle: what holds a body must go with its last user.
        """
        environ = environ_of(self.request)
        if self.service == "s3" and self._virtual_bucket is not None:
            bucket, path = self._bucket_and_path()
            target = f"/{bucket}/{path}" + (f"?{self.request.query}" if self.request.query else "")
            environ |= {
                "PATH_INFO": unquote(target.split("?", maxsplit=1)[0]).encode().decode("latin-1"),
                "RAW_URI": target,
                "REQUEST_URI": target,
            }
        return Request(environ, populate_request=False)

    def _parse(self, request: Request, operation: Any, uri_params: dict[str, Any]) -> dict[str, Any]:
        protocol = determine_request_protocol(operation.service_model, request.content_type)
        parsed = PROTOCOL_PARSERS[protocol](operation, map_type=dict).parse(
            {
                "method": request.method,
                "values": request.values,
                "headers": request.headers,
                "body": self.request.body,
                "url_path": request.path,
                "url_params": uri_params,
            }
        )
        members = operation.input_shape.members if operation.input_shape else {}
        # A query cannot say that a list is empty: the parser says so of each that it does not have.
        in_query = {
            name for name, one in members.items() if one.serialization.get("location") == "querystring"
        }
        plain = dict(_plain(dict(parsed)))
        return {name: value for name, value in plain.items() if value != [] or name not in in_query}
