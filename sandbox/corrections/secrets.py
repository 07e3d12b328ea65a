"""Secrets Manager: a secret that is scheduled for deletion can be described and restored, nothing else.

Source: the errors of each operation in the Secrets Manager API Reference.
"""

from __future__ import annotations

import json

from sandbox import account
from sandbox.api import principals
from sandbox.api.call import Call
from sandbox.api.correction import Correction
from sandbox.api.refusal import Refusal

correction = Correction()

_BYTES = 65_536
"""Of a secret's value. Source: "AWS Secrets Manager quotas", AWS Secrets Manager User Guide."""


@correction.refuses("secretsmanager", "CreateSecret")
def _check_name(call: Call) -> None:
    secret = account.secrets(call.region).secrets.get(str(call.params.get("Name")))
    if secret is not None and secret.is_deleted():
        raise Refusal(
            "InvalidRequestException",
            "You can't create this secret because a secret with this name is already scheduled for deletion.",
        )


@correction.refuses(
    "secretsmanager",
    "*ResourcePolicy",
    "*RotateSecret",
    "GetSecretValue",
    "PutSecretValue",
    "TagResource",
    "UntagResource",
    "UpdateSecret*",
)
def _keep_deleted(call: Call) -> None:
    secret = account.secrets(call.region).secrets.get(str(call.params.get("SecretId")))
    if secret is not None and secret.is_deleted():
        raise Refusal(
            "InvalidRequestException",
            "You can't perform this operation on the secret because it was marked for deletion.",
        )


@correction.refuses("secretsmanager", "CreateSecret", "PutSecretValue", "UpdateSecret")
def _check_size(call: Call) -> None:
    """Count bytes; the service's model counts characters."""
    if len(str(call.params.get("SecretString") or "").encode()) > _BYTES:
        raise Refusal(
            "ValidationException",
            "1 validation error detected: Value at 'secretString' failed to satisfy constraint: "
            f"Member must have length less than or equal to {_BYTES}",
        )


@correction.refuses("secretsmanager", "PutResourcePolicy")
def _check_principals(call: Call) -> None:
    try:
        stranger = principals.unknown(json.loads(str(call.params.get("ResourcePolicy"))))
    except ValueError as error:
        raise Refusal(
            "MalformedPolicyDocumentException", "This resource policy contains invalid Json."
        ) from error
    if stranger:
        raise Refusal(
            "MalformedPolicyDocumentException", "This resource policy contains an unsupported principal."
        )
