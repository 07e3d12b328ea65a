"""What all parts of a deployment have in common."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from provisioner.config import Deployment
from provisioner.config.database import VOLUME, OfRds
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
_STORES = {VOLUME: "", "postgresql": "", "aurora-postgresql": "aurora", "aurora-mysql": "aurora-mysql"}
"""What the names of a database's parts end with, by database.engine: while data are moved there are two."""
_MONITORS = {"postgresql": "monitor", "aurora-postgresql": "mon-apg", "aurora-mysql": "mon-amy"}
"""Short names of what RDS monitors each with, by database.engine."""

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
        moving_from: id of the store that has the data which are being moved into the wanted one; empty: none.
        database_cidrs: networks that may reach the database itself, if there is no server; `auto` resolved.

    """

    deployment: Deployment
    account_id: str
    access_cidrs: tuple[str, ...]
    ssh_public_key: str
    user_data: str = ""
    code: str = ""
    moving_from: str = ""
    database_cidrs: tuple[str, ...] = ()

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
    def is_database_public(self) -> bool:
        """Whether the database is reached from outside the network."""
        return self.deployment.server.count == 0

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
        return "-".join(filter(None, ("flowstead", self.deployment.name, self._store)))

    def database_part(self, name: str) -> str:
        """Name a resource of the database.

        Args:
            name: what it is called where there is no other store.

        """
        return "_".join(filter(None, (name, self._store.replace("-", "_"))))

    @property
    def monitoring_role_name(self) -> str:
        """Name the role with which RDS monitors the database."""
        return self.role_name(_MONITORS[self.deployment.database.engine])

    @property
    def _store(self) -> str:
        return _STORES[self.deployment.database.engine]


def engine_word(name: str) -> str:
    """Give the word of database.engine for an engine of RDS.

    Args:
        name: RDS's name of it.

    """
    return next(word for word, (rds_name, *_) in _ENGINES.items() if rds_name == name)


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
