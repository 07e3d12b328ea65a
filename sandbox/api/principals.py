"""Who a key belongs to, and which policies speak about that principal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from sandbox import account
from sandbox.api.policy import Context, Document, Question, Verdict, as_list, evaluate
from sandbox.api.refusal import Refusal
from sandbox.api.signature import Signature


@dataclass(frozen=True)
class Principal:
    """A caller: an IAM user, or a session of a role.

    ``arn`` is what GetCallerIdentity says; ``role_arn`` is set for a session.
    """

    arn: str
    name: str
    secret_key: str
    user_name: str = ""
    role_name: str = ""
    role_arn: str = ""
    token: str = ""
    session_policy: str = ""
    expires: datetime | None = None

    @property
    def arns(self) -> tuple[str, ...]:
        """Every ARN a resource policy may name this caller by."""
        return tuple(arn for arn in (self.arn, self.role_arn) if arn)

    @property
    def account_id(self) -> str:
        """The account the caller belongs to."""
        return self.arn.split(":")[4]


_of_users: dict[str, Principal] = {}
"""Users with temporary credentials, by the keys' ids."""


def remember(user: Principal, given: Mapping[str, Any]) -> None:
    """Have a user's temporary credentials be known from here on.

    Args:
        user: whose they are.
        given: AccessKeyId, SecretAccessKey, SessionToken and Expiration.
    """
    _of_users[given["AccessKeyId"]] = replace(
        user,
        secret_key=given["SecretAccessKey"],
        token=given["SessionToken"],
        expires=given["Expiration"].replace(tzinfo=None),
    )


def _user(access_key_id: str) -> Principal | None:
    for user in account.iam().users.values():
        for key in user.access_keys:
            if key.access_key_id == access_key_id and key.status == "Active":
                return Principal(
                    arn=user.arn, name=user.name, user_name=user.name, secret_key=key.secret_access_key
                )
    return None


def _session(access_key_id: str) -> Principal | None:
    if access_key_id in _of_users:
        return _of_users[access_key_id]
    for role in account.sessions():
        if role.access_key_id == access_key_id:
            return Principal(
                arn=role.arn,
                name=role.arn.split(":", 5)[5],
                role_name=role.role_arn.split("/")[-1],
                role_arn=role.role_arn,
                secret_key=role.secret_access_key,
                token=role.session_token,
                session_policy=role.policy or "",
                expires=role.expiration.replace(tzinfo=None),
            )
    return None


def find(signature: Signature, now: datetime) -> Principal:
    """Find the holder of the key that a request names.

    Args:
        signature: the request's signature.
        now: the time, to tell whether a session is over.

    Returns:
        The holder.

    Raises:
        Refusal: nobody holds that key, its token is wrong, or the session is over.
    """
    principal = _user(signature.access_key_id)
    if principal is not None:
        if signature.token:
            raise _bad_token(signature)
        return principal
    principal = _session(signature.access_key_id)
    # A user's temporary credentials are of no use for IAM, unless a device has confirmed them.
    if principal is None or (principal.user_name and signature.service == "iam"):
        if signature.service == "s3":
            raise Refusal(
                "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", 403
            )
        if signature.service == "ec2":
            raise Refusal("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
        code = "InvalidClientTokenId" if _speaks_query(signature) else "UnrecognizedClientException"
        raise Refusal(code, "The security token included in the request is invalid.", 403)
    if signature.token != principal.token:
        raise _bad_token(signature)
    if principal.expires is not None and principal.expires < now.replace(tzinfo=None):
        if signature.service == "ec2":
            raise Refusal("RequestExpired", "Request has expired.")
        code = (
            "ExpiredToken"
            if _speaks_query(signature) or signature.service == "s3"
            else "ExpiredTokenException"
        )
        status = 403 if _speaks_query(signature) else 400
        raise Refusal(code, "The security token included in the request is expired", status)
    return principal


def _speaks_query(signature: Signature) -> bool:
    return signature.service in {"iam", "sts", "rds"}


def _bad_token(signature: Signature) -> Refusal:
    if signature.service == "s3":
        return Refusal("InvalidToken", "The provided token is malformed or otherwise invalid.")
    if signature.service == "ec2":
        return Refusal("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
    code = "InvalidClientTokenId" if _speaks_query(signature) else "UnrecognizedClientException"
    return Refusal(code, "The security token included in the request is invalid.", 403)


def _document(text: Any) -> Document:
    if not text:
        return {}
    if isinstance(text, str):
        return dict(json.loads(unquote(text) if text.lstrip().startswith("%7B") else text))
    return dict(text)


def _managed(policies: Any) -> Iterator[Document]:
    for policy in policies.values() if isinstance(policies, dict) else policies:
        version = next(v for v in policy.versions if v.version_id == policy.default_version_id)
        yield _document(version.document)


def _inline(policies: Any) -> Iterator[Document]:
    for text in policies.values():
        yield _document(text)


def identity_policies(principal: Principal) -> list[Document]:
    """Collect what is attached to a principal, its groups included.

    Args:
        principal: the caller.

    Returns:
        The policies' documents.
    """
    iam = account.iam(principal.account_id)
    if principal.role_name:
        role = next((r for r in iam.roles.values() if r.arn == principal.role_arn), None)
        if role is None:
            return []
        return [*_inline(role.policies), *_managed(role.managed_policies)]
    user = iam.users.get(principal.user_name)
    if user is None:
        return []
    documents = [*_inline(user.policies), *_managed(user.managed_policies)]
    for group in iam.groups.values():
        if user in group.users:
            documents += [*_inline(group.policies), *_managed(group.managed_policies)]
    return documents


def session_policies(principal: Principal) -> list[Document]:
    """Return the policy the session was narrowed with, if any.

    Args:
        principal: the caller.

    Returns:
        None or one document.
    """
    return [_document(principal.session_policy)] if principal.session_policy else []


def trust_policy(role_arn: str) -> Document:
    """Return what says who may assume a role.

    Args:
        role_arn: the role.

    Returns:
        The document; an empty one where there is no such role.
    """
    roles = account.iam().roles.values()
    return next((_document(r.assume_role_policy_document) for r in roles if r.arn == role_arn), {})


def trusts_service(role_arn: str, service: str, context: Context) -> bool:
    """Say whether a service may take a role.

    Args:
        role_arn: the role.
        service: the service's principal.
        context: condition keys that the service sends, in lower case.

    Returns:
        Whether there is such a role, and its trust policy lets the service.
    """
    statements = [
        {**one, "Principal": "*"}
        for one in as_list(trust_policy(role_arn).get("Statement", []))
        if isinstance(one.get("Principal"), dict) and service in as_list(one["Principal"].get("Service", []))
    ]
    question = Question("sts:AssumeRole", role_arn, context)
    return evaluate([{"Statement": statements}], question) is Verdict.ALLOW


_OWN_PRINCIPAL = re.compile(rf"arn:{account.PARTITION}:iam::{account.ACCOUNT_ID}:(role|user)/.+")


def unknown(document: Document) -> str:
    """Find a principal in a policy that AWS does not know.

    Args:
        document: the policy of a resource.

    Returns:
        The first user or role of this account that is not there, or an empty text. Other accounts' cannot be
        looked up.
    """
    iam = account.iam()
    known = {item.arn for item in (*iam.roles.values(), *iam.users.values())}
    for statement in as_list(document.get("Statement", [])):
        named = statement.get("Principal", statement.get("NotPrincipal"))
        for name in as_list(named.get("AWS", [])) if isinstance(named, dict) else []:
            if _OWN_PRINCIPAL.fullmatch(name) and name not in known:
                return str(name)
    return ""
