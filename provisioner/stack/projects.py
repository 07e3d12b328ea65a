"""What each project has of its own."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.resources.iam.role import Role
from provisioner.stack.context import Context, ProjectNames
from provisioner.stack.secrets import ProjectSecrets, Secrets
from provisioner.stack.servers import Servers


@dataclass(frozen=True)
class Project:
    """A server of MLflow for some of the people.

    Args:
        names: what its parts are called.
        secrets: its passwords and keys.
        artifacts_role: what its process, which users talk to, may do: root on the host takes it, and hands
            it on. None: there is no host.

    """

    names: ProjectNames
    secrets: ProjectSecrets
    artifacts_role: Role | None


def list_projects(context: Context, servers: Servers | None, secrets: Secrets) -> tuple[Project, ...]:
    """Say what each project has of what others have composed; the default one comes first."""
    roles = servers.artifacts_roles if servers else (None,) * len(context.projects)
    each = zip(context.projects, secrets.projects, roles, strict=True)
    return tuple(Project(names, own, role) for names, own, role in each)
