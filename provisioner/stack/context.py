"""What all parts of a deployment have in common."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from provisioner.config import Deployment
from provisioner.config.database import OfRds
from provisioner.config.project_rules import folder
from provisioner.resources.base import Owner
from provisioner.resources.iam.role import role_prefix
from provisioner.resources.rds.database_facts import Engine

_ENGINES = {
    "postgresql": ("postgres", "PostgreSQL", 5432),
    "aurora-postgresql": ("aurora-postgresql", "Aurora PostgreSQL", 5432),
    "aurora-mysql": ("aurora-mysql", "Aurora MySQL", 3306),
}
"""RDS's name, people's name and port, by database.engine."""


_MOST_ROLE_NAME = 64
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""


@dataclass(frozen=True)
class ProjectNames:
    """What the parts of a project are called.

    Args:
        name: the project, as in deployment.yml.
        is_default: it has the names without a project's in them.
        artifacts_prefix: its folder in the bucket for artifacts.
        backups_prefix: its folder for backups.

    """

    name: str
    is_default: bool
    artifacts_prefix: str
    backups_prefix: str

    @property
    def within(self) -> str:
        """What stands before the names of its resources in the deployment."""
        return "" if self.is_default else f"{self.name.replace('-', '_')}_"

    @property
    def logins(self) -> str:
        """What the names of its logins at the database begin with."""
        return f"mlflow_{self.within}"


@dataclass(frozen=True)
class Context:
    """What a deployment is composed from.

    Args:
        deployment: what deployment.yml says.
        account_id: the AWS account (Aws.identity()["Account"]).
        access_cidrs: networks that may reach ports 443 and 22; `auto` resolved.
        ssh_public_key: the public key, one line as in an authorized_keys file.
        user_data: cloud-init's configuration for a new host, which has no way out in its first seconds.
        code: the code that a baked image should hold (code.current).

    """

    deployment: Deployment
    account_id: str
    access_cidrs: tuple[str, ...]
    ssh_public_key: str
    user_data: str = ""
    code: str = ""

    @property
    def owner(self) -> Owner:
        """Whose resources they are."""
        return Owner(self.deployment.name, self.deployment.tags)

    def role_name(self, what: str) -> str:
        """Name an IAM role of the deployment, one in the account: within IAM's 64 characters.

        Args:
            what: whose role it is, 7 characters at most.

        """
        return f"{role_prefix(self.deployment.name, self.deployment.region)}{what}"

    def role_arn(self, what: str) -> str:
        """Give a role's ARN, known before it is made."""
        return f"arn:aws:iam::{self.account_id}:role/{self.role_name(what)}"

    @property
    def projects(self) -> tuple[ProjectNames, ...]:
        """Name the parts of each project; the default one comes first."""
        deployment = self.deployment
        return tuple(
            ProjectNames(
                one.name,
                one.is_default,
                folder(one.name, deployment.artifacts.prefix),
                folder(one.name, deployment.backups.prefix),
            )
            for one in sorted(deployment.projects, key=lambda one: not one.is_default)
        )

    def project_role_name(self, project: ProjectNames) -> str:
        """Name the role of a project's process: with the project's name in it, if there is room."""
        if project.is_default:
            return self.role_name("mlflow")
        long = self.role_name(f"mlflow-{project.name}")
        short = self.role_name(f"p{hashlib.sha256(project.name.encode()).hexdigest()[:6]}")
        return long if len(long) <= _MOST_ROLE_NAME else short

    @property
    def project_role_arns(self) -> tuple[str, ...]:
        """Give the ARNs of the roles of all projects, known before they are made."""
        names = map(self.project_role_name, self.projects)
        return tuple(f"arn:aws:iam::{self.account_id}:role/{name}" for name in names)

    @property
    def database_identifier(self) -> str:
        """The database's name in RDS."""
        return f"flowstead-{self.deployment.name}"


def engine_of(database: OfRds) -> Engine:
    """Give kind and version of a database as RDS has them.

    Args:
        database: what is wanted.

    """
    name, shown, port = _ENGINES[database.engine]
    parts = database.engine_version.split(".")
    # MySQL's major versions have two numbers.
    major = ".".join(parts[:2]) if database.engine == "aurora-mysql" else parts[0]
    return Engine(name, database.engine_version, family=f"{name}{major}", shown=shown, port=port)
