"""An answer of AWS that is an error."""

from __future__ import annotations

import json
from xml.sax.saxutils import escape

from sandbox.web import HttpResponse


class Refusal(Exception):  # noqa: N818 - an answer to a caller, not a failure of the program
    """An answer of AWS that is an error.

    Args:
        code: AWS's error code, e.g. ``InvalidAMIID.NotFound``.
        message: AWS's message.
        status: the HTTP status, 400 unless said otherwise.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def unsupported(what: str) -> Refusal:
    """Refuse what AWS can do and the sandbox cannot.

    Args:
        what: names it.

    Returns:
        The refusal.
    """
    return Refusal("UnsupportedInSandbox", f"The sandbox cannot stand in for {what}", 501)


def render(refusal: Refusal, protocol: str, request_id: str) -> HttpResponse:
    """Write an error the way the service's protocol writes it.

    Args:
        refusal: the error.
        protocol: botocore's name of the protocol: ``ec2``, ``query``, ``rest-xml``, or one with ``json``.
        request_id: the id the client will show.

    Returns:
        The response.
    """
    code, message = escape(refusal.code), escape(refusal.message)
    if protocol == "ec2":
        body = (
            '<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error>'
            f"<Code>{code}</Code><Message>{message}</Message>"
            f"</Error></Errors><RequestID>{request_id}</RequestID></Response>"
        )
    elif protocol == "query":
        kind = "Receiver" if refusal.status >= 500 else "Sender"  # noqa: PLR2004 - HTTP's own border
        body = (
            f"<ErrorResponse><Error><Type>{kind}</Type><Code>{code}</Code><Message>{message}</Message></Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    elif protocol == "rest-xml":
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{request_id}</RequestId></Error>"
        )
    else:
        payload = json.dumps({"__type": refusal.code, "message": refusal.message}).encode()
        headers = [
            ("Content-Type", "application/x-amz-json-1.1"),
            ("x-amzn-RequestId", request_id),
            ("x-amzn-ErrorType", refusal.code),
        ]
        return HttpResponse(refusal.status, headers, payload)
    headers = [("Content-Type", "text/xml;charset=UTF-8"), ("x-amzn-RequestId", request_id)]
    if protocol == "rest-xml":
        headers = [("Content-Type", "application/xml"), ("x-amz-request-id", request_id)]
    return HttpResponse(refusal.status, headers, body.encode())
