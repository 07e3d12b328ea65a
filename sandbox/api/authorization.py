"""Lets a call through, or refuses it as AWS would: signature, then policies."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

from sandbox import account
from sandbox.api import iam_demands, principals, signature
from sandbox.api.call import Call
from sandbox.api.policy import Document, Question, Verdict, evaluate
from sandbox.api.principals import Principal
from sandbox.api.refusal import Refusal
from sandbox.mapping import topology


def authenticate(call: Call) -> Principal | None:
    """Find out who signed the call.

    Args:
        call: the call.

    Returns:
        The caller, or nothing for a call without a signature.

    Raises:
        Refusal: the signature is wrong.
    """
    signed = call.signature
    if signed is None:
        return None
    now = datetime.now(UTC)
    principal = principals.find(signed, now)
    if not signature.is_valid(call.request, signed, principal.secret_key):
        if signed.service == "ec2":
            raise Refusal("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
        raise Refusal(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method. "
            "Consult the service documentation for details.",
            403,
        )
    if not signature.is_timely(signed, now):
        if signed.service == "s3":
            message = "The difference between the request time and the current time is too large."
            raise Refusal("RequestTimeTooSkewed", message, 403)
        raise Refusal("SignatureDoesNotMatch", f"Signature expired: {signed.amz_date}", 403)
    if not signature.body_matches(call.request):
        raise Refusal(
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        )
    return principal


def _context(call: Call, principal: Principal | None) -> dict[str, str | list[str]]:
    params = call.params
    context: dict[str, str | list[str]] = {
        "aws:securetransport": "true",
        "aws:sourceip": call.request.peer,
        "aws:requestedregion": call.region,
        "aws:currenttime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if "ExternalId" in params:
        context["sts:externalid"] = str(params["ExternalId"])
    if principal is not None:
        context["aws:principalaccount"] = principal.account_id
        context["aws:principalarn"] = principal.role_arn or principal.arn
        if principal.user_name:
            context["aws:username"] = principal.user_name
    if call.service == "s3":
        for name in ("prefix", "delimiter", "max-keys"):
            if name in params:
                context[f"s3:{name}"] = str(params[name])
    return context


def _resource_policies(service: str, resource: str, region: str) -> list[Document]:
    if service == "s3" and resource.startswith("arn:"):
        bucket = account.s3().buckets.get(resource.split(":::")[1].split("/", maxsplit=1)[0])
        return [json.loads(bucket.policy)] if bucket is not None and bucket.policy else []
    if service == "secretsmanager" and resource.startswith("arn:"):
        secret = account.secrets(region).secrets.get(resource)
        text = getattr(secret, "policy", None)
        return [json.loads(text)] if text else []
    if service == "sts":
        return [principals.trust_policy(resource)]
    return []


def _endpoint_policies(call: Call) -> list[Document]:
    """Find the policy of the gateway endpoint that a call from a VPC has come through."""
    if call.service != "s3" or not call.request.origin:
        return []
    backend = account.ec2(call.region)
    endpoint = topology.s3_endpoint(backend, call.request.origin, call.request.peer)
    return [json.loads(endpoint.policy_document)] if endpoint is not None else []


def verdict(call: Call, principal: Principal | None, action: str, resource: str) -> Verdict:
    """Say whether a caller may do one thing to one resource.

    Args:
        call: the call it is part of.
        principal: the caller, or nothing for an anonymous one.
        action: the IAM action.
        resource: the ARN.

    Returns:
        The verdict of the caller's policies and the resource's together.
    """
    question = Question(
        action=action,
        resource=resource,
        context=_context(call, principal) | iam_demands.conditions(call, action),
        principal_arns=principal.arns if principal else (),
        account_id=principal.account_id if principal else "",
    )
    of_endpoint = evaluate(way, question) if (way := _endpoint_policies(call)) else Verdict.ALLOW
    if of_endpoint is not Verdict.ALLOW:
        return of_endpoint
    documents = _resource_policies(call.service, resource, call.region)
    of_resource = evaluate(documents, question)
    if principal is None:
        return of_resource
    of_identity = evaluate(principals.identity_policies(principal), question)
    narrowing = principals.session_policies(principal)
    if narrowing:
        of_session = evaluate(narrowing, question)
        if of_session is not Verdict.ALLOW:
            return of_session
    if Verdict.EXPLICIT_DENY in {of_resource, of_identity}:
        return Verdict.EXPLICIT_DENY
    # Naming the caller grants; naming its account leaves the decision to the caller's own policies.
    granted = evaluate(documents, replace(question, account_id="")) is Verdict.ALLOW
    allowed = of_identity is Verdict.ALLOW
    if principal.account_id != account.ACCOUNT_ID:
        allowed = allowed and of_resource is Verdict.ALLOW
    elif action == "sts:AssumeRole":
        # A role's trust policy has to allow it in any case.
        allowed = granted or (allowed and of_resource is Verdict.ALLOW)
    else:
        allowed = allowed or granted
    return Verdict.ALLOW if allowed else Verdict.IMPLICIT_DENY


def _denied(call: Call, principal: Principal, action: str, resource: str, kind: Verdict) -> Refusal:
    because = (
        "with an explicit deny in a policy"
        if kind is Verdict.EXPLICIT_DENY
        else f"because no identity-based policy allows the {action} action"
    )
    if call.service == "ec2":
        return Refusal(
            "UnauthorizedOperation",
            "You are not authorized to perform this operation. "
            f"User: {principal.arn} is not authorized to perform: {action} on resource: {resource} {because}",
            403,
        )
    code = "AccessDeniedException" if call.protocol == "json" else "AccessDenied"
    status = 400 if call.protocol == "json" else 403
    return Refusal(
        code,
        f"User: {principal.arn} is not authorized to perform: {action} on resource: {resource} {because}",
        status,
    )


def authorize(call: Call) -> None:
    """Check who calls and whether they may.

    Args:
        call: the call; its ``principal`` is set.

    Raises:
        Refusal: the call is not for them.
    """
    call.principal = authenticate(call)
    if call.principal is None:
        if call.service == "s3":
            wanted = iam_demands.demands(call)
            if wanted and all(verdict(call, None, *demand) is Verdict.ALLOW for demand in wanted):
                return
            raise Refusal("AccessDenied", "Access Denied", 403)
        if call.action in {"AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"}:
            return
        raise Refusal("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
    for action, resource in iam_demands.demands(call):
        answer = verdict(call, call.principal, action, resource)
        if answer is not Verdict.ALLOW:
            raise _denied(call, call.principal, action, resource, answer)


def is_allowed(call: Call, action: str, resource: str) -> bool:
    """Say whether the caller of a call is allowed one more thing.

    Args:
        call: the call, authorized.
        action: the IAM action.
        resource: the ARN.

    Returns:
        Whether they are.
    """
    return verdict(call, call.principal, action, resource) is Verdict.ALLOW
