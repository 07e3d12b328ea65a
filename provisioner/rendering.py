"""What the provisioner writes and sends as text, rendered from templates/."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jinja2 import Environment

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"


def user_data(deployment: str, *, lifetime_min: int = 0) -> str:
    """Render what cloud-init does at the host's first boot.

    Args:
        deployment: the deployment's name.
        lifetime_min: minutes after which the host shuts itself down; 0: never.

    Returns:
        A #cloud-config document.

    """
    return render("user_data.yml.j2", deployment=deployment, lifetime_min=lifetime_min)


def bucket_policy(*, bucket_arn: str) -> dict[str, Any]:
    """Render the bucket's own policy: nobody without TLS.

    Args:
        bucket_arn: ARN of the artifact bucket.

    Returns:
        The policy document.

    """
    return _json("bucket_policy.json.j2", bucket_arn=bucket_arn)


def s3_endpoint_policy(*, bucket_arn: str, account_id: str, packages_arn: str = "") -> dict[str, Any]:
    """Render what may pass the network's endpoint for S3.

    Args:
        bucket_arn: ARN of the artifact bucket, for whoever is of the account.
        account_id: the account.
        packages_arn: ARN of the bucket that the hosts' system has its packages in; empty: none.

    Returns:
        The policy document.

    """
    return _json(
        "s3_endpoint_policy.json.j2",
        bucket_arn=bucket_arn,
        account_id=account_id,
        packages_arn=packages_arn,
    )


def secret_policy(
    *, account_id: str, reader_arns: Iterable[str], stranger_arns: Iterable[str]
) -> dict[str, Any]:
    """Render what holds for a secret whatever else is allowed to whom.

    Args:
        account_id: the account.
        reader_arns: ARNs of the roles that may read its value and nothing else.
        stranger_arns: ARNs of the deployment's roles that may do nothing with it.

    Returns:
        The policy document.

    """
    return _json(
        "secret_policy.json.j2",
        account_id=account_id,
        reader_arns=list(reader_arns),
        stranger_arns=list(stranger_arns),
    )


def render(template: str, **variables: object) -> str:
    """Render one template; a variable that it needs and does not get is an error.

    Args:
        template: file name under templates/.
        variables: what it is about.

    Returns:
        The text, with a newline at its end.

    """
    return _environment().get_template(template).render(**variables)


def _json(template: str, **variables: object) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(render(template, **variables))
    return document


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - not needed by `plan --help`

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - YAML and JSON, not HTML; values go through `tojson`
    )
