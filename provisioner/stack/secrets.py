"""Passwords and keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from provisioner.config import ADMIN
from provisioner.resources.secretsmanager.secret import Secret
from provisioner.secret_values import certificate_authority, login, server_keys
from provisioner.stack.context import Context, ProjectNames


@dataclass(frozen=True)
class Login:
    """Who somebody is, and the secret that proves it.

    Args:
        secret: username and password.
        username: the one in the secret.

    """

    secret: Secret
    username: str


@dataclass(frozen=True)
class DatabaseLogins:
    """Who uses the database.

    Args:
        owner: the login that migrates MLflow's schema.
        application: the login of MLflow's server.

    """

    owner: Login
    application: Login


@dataclass(frozen=True)
class ProjectSecrets:
    """A project's secrets.

    Args:
        database: the logins at the database; None: SQLite has none.
        admin: the login of MLflow's first administrator.
        server_keys: what MLflow signs and encrypts with.

    """

    database: DatabaseLogins | None
    admin: Login
    server_keys: Secret

    @property
    def all(self) -> tuple[Secret, ...]:
        """Each of them."""
        database = (self.database.owner, self.database.application) if self.database else ()
        return *(login.secret for login in (*database, self.admin)), self.server_keys


@dataclass(frozen=True)
class Secrets:
    """A deployment's secrets.

    Args:
        projects: those of each project, in the order of the context's.
        tls_ca: the authority that signs the gateway's certificate.

    """

    projects: tuple[ProjectSecrets, ...]
    tls_ca: Secret

    @property
    def of_hosts(self) -> tuple[Secret, ...]:
        """Those that the servers read: the authority's key stays where provision.py runs."""
        return tuple(secret for project in self.projects for secret in project.all)


def make_secrets(context: Context, *, for_database: bool) -> Secrets:
    """Compose the secrets; their policies name the roles of the servers, which read some of them.

    Args:
        context: what is wanted.
        for_database: with the logins at a database service.

    """
    tls_ca = _secret(
        context,
        "tls_ca",
        "Signs the gateway's certificate",
        certificate_authority(context.owner.deployment),
        is_read=False,
    )
    projects = tuple(_of_project(context, one, for_database=for_database) for one in context.projects)
    return Secrets(projects, tls_ca)


def _of_project(context: Context, project: ProjectNames, *, for_database: bool) -> ProjectSecrets:
    of = "" if project.is_default else f" (project {project.name})"

    def secret(name: str, purpose: str, generate: Callable[[], Mapping[str, str]]) -> Secret:
        return _secret(context, f"{project.within}{name}", f"{purpose}{of}", generate)

    def for_login(name: str, purpose: str, username: str) -> Login:
        return Login(secret(name, purpose, login(username)), username)

    return ProjectSecrets(
        database=DatabaseLogins(
            owner=for_login("database_owner", "Migrates MLflow's schema", f"{project.logins}owner"),
            application=for_login(
                "database_application", "MLflow's server at the database", f"{project.logins}application"
            ),
        )
        if for_database
        else None,
        admin=for_login("admin", "MLflow's first administrator", ADMIN),
        server_keys=secret("server_keys", "Keys that MLflow signs and encrypts with", server_keys),
    )


def _secret(
    context: Context,
    name: str,
    purpose: str,
    generate: Callable[[], Mapping[str, str]],
    *,
    is_read: bool = True,
) -> Secret:
    server, users_talk_to = context.role_arn("server"), context.project_role_arns
    return Secret(
        f"secret_{name}",
        context.owner,
        secret_name=f"flowstead/{context.owner.deployment}/{name.replace('_', '-')}",
        purpose=purpose,
        generate=generate,
        account_id=context.account_id,
        readers=(server,) if is_read else (),
        strangers=users_talk_to if is_read else (server, *users_talk_to),
    )
