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
class Secrets:
    """A deployment's secrets.

    Args:
        database_owner: the login that migrates MLflow's schema.
        database_application: the login of MLflow's server at the database.
        admin: the login of MLflow's first administrator.
        server_keys: what MLflow signs and encrypts with.
        tls_ca: the authority that signs the gateway's certificate.

    """

    database_owner: Login
    database_application: Login
    admin: Login
    server_keys: Secret
    tls_ca: Secret

    @property
    def of_hosts(self) -> tuple[Secret, ...]:
        """Those that the servers read: the authority's key stays where provision.py runs."""
        logins = self.database_owner, self.database_application, self.admin
        return *(login.secret for login in logins), self.server_keys


def make_secrets(context: Context) -> Secrets:
    """Compose the secrets; their policies name the roles of the servers, which read some of them.

    Args:
        context: what is wanted.

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
        database_owner=for_login("database_owner", "Migrates MLflow's schema", "mlflow_owner"),
        database_application=for_login(
            "database_application", "MLflow's server at the database", "mlflow_application"
        ),
        admin=for_login("admin", "MLflow's first administrator", ADMIN),
        server_keys=secret("server_keys", "Keys that MLflow signs and encrypts with", server_keys),
        tls_ca=secret(
            "tls_ca",
            "Signs the gateway's certificate",
            certificate_authority(owner.deployment),
            is_read=False,
        ),
    )
