"""What a server on one's own machine must know and nobody else: files in a directory of its own."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import boto3

from provisioner.aws import Aws
from provisioner.errors import FlowsteadError
from provisioner.inventory import secret_value

if TYPE_CHECKING:
    from day_two.tracking import TrackingServer
    from provisioner.outputs import LoginOutputs

SECRETS = "/run/secrets"
"""Where the container finds them (roles/mlflow_server/files/container.py)."""
IMAGE_USER = 10001
"""The image's own user (roles/mlflow_server/templates/Containerfile.j2)."""
# What is in the server's secret with keys, by the variables that the image reads from files.
KEYS = {
    "MLFLOW_FLASK_SERVER_SECRET_KEY": "flask_secret_key",
    "MLFLOW_CRYPTO_KEK_PASSPHRASE": "crypto_kek_passphrase",
    "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": "webhook_encryption_key",
}
# botocore asks for other credentials 15 minutes before those that it has end.
BEFORE_END = timedelta(minutes=20)
LIFE_S = 12 * 3600
# Credentials that somebody else renews are looked at so often.
AGAIN = timedelta(minutes=2)


@dataclass(frozen=True)
class User:
    """As whom a container runs.

    Args:
        uid: who owns its files on this machine.
        options: how the container tool is told.

    """

    uid: int
    options: tuple[str, ...]


class HandedOver:
    """Files for one container, in a directory that only its user may enter.

    Args:
        directory: the directory, which is made.
        server: the project's server.
        user: as whom the container runs.

    """

    def __init__(self, directory: Path, server: TrackingServer, user: User) -> None:
        self.directory, self.user = directory, user
        self._server, self._aws = server, Aws(server.outputs.region)
        self._credentials = boto3.session.Session().get_credentials()
        self._next = datetime.min.replace(tzinfo=UTC)
        directory.mkdir(mode=0o700)
        self._give_away(directory)

    def write(self, database_ca: str) -> None:
        """Write all of them.

        Args:
            database_ca: the authorities that sign the database's certificate.

        Raises:
            FlowsteadError: a secret cannot be read, or there are no credentials.

        """
        project, aws = self._server.project, self._aws
        if project.database_logins is None:
            raise FlowsteadError("The data are in no database service.", next_step="Use the host's server.")
        self._write("MLFLOW_AUTH_ADMIN_PASSWORD", secret_value(aws, project.admin.secret_arn, "password"))
        for variable, key in KEYS.items():
            self._write(variable, secret_value(aws, project.server_keys_secret_arn, key))
        self._write("pgpass", self._password_file(project.database_logins.application))
        self._write("rds-ca.pem", database_ca)
        self._write("aws.conf", f"[default]\ncredential_process = /usr/bin/cat {SECRETS}/aws.json\n")
        if bundle := os.environ.get("AWS_CA_BUNDLE"):
            self._write("aws-ca.pem", Path(bundle).read_text(encoding="utf-8"))
        self.renew()

    def renew(self) -> None:
        """Write the caller's own credentials, temporary ones, if those that are there end soon.

        Raises:
            FlowsteadError: there are none.

        """
        now = datetime.now(UTC)
        if now < self._next:
            return
        if self._credentials is None:
            raise FlowsteadError("There are no AWS credentials.", next_step="Log in (aws sso login).")
        own = self._credentials.get_frozen_credentials()
        if own.token:
            # They may be others by then: whoever gave them renews them.
            found = {
                "AccessKeyId": own.access_key,
                "SecretAccessKey": own.secret_key,
                "SessionToken": own.token,
            }
            end, self._next = now + BEFORE_END + AGAIN, now + AGAIN
        else:
            found = self._aws.call("sts", "get_session_token", DurationSeconds=LIFE_S)["Credentials"]
            end = found["Expiration"]
            self._next = end - BEFORE_END - AGAIN
        self._write("aws.json", json.dumps({"Version": 1, **found, "Expiration": end.isoformat()}))

    @contextmanager
    def login(self, name: str, login: LoginOutputs) -> Iterator[None]:
        """Have the password of a login at the database in a file, for a block.

        Args:
            name: the file's name.
            login: who logs in.

        Raises:
            FlowsteadError: the secret cannot be read.

        """
        self._write(name, self._password_file(login))
        try:
            yield
        finally:
            (self.directory / name).unlink(missing_ok=True)

    def _password_file(self, login: LoginOutputs) -> str:
        engine = self._server.outputs.database.engine
        return password_file(engine, login.username, secret_value(self._aws, login.secret_arn, "password"))

    def _write(self, name: str, text: str) -> None:
        """Write a file whole, whoever reads it meanwhile."""
        new = self.directory / f".{name}"
        new.unlink(missing_ok=True)
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        self._give_away(new)
        new.replace(self.directory / name)

    def _give_away(self, path: Path) -> None:
        if self.user.uid != os.getuid():
            os.chown(path, self.user.uid, self.user.uid)


def password_file(engine: str, username: str, password: str) -> str:
    """Write a database's password as its driver reads it: libpq's password file, or MySQL's option file.

    Sources: https://www.postgresql.org/docs/current/libpq-pgpass.html,
    https://dev.mysql.com/doc/refman/8.4/en/option-files.html

    Args:
        engine: deployment.yml's word for it.
        username: who logs in.
        password: the password.

    """
    if engine == "aurora-mysql":
        return f'[client]\nuser = "{username}"\npassword = "{password}"\n'
    escaped = re.sub(r"([:\\])", r"\\\1", password)
    return f"*:*:*:{username}:{escaped}\n"
