"""Start MLflow's server in a container, or say whether it answers (`container.py health`).

The image has the settings; what the environment says counts for more. Secrets are files in /run/secrets, each
named like the variable that it is for. SQLite's databases are made when there are none, and brought to the
image's release on a copy; those of a database's server are left to `site.yml`.
"""

from __future__ import annotations

import configparser
import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

SETTINGS = Path("/etc/mlflow/mlflow.env")
SECRETS = Path("/run/secrets")
MIGRATE = Path(__file__).with_name("migrate.py")
STORE, LOGINS = "MLFLOW_BACKEND_STORE_URI", "FLOWSTEAD_LOGINS_URI"
CONFIG = "MLFLOW_AUTH_CONFIG_PATH"
SQLITE = "sqlite:///"
# What a server cannot do without; with SQLite each is made up once, and kept next to the data.
NEEDED = (
    "MLFLOW_AUTH_ADMIN_PASSWORD",
    "MLFLOW_FLASK_SERVER_SECRET_KEY",
    "MLFLOW_CRYPTO_KEK_PASSPHRASE",
    "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY",
)
# Fernet's keys have a form of their own: https://cryptography.io/en/latest/fernet/
FERNET = "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"
ANSWER_S = 8
SHOWN_CHARACTERS = 2000


class CannotStartError(Exception):
    """What is wrong, as a sentence."""


@dataclass(frozen=True)
class Paths:
    """Where things are.

    Args:
        settings: the image's settings, lines NAME=VALUE.
        secrets: directory of files, each with a secret.

    """

    settings: Path = SETTINGS
    secrets: Path = SECRETS


def environment(given: Mapping[str, str], paths: Paths) -> dict[str, str]:
    """Put together what the server is told.

    Args:
        given: what the container's environment says: it counts for more than the image's settings.
        paths: where the settings and the secrets are.

    Raises:
        CannotStartError: a secret cannot be read.

    """
    lines = paths.settings.read_text(encoding="utf-8").splitlines()
    settings = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    told = settings | dict(given)
    # Ours come last: HOME and the like are the image's, whoever runs it.
    told |= {name: settings[name] for name in ("HOME", "PYTHONPATH") if name in settings}
    for name in NEEDED:
        file = paths.secrets / name
        try:
            if file.exists():
                told[name] = file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise CannotStartError(
                f"{file} cannot be read by this container's user ({os.getuid()}): {error.strerror}."
            ) from error
    return told


def file_of(uri: str) -> Path | None:
    """Give the file of a database; None: it is on a server."""
    return Path("/" + uri.removeprefix(SQLITE).lstrip("/")) if uri.startswith(SQLITE) else None


