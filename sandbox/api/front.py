"""The front of the AWS API: every call passes here, on its way to moto and back.

In order: faults that a test asked for, signature and policies, checks of the parameters against schemas, the
corrections that make moto as strict as AWS, moto, and what must happen to real things because of the call.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.test import run_wsgi_app

from sandbox import account
from sandbox.api import authorization, checks, client_tokens
from sandbox.api.call import Call, current_call
from sandbox.api.call_log import CallLog, Entry
from sandbox.api.correction import Corrections
from sandbox.api.faults import Fault, Faults
from sandbox.api.reading import environ_of, read_call
from sandbox.api.refusal import Refusal, render, unsupported
from sandbox.web import HttpRequest, HttpResponse

log = logging.getLogger(__name__)

_XML_CODE = re.compile(rb"<Code>([^<]+)</Code>")
_BAD = 400


class _Dropped(Exception):  # noqa: N818 - a fault that was asked for
    """The connection must be closed without an answer."""


def _error_code(response: HttpResponse) -> str:
    if response.status < _BAD:
        return ""
    match = _XML_CODE.search(response.body)
    if match:
        return match[1].decode()
    try:
        body = json.loads(bytes(response.body))
    except ValueError:
        return str(response.status)
    return str(body.get("__type", response.status)).rpartition("#")[2] if isinstance(body, dict) else ""


def _create(service: Any) -> Any:
    """Make moto's application without Flask's debugging, in which a class for each request keeps its body."""
    application = create_backend_app(service)
    application.debug, application.config["PROPAGATE_EXCEPTIONS"] = False, True
    return application


class Front:
    """Answers AWS calls.

    Args:
        calls: where calls are logged.
        faults: the faults of tests.
        corrections: what makes moto as strict as AWS.
        describe_source: names who sent a request, for the log.
    """

    def __init__(
        self,
        calls: CallLog,
        faults: Faults,
        corrections: Corrections,
        describe_source: Callable[[HttpRequest], str],
    ) -> None:
        self._calls = calls
        self._faults = faults
        self._corrections = corrections
        self._describe_source = describe_source
        self._moto = DomainDispatcherApplication(_create)

    def __call__(self, request: HttpRequest) -> HttpResponse | None:
        """Answer one request.

        Args:
            request: the request.

        Returns:
            The response, or nothing if a fault drops the connection.
        """
        call = read_call(request)
        number, started = self._calls.begin()
        status, error = 0, "dropped"
        try:
            response = self._answer(call)
            status, error = response.status, _error_code(response)
        except _Dropped:
            return None
        else:
            return response
        finally:
            self._log(call, number, started, status, error)

    def _log(self, call: Call, number: int, started: float, status: int, error: str) -> None:
        principal = call.principal.name if call.principal else "-"
        self._calls.end(
            Entry(
                number=number,
                at=round(started, 3),
                principal=principal,
                service=call.service,
                action=call.action,
                status=status,
                error=error,
                region=call.region,
                source=self._describe_source(call.request),
                took_ms=round((time.time() - started) * 1000),
                checked=[name for name, is_checked in call.coverage.items() if is_checked],
                unchecked=[name for name, is_checked in call.coverage.items() if not is_checked],
            )
        )

    def _answer(self, call: Call) -> HttpResponse:
        if call.request.path.startswith("/moto-api"):
            return render(Refusal("AccessDenied", "Access Denied", 403), "rest-xml", call.request_id)
        try:
            fault = self._faults.take(call.service, call.action)
            if fault is not None and not fault.after:
                self._fail(fault)
            with account.lock:
                authorization.authorize(call)
                checks.check(call)
                early = client_tokens.repeated(call) or self._corrections.before(call)
                call.response = early or self._ask_moto(call)
                if early is None and call.response.status < _BAD:
                    self._corrections.after(call)
                    client_tokens.remember(call)
            if call.response.status < _BAD:
                self._corrections.settle(call)
            if fault is not None and fault.after:
                self._fail(fault)
        except Refusal as refusal:
            return render(refusal, call.protocol, call.request_id)
        except _Dropped:
            raise
        except NotImplementedError:
            return render(unsupported(call.action), call.protocol, call.request_id)
        except Exception as error:
            log.exception("%s %s", call.service, call.action)
            failure = Refusal("InternalFailure", f"{type(error).__name__}: {error}", 500)
            return render(failure, call.protocol, call.request_id)
        return call.response

    @staticmethod
    def _fail(fault: Fault) -> None:
        if fault.delay_s:
            time.sleep(fault.delay_s)
        if fault.drop:
            raise _Dropped
        if fault.code:
            raise Refusal(fault.code, fault.message, fault.status)

    def _ask_moto(self, call: Call) -> HttpResponse:
        token, environ = current_call.set(call), environ_of(call.request)
        try:
            chunks, status, headers = run_wsgi_app(self._moto, environ, buffered=True)
            body = b"".join(chunks) if call.content is None else call.content
        finally:
            current_call.reset(token)
            # It and the request that it was read into hold each other, and the body.
            environ.clear()
        return HttpResponse(int(status.split()[0]), list(headers.items()), body)
