"""GetSessionToken: temporary credentials of a user, which can be used, and end; moto has one key for all."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

from sandbox import account
from sandbox.api import principals, wire
from sandbox.api.call import Call
from sandbox.api.correction import Correction
from sandbox.api.refusal import Refusal
from sandbox.web import HttpResponse

correction = Correction()

_DEFAULT_S = 43_200
"""Source: GetSessionToken, AWS STS API reference."""


@correction.answers("sts", "GetSessionToken")
def _give(call: Call) -> HttpResponse:
    user = call.principal
    if user is None or not user.user_name or user.token:
        raise Refusal("AccessDenied", "Cannot call GetSessionToken with session credentials", 403)
    life = timedelta(seconds=int(call.params.get("DurationSeconds") or _DEFAULT_S))
    given = {
        "AccessKeyId": f"ASIA{secrets.token_hex(8).upper()}",
        "SecretAccessKey": secrets.token_urlsafe(30),
        "SessionToken": secrets.token_urlsafe(96),
        "Expiration": datetime.now(UTC) + life,
    }
    principals.remember(user, given)
    return wire.render_result(call, {"Credentials": given})


@correction.answers("sts", "GetCallerIdentity")
def _identify(call: Call) -> HttpResponse | None:
    """Name the user; moto knows nobody with such a key."""
    user = call.principal
    if user is None or not user.user_name or not user.token:
        return None
    found = account.iam().get_user(user.user_name)
    return wire.render_result(call, {"UserId": found.id, "Account": account.ACCOUNT_ID, "Arn": found.arn})