def fill_in(told: dict[str, str], folder: Path | None) -> None:
    """See to it that every secret is there.

    Args:
        told: what the server is told; what is made up is added.
        folder: where SQLite's files are; None: the data are on a server, whose keys others have.

    Raises:
        CannotStartError: one is missing, or cannot be kept.

    """
    missing = [name for name in NEEDED if not told.get(name)]
    if not missing:
        return
    if folder is None:
        raise CannotStartError(
            f"{', '.join(missing)}: give each as a file of that name in /run/secrets. "
            "Servers of one database need the same keys."
        )
    for name in missing:
        kept = folder / "secrets" / name
        if not kept.exists():
            kept.parent.mkdir(mode=0o700, exist_ok=True)
            made = secrets.token_urlsafe(32) + ("=" if name == FERNET else "")
            handle, new = tempfile.mkstemp(dir=kept.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(made)
            Path(new).replace(kept)
        told[name] = kept.read_text(encoding="utf-8").strip()


def configure_logins(told: dict[str, str]) -> str:
    """Tell MLflow where its logins are, if the environment says another place than the image.

    Returns:
        their database's address.

    """
    config = configparser.ConfigParser()
    config.read(told[CONFIG], encoding="utf-8")
    if wanted := told.get(LOGINS):
        config["mlflow"]["database_uri"] = wanted.replace("%", "%%")
        handle, told[CONFIG] = tempfile.mkstemp(prefix="basic_auth-", suffix=".ini")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            config.write(file)
    return config["mlflow"]["database_uri"]


def migrate(told: Mapping[str, str], databases: Mapping[str, Path], release: str) -> None:
    """Make SQLite's databases, or bring copies of them to this release and put those in their place.

    Args:
        told: what the server is told.
        databases: their files, by the words of migrate.py.
        release: the image's.

    Raises:
        CannotStartError: it failed; the databases are as they were.

    """
    mark = next(iter(databases.values())).with_name("release")
    before = mark.read_text(encoding="utf-8").strip() if mark.exists() else ""
    if before == release and all(path.exists() for path in databases.values()):
        return
    copies = {word: path.with_name(f"{path.name}.new") for word, path in databases.items()}
    for word, path in databases.items():
        copies[word].unlink(missing_ok=True)
        if path.exists():
            # What a write-ahead log has comes with it, and the last one to close takes the log away.
            with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copies[word])) as target:
                source.backup(target)
    addresses = json.dumps({word: f"{SQLITE}{path}" for word, path in copies.items()})
    done = subprocess.run(
        [sys.executable, str(MIGRATE)],
        input=addresses,
        env=dict(told),
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise CannotStartError(
            f"The databases could not be brought to MLflow {release}, and are as they were: "
            f"{done.stderr[-SHOWN_CHARACTERS:]}"
        )
    for word, path in databases.items():
        kept = path.with_name(f"{path.name}.before-{release}")
        # If it is there already, this was interrupted before, and the present one may be new.
        if path.exists() and not kept.exists():
            shutil.copy2(path, copies[word].with_suffix(".kept"))
            copies[word].with_suffix(".kept").replace(kept)
        copies[word].replace(path)
    mark.write_text(f"{release}\n", encoding="utf-8")


def prepare(given: Mapping[str, str], paths: Paths, release: str) -> dict[str, str]:
    """Put together what the server is told, with its databases and secrets in place.

    Args:
        given: what the container's environment says.
        paths: where settings and secrets are.
        release: the image's.

    Raises:
        CannotStartError: something is missing, or cannot be done.

    """
    told = environment(given, paths)
    logins = configure_logins(told)
    files = {"tracking": file_of(told[STORE]), "login": file_of(logins)}
    here = {word: path for word, path in files.items() if path}
    if len(here) == 1:
        raise CannotStartError(
            f"{STORE} and {LOGINS} must both be SQLite's files, or both be databases of a server."
        )
    folder = next(iter(here.values())).parent if here else None
    if folder and not os.access(folder, os.W_OK):
        raise CannotStartError(
            f"{folder} is not writable for the container's user {os.getuid()}: give it a volume "
            f"(podman run --volume mlflow:{folder}:U, docker run --volume mlflow:{folder})."
        )
    fill_in(told, folder)
    if here:
        migrate(told, here, release)
    return told


def is_healthy(port: str) -> bool:
    """Tell whether the server answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=ANSWER_S):
            return True
    except OSError:
        return False


def start(told: Mapping[str, str]) -> NoReturn:
    """Be the server."""
    os.execve(sys.executable, [sys.executable, "-m", "flowstead_server"], told)  # noqa: S606 - no shell's


def main(arguments: list[str]) -> int:
    """Start the server in this process, or ask it.

    Args:
        arguments: none, or `health`.

    Returns:
        0: it answers; 1: it does not, or cannot start. A server that starts takes this process.

    """
    paths = Paths()
    if arguments == ["health"]:
        return 0 if is_healthy(environment(os.environ, paths)["MLFLOW_PORT"]) else 1
    try:
        # The releases' directory is named after the release.
        told = prepare(os.environ, paths, Path(sys.executable).parents[1].name)
    except CannotStartError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return start(told)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
