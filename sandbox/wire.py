"""Service models: from a request to an action and its parameters, and from a response to its contents.

The parsers are moto's and botocore's own, so names and nesting are those of boto3.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from botocore.exceptions import UnknownServiceError
from botocore.loaders import Loader
from botocore.model import ServiceModel as BotocoreModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.serialize import XFormedAttributePicker, get_serializer_class
from moto.core.utils import get_service_model
from werkzeug.exceptions import NotFound

from sandbox.web import HttpResponse

if TYPE_CHECKING:
    from sandbox.request import Call

_loader = Loader()


def _plain(value: Any) -> Any:
    """Turn moto's typed values into plain ones."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _request(environ: dict[str, Any]) -> Request:
    """Read a request without a circle: what holds a body must go with its last user."""
    return Request(environ, populate_request=False)


def _bucket_and_path(call: Call) -> tuple[str, str]:
    bucket, path = call.virtual_bucket, call.request.path.lstrip("/")
    if bucket is None:
        bucket, _, path = path.partition("/")
    return bucket, path


def _s3_request(call: Call) -> Request:
    """Write an S3 request with its bucket in the path, whichever addressing style it has."""
    bucket, path = _bucket_and_path(call)
    environ = call.fresh_environ()
    if call.virtual_bucket is not None:
        target = f"/{bucket}/{path}" + (f"?{call.request.query}" if call.request.query else "")
        environ |= {
            "PATH_INFO": unquote(target.split("?", maxsplit=1)[0]).encode().decode("latin-1"),
            "RAW_URI": target,
            "REQUEST_URI": target,
        }
    return _request(environ)


def _s3(call: Call) -> tuple[str, dict[str, Any]]:
    """Route an S3 request."""
    bucket, path = _bucket_and_path(call)
    params: dict[str, Any] = {}
    if bucket:
        params["Bucket"] = unquote(bucket)
    if path:
        params["Key"] = unquote(path)
    request = _s3_request(call)
    params |= {name.lower(): value for name, value in request.args.items()}
    try:
        operation, _ = get_service_router("s3").match(request)
    except (NotFound, NotImplementedError):
        return f"{call.request.method} {call.request.path}", params
    return str(operation.name), params


def _parse(call: Call, request: Request, operation: Any, uri_params: dict[str, Any]) -> dict[str, Any]:
    protocol = determine_request_protocol(operation.service_model, request.content_type)
    parsed = PROTOCOL_PARSERS[protocol](operation, map_type=dict).parse(
        {
            "method": request.method,
            "values": request.values,
            "headers": request.headers,
            "body": call.request.body,
            "url_path": request.path,
            "url_params": uri_params,
        }
    )
    return dict(_plain(dict(parsed)))


def read(call: Call) -> tuple[Any, dict[str, Any]]:
    """Read a request by botocore's model.

    Args:
        call: the call.

    Returns:
        The model of the operation and the parameters; None and nothing if there is no model, or the request
        does not follow it.
    """
    try:
        model = get_service_model(call.service)
        if call.service == "s3":
            request = _s3_request(call)
            operation, uri_params = get_service_router("s3").match(request)
        else:
            request = _request(call.fresh_environ())
            operation, uri_params = model.operation_model(call.action), {}
        return operation, _parse(call, request, operation, uri_params)
    except Exception:  # noqa: BLE001 - a malformed request is for moto to refuse, not for us
        return None, {}


_OF_EVERY_FORM = {"Action", "Version"}


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


def route(call: Call) -> tuple[str, dict[str, Any]]:
    """Name the action and read its parameters.

    Args:
        call: the call; its service is known.

    Returns:
        The action, and its parameters as a boto3 caller writes them. S3's are ``Bucket``, ``Key`` and the
        query in lower case. An action of a service that botocore does not know keeps the name the request
        gives.
    """
    if call.service == "s3":
        return _s3(call)
    target = call.request.headers.get("X-Amz-Target", "")
    action = call.form.get("Action") or (target.rsplit(".", 1)[-1] if target else "")
    if not action and "/operation/" in call.request.path:
        action = call.request.path.rsplit("/", 1)[-1]
    request = _request(call.fresh_environ())
    try:
        model = get_service_model(call.service)
        uri_params: dict[str, Any] = {}
        if not action:
            operation, uri_params = get_service_router(call.service).match(request)
            action = str(operation.name)
        return action, _parse(call, request, model.operation_model(action), uri_params)
    except (UnknownServiceError, NotFound, NotImplementedError, KeyError):
        pass
    except Exception:  # noqa: BLE001 - a malformed request is for moto to refuse, not for us
        return action or call.request.method, {}
    if target and call.request.body:
        try:
            return action, dict(json.loads(call.request.body))
        except ValueError:
            return action, {}
    return action or f"{call.request.method} {call.request.path}", dict(call.form)


def parse_response(call: Call) -> dict[str, Any]:
    """Read a successful response with botocore's own parser.

    Args:
        call: the call, with its response.

    Returns:
        What a boto3 caller gets, without the metadata.
    """
    response = call.response
    if response is None:
        return {}
    model = BotocoreModel(_loader.load_service_model(call.service, "service-2"), call.service)
    protocol = "json" if call.protocol == "json" else model.metadata["protocol"]
    shape = model.operation_model(call.action).output_shape
    parsed = create_parser(protocol).parse(
        {"body": response.body, "headers": dict(response.headers), "status_code": response.status}, shape
    )
    parsed.pop("ResponseMetadata", None)
    return dict(parsed)


def render_result(call: Call, result: dict[str, Any]) -> HttpResponse:
    """Write a result the way the service's protocol writes it, for calls that moto does not answer.

    Args:
        call: the call.
        result: what a boto3 caller shall get.

    Returns:
        The response.
    """
    model = get_service_model(call.service)
    protocol = determine_request_protocol(model, call.request.headers.get("Content-Type"))
    serializer = get_serializer_class(model.service_name, protocol)(
        operation_model=model.operation_model(call.action),
        pretty_print=False,
        value_picker=XFormedAttributePicker(response_transformers=None),
    )
    written = serializer.serialize(result)
    body = written["body"]
    return HttpResponse(
        int(written["status_code"]),
        [(str(name), str(value)) for name, value in written["headers"].items()],
        body if isinstance(body, bytes) else str(body).encode(),
    )
