"""Passwords and keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from provisioner.config import ADMIN
from provisioner.resources.secretsmanager.secret import Secret
from provisioner.secret_values import certificate_authority, login, server_keys
from provisioner.stack.context import Context


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
class Secrets:
    """A deployment's secrets.

    Args:
        database: the logins at the database; None: SQLite has none.
        admin: the login of MLflow's first administrator.
        server_keys: what MLflow signs and encrypts with.
        tls_ca: the authority that signs the gateway's certificate.

    """

    database: DatabaseLogins | None
    admin: Login
    server_keys: Secret
    tls_ca: Secret

    @property
    def of_hosts(self) -> tuple[Secret, ...]:
        """Those that the servers read: the authority's key stays where provision.py runs."""
        database = (self.database.owner, self.database.application) if self.database else ()
        return *(login.secret for login in (*database, self.admin)), self.server_keys


def make_secrets(context: Context, *, for_database: bool) -> Secrets:
    """Compose the secrets; their policies name the roles of the servers, which read some of them.

    Args:
        context: what is wanted.
        for_database: with the logins at a database service.

    """
    owner = context.owner
    server, mlflow = context.role_arn("server"), context.role_arn("mlflow")

    def secret(
        name: str, purpose: str, generate: Callable[[], Mapping[str, str]], *, is_read: bool = True
    ) -> Secret:
        return Secret(
            f"secret_{name}",
            owner,
            secret_name=f"flowstead/{owner.deployment}/{name.replace('_', '-')}",
            purpose=purpose,
            generate=generate,
            account_id=context.account_id,
            readers=(server,) if is_read else (),
            strangers=(mlflow,) if is_read else (server, mlflow),
        )

    def for_login(name: str, purpose: str, username: str) -> Login:
        return Login(secret(name, purpose, login(username)), username)

    return Secrets(
        database=DatabaseLogins(
            owner=for_login("database_owner", "Migrates MLflow's schema", "mlflow_owner"),
            application=for_login(
                "database_application", "MLflow's server at the database", "mlflow_application"
            ),
        )
        if for_database
        else None,
        admin=for_login("admin", "MLflow's first administrator", ADMIN),
        server_keys=secret("server_keys", "Keys that MLflow signs and encrypts with", server_keys),
        tls_ca=secret(
            "tls_ca",
            "Signs the gateway's certificate",
            certificate_authority(owner.deployment),
            is_read=False,
        ),
    )
