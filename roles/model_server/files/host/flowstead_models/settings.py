"""What the role tells the program: a file for each server of MLflow. Managed by Ansible."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

SETTINGS = Path("/etc/flowstead/models.d")


@dataclass(frozen=True)
class Model:
    """A model to serve: the version that an alias names.

    Args:
        name: the registered model.
        alias: which of its versions.
        memory_mib: what its process may take.
        python: the minor version of Python to build it on; empty: the one that it was logged with.
    """

    name: str
    alias: str
    memory_mib: int
    python: str

    def build(self, version: str) -> str:
        """Name what is built of a version."""
        return f"{version}-python{self.python}" if self.python else version


@dataclass(frozen=True)
class Settings:
    """Everything that the role tells the program; no secret is among it.

    Args:
        server: what the server of MLflow is called.
        project: whose it is.
        config_dir: where serving.json says which release serves, and on which port.
        releases: directory of the releases.
        secrets_file: where the administrator's password is.
        admin: the administrator's name.
        uv: the program uv.
        package_index: where packages come from; empty: uv's own default.
        user: who builds environments.
        gateway_program: what switches the gateway.
        ports: the first and the last of the ports on 127.0.0.1 that models may have.
        start_timeout_s: how long a model may take until it answers.
        build_timeout_s: how long the building of its environment may take.
        request_timeout_s: how long an answer may take.
        models: what to serve.
    """

    server: str
    project: str
    config_dir: str
    releases: str
    secrets_file: str
    admin: str
    uv: str
    package_index: str
    user: str
    gateway_program: str
    ports: tuple[int, int]
    start_timeout_s: int
    build_timeout_s: int
    request_timeout_s: int
    models: tuple[Model, ...]

    @property
    def secrets_unit(self) -> str:
        """What writes the secrets file anew."""
        return f"flowstead-secrets@{self.server}-env.service"


def read_settings(text: str) -> Settings:
    """Return what a file says."""
    told: dict[str, Any] = json.loads(text)
    models = tuple(Model(**{one.name: given[one.name] for one in fields(Model)}) for given in told["models"])
    return Settings(**{**told, "models": models, "ports": tuple(told["ports"])})
