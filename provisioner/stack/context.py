"""What all parts of a deployment have in common."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.config import Deployment
from provisioner.config.database import OfRds
from provisioner.resources.base import Owner
from provisioner.resources.iam.role import role_prefix
from provisioner.resources.rds.database_facts import Engine

_ENGINES = {
    "postgresql": ("postgres", "PostgreSQL", 5432),
    "aurora-postgresql": ("aurora-postgresql", "Aurora PostgreSQL", 5432),
    "aurora-mysql": ("aurora-mysql", "Aurora MySQL", 3306),
}
"""RDS's name, people's name and port, by database.engine."""


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
