"""S3: names, public access and ACLs as AWS has them; the front decides about access.

A new bucket blocks public access and knows no ACLs. Source: "Default settings for new S3 buckets FAQ",
Amazon S3 User Guide.
"""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Any

from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket, PublicAccessBlock

from sandbox import account
from sandbox.api import authorization, principals
from sandbox.api.call import Call, current_call
from sandbox.api.correction import Correction, substitute
from sandbox.api.iam_demands import bucket_arn
from sandbox.api.policy import is_public
from sandbox.api.refusal import Refusal
from sandbox.mapping.infrastructure import Infrastructure

_NAME = re.compile(
    r"(?!xn--|sthree-|amzn-s3-demo-)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
    r"(?<!-s3alias)(?<!--ol-s3)(?<!\.mrap)(?<!--x-s3)(?<!--table-s3)"
)

correction = Correction()
"""Source: "General purpose bucket naming rules", Amazon S3 User Guide."""
_ENFORCED = "BucketOwnerEnforced"
_PUBLIC_ACLS = {"public-read", "public-read-write", "authenticated-read"}
_EVERYBODY = re.compile(r"/groups/global/(AllUsers|AuthenticatedUsers)")


@correction.patch
def _patch(_: Infrastructure) -> None:
    """Let moto ask the front's policies, key by key where a call names many keys."""

    def get_permission(_: Any, action: str, resource: str) -> Any:
        call = current_call.get()
        if call is None or call.action != "DeleteObjects":
            # The front has decided about the one thing that every other call does.
            return PermissionResult.PERMITTED
        allowed = authorization.is_allowed(call, action, resource)
        return PermissionResult.PERMITTED if allowed else PermissionResult.DENIED

    substitute(FakeBucket, "get_permission", get_permission)


@correction.refuses("s3", "GetObject", "HeadObject")
def _hide_absence(call: Call) -> None:
    """Answer 403 instead of 404 to whoever may not list the bucket.

    Source: the permissions sections of GetObject and HeadObject in the Amazon S3 API Reference.
    """
    bucket = account.s3().buckets.get(call.params["Bucket"])
    if bucket is None or call.params["Key"] in bucket.keys:
        return
    if not authorization.is_allowed(call, "s3:ListBucket", bucket_arn(call.params["Bucket"])):
        raise Refusal("AccessDenied", "Access Denied", 403)


def _is_address(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _wanted_acl(call: Call) -> str:
    """Read the ACL a call asks for: a canned one's name, or what it grants."""
    headers = call.request.headers
    parts = [value for name, value in headers.items() if name.lower().startswith("x-amz-grant-")]
    if call.action in {"PutBucketAcl", "PutObjectAcl"}:
        parts.append(call.request.body.decode("utf-8", "replace"))
    return headers.get("x-amz-acl") or "".join(parts)


def _is_public_acl(acl: str) -> bool:
    return acl in _PUBLIC_ACLS or _EVERYBODY.search(acl) is not None


@correction.refuses("s3", "CreateBucket")
def _check_new_bucket(call: Call) -> None:
    name, acl = str(call.params["Bucket"]), _wanted_acl(call)
    if _NAME.fullmatch(name) is None or _is_address(name):
        raise Refusal("InvalidBucketName", "The specified bucket is not valid.")
    if acl not in {"", "private"}:
        if call.request.headers.get("x-amz-object-ownership", _ENFORCED) == _ENFORCED:
            raise Refusal(
                "InvalidBucketAclWithObjectOwnership",
                "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
            )
        if _is_public_acl(acl):
            raise Refusal(
                "InvalidBucketAclWithBlockPublicAccessError",
                "Bucket cannot have public ACLs set with BlockPublicAccess enabled",
            )
    call.notes["new"] = name not in account.s3().buckets


@correction.follows("s3", "CreateBucket")
def _close_new_bucket(call: Call) -> None:
    bucket = account.s3().buckets[call.params["Bucket"]]
    if call.notes["new"]:
        bucket.public_access_block = PublicAccessBlock(True, True, True, True)  # noqa: FBT003 - moto's, all four
        bucket.ownership_rule = bucket.ownership_rule or _ENFORCED


@correction.refuses("s3", "PutBucketAcl", "PutObjectAcl", "PutObject", "CopyObject", "CreateMultipartUpload")
def _check_acl(call: Call) -> None:
    bucket, acl = account.s3().buckets.get(call.params["Bucket"]), _wanted_acl(call)
    if bucket is None or not acl:
        return
    if bucket.ownership_rule == _ENFORCED and acl != "bucket-owner-full-control":
        raise Refusal("AccessControlListNotSupported", "The bucket does not allow ACLs")
    block = bucket.public_access_block
    if block is not None and block.block_public_acls and _is_public_acl(acl):
        raise Refusal("AccessDenied", "Access Denied", 403)


@correction.refuses("s3", "PutBucketOwnershipControls")
def _check_ownership(call: Call) -> None:
    """Keep ACLs while one lets others in. Source: "Error codes", Amazon S3 API Reference."""
    bucket = account.s3().buckets.get(call.params["Bucket"])
    if bucket is None or _ENFORCED.encode() not in call.request.body or bucket.acl is None:
        return
    if len(bucket.acl.grants) > 1:
        raise Refusal(
            "InvalidBucketAclWithObjectOwnership",
            "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
        )


@correction.refuses("s3", "PutBucketPolicy")
def _check_policy(call: Call) -> None:
    bucket = account.s3().buckets.get(call.params["Bucket"])
    try:
        document = json.loads(call.request.body)
    except ValueError as error:
        raise Refusal("MalformedPolicy", "This policy contains invalid Json") from error
    if principals.unknown(document):
        raise Refusal("MalformedPolicy", "Invalid principal in policy")
    block = bucket and bucket.public_access_block
    if block and block.block_public_policy and is_public(document):
        raise Refusal("AccessDenied", "Access Denied", 403)
