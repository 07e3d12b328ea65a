"""Reads and checks version 4 signatures: the caller holds the secret key, and the request is what it signed.

Source: "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)", Amazon S3 API
Reference.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, quote, unquote

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from sandbox.web import HttpRequest

_SKEW = timedelta(minutes=15)  # AWS's tolerance between the caller's clock and its own
_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
_SAFE = "-_.~"
_SCOPE_PARTS = 5
"""Key, date, region, service, ``aws4_request``."""


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
    if len(scope) != _SCOPE_PARTS or "Signature" not in parts:
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


def signed_at(signature: Signature) -> datetime | None:
    """Read when the request was signed.

    Args:
        signature: the signature.

    Returns:
        The time, or nothing if the date cannot be read.
    """
    try:
        return datetime.strptime(signature.amz_date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def is_timely(signature: Signature, now: datetime) -> bool:
    """Say whether the signature is neither too old nor from the future.

    Args:
        signature: the signature.
        now: the time.

    Returns:
        Whether AWS would still take it.
    """
    at = signed_at(signature)
    if at is None:
        return False
    lifetime = _SKEW if signature.expires_s is None else timedelta(seconds=signature.expires_s)
    return at - _SKEW <= now <= at + lifetime


def _canonical_query(query: str) -> str:
    pairs = []
    for part in query.split("&") if query else []:
        name, _, value = part.partition("=")
        if name == "X-Amz-Signature":
            continue
        # A plus sign is a space in a form, but botocore never writes one: it stands for itself.
        pairs.append((quote(unquote(name), safe=_SAFE), quote(unquote(value), safe=_SAFE)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def body_matches(request: HttpRequest) -> bool:
    """Say whether the body is the one whose digest was signed.

    Args:
        request: the request.

    Returns:
        Whether it is; requests that sign no digest always match.
    """
    declared = request.headers.get("X-Amz-Content-SHA256", "")
    if not _HEX_DIGEST.fullmatch(declared):
        return True
    return hmac.compare_digest(declared, hashlib.sha256(request.body).hexdigest())


def calculate(request: HttpRequest, signature: Signature, secret_key: str) -> str:
    """Sign the request as the caller should have.

    Args:
        request: the request as it came.
        signature: its signature's parts.
        secret_key: the caller's secret key.

    Returns:
        The signature in hexadecimal.
    """
    kinds = {("s3", False): S3SigV4Auth, ("s3", True): S3SigV4QueryAuth}
    kind = kinds.get((signature.service, signature.expires_s is not None), SigV4Auth)
    auth = kind(Credentials("", secret_key), signature.service, signature.region)
    signed = {name: ",".join(request.headers.get_all(name, [])) for name in signature.signed_headers}
    url = f"https://{request.headers['Host']}{request.path or '/'}?{_canonical_query(request.query)}"
    again = AWSRequest(request.method, url, signed, request.body)
    again.context["timestamp"] = signature.amz_date
    return str(auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again))


def is_valid(request: HttpRequest, signature: Signature, secret_key: str) -> bool:
    """Say whether the caller holds the secret key.

    Args:
        request: the request as it came.
        signature: its signature's parts.
        secret_key: the secret key that belongs to the access key.

    Returns:
        Whether the signature is the right one.
    """
    return hmac.compare_digest(calculate(request, signature, secret_key), signature.signature)
