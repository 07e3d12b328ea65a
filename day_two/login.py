"""A login at MLflow: a person's own, as an MLflow client finds it, or the admin's, from the inventory."""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from day_two import tracking
from provisioner.errors import UsageError

# Where MLflow's client looks for a login that is not in the environment (mlflow/utils/credentials.py).
CREDENTIALS = ".mlflow/credentials"


@dataclass(frozen=True)
class Login:
    """A user of a tracking server.

    Args:
        url: where MLflow answers.
        ca_file: the certificate to trust; None for those that this machine trusts.
        username: the user; empty where MLflow asks for none.
        password: the user's.

    """

    url: str
    ca_file: Path | None
    username: str
    password: str = field(repr=False)

    def login(self) -> tuple[str, str]:
        """Give the user and the password."""
        return self.username, self.password


def find(inventory: str, environment: Mapping[str, str] = os.environ) -> Login:
    """Take the login that MLflow's client would use here, else the admin's.

    Args:
        inventory: the inventory directory whose admin it should be; empty to use the environment if it names
            a server, and the directory `inventory` otherwise.
        environment: the variables that `provision.py client` prints.

    Raises:
        FlowsteadError: there is neither, or what is there cannot be used.

    """
    if inventory or not environment.get("MLFLOW_TRACKING_URI"):
        server = tracking.find(inventory or "inventory")
        return Login(server.url, server.ca_file, *server.login())
    url = environment["MLFLOW_TRACKING_URI"].rstrip("/")
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).netloc:
        raise UsageError(
            f"MLFLOW_TRACKING_URI is {url}, which is not a server's address (https://…).",
            next_step="docs/connect_a_client.md says what to set.",
        )
    trusted = environment.get("MLFLOW_TRACKING_SERVER_CERT_PATH")
    if trusted and not Path(trusted).is_file():
        raise UsageError(f"MLFLOW_TRACKING_SERVER_CERT_PATH is {trusted}, and there is no such file.")
    kept = _kept(Path(environment.get("HOME", "~")).expanduser() / CREDENTIALS)
    username, password = (
        environment.get(name) or kept.get(name.lower(), "")
        for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
    )
    return Login(url, Path(trusted) if trusted else None, username, password)


def _kept(file: Path) -> Mapping[str, str]:
    """Read MLflow's file of credentials: option names come in lower case."""
    read = configparser.ConfigParser()
    try:
        read.read(file)
        return dict(read["mlflow"]) if "mlflow" in read else {}
    except (configparser.Error, UnicodeDecodeError) as error:
        # The error quotes the line, which may hold the password.
        raise UsageError(f"{file} cannot be read: it is not a file of [sections] and key = value.") from error
