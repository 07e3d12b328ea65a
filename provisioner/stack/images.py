"""The repository of MLflow's container images."""

from __future__ import annotations

from provisioner.resources.ecr.repository import Repository
from provisioner.stack.context import Context


def make_repository(context: Context) -> Repository | None:
    """Compose the repository.

    Args:
        context: what is wanted.

    Returns:
        None where no images are wanted.

    """
    wanted = context.deployment.images
    if wanted.repository == "none":
        return None
    name = f"{context.deployment.name}/mlflow" if wanted.repository == "auto" else wanted.repository
    return Repository("images", context.owner, repository_name=name, keep=wanted.keep)
