"""EC2's client tokens: a call that is repeated with its token gets the first one's answer, and does nothing.

Source: "Ensuring idempotency in Amazon EC2 API requests", EC2 developer guide.
"""

from __future__ import annotations

import json
from typing import Any

from sandbox.api.call import Call
from sandbox.api.refusal import Refusal
from sandbox.web import HttpResponse

_NOTE = "token"
_Key = tuple[str, str, str]

_answers: dict[_Key, tuple[dict[str, Any], HttpResponse]] = {}


def repeated(call: Call) -> HttpResponse | None:
    """Look whether a call is one that was answered before.

    Args:
        call: the call, before moto sees it.

    Returns:
        The answer of that time, or nothing.

    Raises:
        Refusal: the token is that of a call with other parameters.
    """
    token = str(call.params.get("ClientToken") or "")
    if call.service != "ec2" or not token:
        return None
    key = (call.region, call.action, token)
    # A copy: what comes later fills in parameters.
    asked = json.loads(json.dumps(call.params, default=str))
    call.notes[_NOTE] = key, asked
    if key not in _answers:
        return None
    before, answer = _answers[key]
    if before != asked:
        raise Refusal(
            "IdempotentParameterMismatch",
            "Arguments on this idempotent request are inconsistent with arguments used in previous "
            f"request(s). The client token is {token}",
        )
    return answer


def remember(call: Call) -> None:
    """Keep the answer of a call that has a token.

    Args:
        call: the call, done, with its response.
    """
    if _NOTE in call.notes and call.response is not None:
        key, asked = call.notes[_NOTE]
        _answers[key] = asked, call.response
