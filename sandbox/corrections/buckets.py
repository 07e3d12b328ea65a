"""S3: the front decides about access, and a key that may not be listed does not betray its absence."""

from __future__ import annotations

from typing import Any

from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket

from sandbox import account, authorize
from sandbox.corrections import refuses, substitute
from sandbox.errors import Refusal
from sandbox.request import Call
from sandbox.resources import bucket_arn
from sandbox.web import HttpResponse


def patch() -> None:
    """Let moto ask the front's policies, key by key where a call names many keys."""

    def get_permission(_: Any, action: str, resource: str) -> Any:
        call = authorize.current.get()
        if call is None or call.action != "DeleteObjects":
            # The front has decided about the one thing that every other call does.
            return PermissionResult.PERMITTED
        allowed = authorize.may(call, action, resource)
        return PermissionResult.PERMITTED if allowed else PermissionResult.DENIED

    substitute(FakeBucket, "get_permission", get_permission)


@refuses("s3", "GetObject", "HeadObject")
def _hide_absence(call: Call) -> HttpResponse | None:
    """Answer 403 instead of 404 to whoever may not list the bucket.

    Source: the permissions sections of GetObject and HeadObject in the Amazon S3 API Reference.
    """
    bucket = account.s3().buckets.get(call.params["Bucket"])
    if bucket is None or call.params["Key"] in bucket.keys:
        return None
    if not authorize.may(call, "s3:ListBucket", bucket_arn(call.params["Bucket"])):
        raise Refusal("AccessDenied", "Access Denied", 403)
    return None
