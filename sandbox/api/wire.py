"""Answers on the wire: read and written by the services' models, with moto's and botocore's own code."""

from __future__ import annotations

from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel as BotocoreModel
from botocore.parsers import create_parser
from moto.core.request import determine_request_protocol
from moto.core.serialize import XFormedAttributePicker, get_serializer_class
from moto.core.utils import get_service_model

from sandbox.api.call import Call
from sandbox.web import HttpResponse

_loader = Loader()


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
