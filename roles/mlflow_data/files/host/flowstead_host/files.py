"""Files that are whole after a crash, and files of variables. Managed by Ansible."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowstead_host.errors import ChangeError
from flowstead_host.settings import NAME

# Writes the file with the server's secrets anew where Secrets Manager has others.
SECRETS_UNIT = f"flowstead-secrets@{NAME}-env.service"


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a file of JSON so that after a crash it is the old one or the new one, whole."""
    write(path, f"{json.dumps(value, indent=4)}\n".encode())


def write(path: Path, content: bytes) -> None:
    """Write a file so that after a crash it is the old one or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.chmod(0o644)
    draft.replace(path)
    keep(path.parent)


def keep(folder: Path) -> None:
    """Have the names in a folder outlast a crash of the host."""
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def variables_in(path: Path | str) -> dict[str, str]:
    """Return the variables of a file in the form of systemd's EnvironmentFile (systemd.exec(5))."""
    variables = {}
    for line in Path(path).read_text().splitlines():
        if not line.strip() or line.lstrip().startswith(("#", ";")):
            continue
        name, _, value = line.strip().partition("=")
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        variables[name] = value
    return variables


def administrator_password(path: Path | str) -> str:
    """Return the administrator's password, from the file with the server's secrets."""
    try:
        return variables_in(path)["MLFLOW_AUTH_ADMIN_PASSWORD"]
    except KeyError:
        raise ChangeError(
            f"{path} has no MLFLOW_AUTH_ADMIN_PASSWORD: look at journalctl -u {SECRETS_UNIT}"
        ) from None
