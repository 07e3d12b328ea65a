"""What is said of a resource that cannot be made as wanted, or cannot be removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from provisioner.errors import DriftError, FlowsteadError
from provisioner.resources.base import DEPLOYMENT_TAG, RESOURCE_TAG

if TYPE_CHECKING:
    from provisioner.resources.base import Live, Resource
    from provisioner.resources.setting import Setting


def unchangeable(resource: Resource, live: Live, differences: Iterable[Setting]) -> DriftError:
    """Say that AWS cannot change in place what deployment.yml wants changed."""
    return DriftError(
        f"{resource} ({live.id}) cannot be changed in place: {'; '.join(map(str, differences))}.",
        next_step="Set it back (in deployment.yml or in AWS), or destroy the deployment and make it anew.",
    )


def in_the_way(resource: Resource, live: Live, what: str, remedy: str) -> FlowsteadError:
    """Say that something of others stops a destroy.

    Args:
        resource: what could not be deleted.
        live: as found.
        what: what stops it, with its id ("the network interface eni-1 is in it").
        remedy: what a person does about it.

    """
    return FlowsteadError(
        f"{resource} ({live.id}) cannot be deleted: {what}.",
        next_step=f"{remedy}, and run destroy again; nothing was removed.",
    )


def foreign(resource: Resource, name: str, tags: Mapping[str, str]) -> DriftError:
    """Say that something of the resource's AWS name belongs to somebody else."""
    owner, part = tags.get(DEPLOYMENT_TAG), tags.get(RESOURCE_TAG)
    whose = f"to somebody else: it has no {DEPLOYMENT_TAG} tag"
    if owner == resource.owner.deployment:
        return DriftError(
            f"{resource}: {name} is this deployment's, and its tag {RESOURCE_TAG} is {part or 'gone'}.",
            next_step=f"Set that tag to {resource.name}.",
        )
    if owner:
        whose = f"to the deployment {owner!r}"
    return DriftError(
        f"{resource}: {name} exists already and belongs {whose}.",
        next_step="Choose another name in deployment.yml, or remove what is there.",
    )


def foreign_key(key: str | None, account: str) -> str:
    """Say that a key is another account's, which can take it away and with it the data.

    Args:
        key: ARN of a KMS key, "arn:aws:kms:REGION:ACCOUNT:key/ID"; None when the service tells none.
        account: the account that the data is in.

    Returns:
        a sentence's end; empty when the key is the account's own.

    """
    owner = key.split(":")[4] if key and key.startswith("arn:") else account
    text = f"is encrypted with a key of the account {owner}, which can take the key away and so the data"
    return "" if owner == account else text
