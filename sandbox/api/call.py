"""One AWS call: what is asked, by whom, and what is known about it on its way through the front."""

from __future__ import annotations

import mmap
import uuid
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from sandbox.api.principals import Principal
from sandbox.api.signature import Signature
from sandbox.web import HttpRequest, HttpResponse


@dataclass(kw_only=True)
class Call:
    """One AWS call on its way through the front.

    What the request asks for (`sandbox.api.reading` fills it in):

    Attributes:
        request: the request as it came.
        signature: who signed it, if anybody.
        service: botocore's name of the service.
        protocol: botocore's name of the wire protocol of this request.
        form: the form of a query-protocol call, flat.
        action: the action's name as IAM and botocore write it, e.g. ``RunInstances``.
        params: the parameters as boto3's caller wrote them; S3's are ``Bucket``, ``Key`` and the query.
        operation: botocore's model of it; None if there is none, or the request does not follow it.
        input: the parameters by that model, those of S3 too.

    What is found on the way:

    Attributes:
        request_id: the id that the client will show.
        principal: who calls; the authorization fills it in.
        coverage: which of its parameters are checked; the checks fill it in.
        response: the answer, when there is one.
        content: the answer's body when it is a file's.
        notes: where a correction that comes before moto leaves word for the one that comes after.
    """

    request: HttpRequest
    signature: Signature | None
    service: str
    protocol: str
    form: dict[str, str]
    action: str
    params: dict[str, Any]
    operation: Any
    input: dict[str, Any]
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    principal: Principal | None = None
    coverage: dict[str, bool] = field(default_factory=dict)
    response: HttpResponse | None = None
    content: mmap.mmap | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def region(self) -> str:
        """The region that the request was signed for."""
        return self.signature.region if self.signature else "us-east-1"


current_call: ContextVar[Call | None] = ContextVar("current_call", default=None)
"""The call that moto is working on, for corrections that run inside moto."""
