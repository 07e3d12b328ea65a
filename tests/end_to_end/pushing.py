"""The container image, built and pushed once for all tests, by a user with a package index of their own."""

from __future__ import annotations

import ensurepip
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from deployed import Deployment, Sandbox, run

from sandbox.real import containers, images

REPOSITORY = "team/mlflow"
INDEX_PASSWORD = "password-of-the-package-index"
CLIENT = """
import mlflow
mlflow.set_experiment("container")
with mlflow.start_run() as run:
    mlflow.log_metric("accuracy", 0.5)
    mlflow.log_text("logged in a container", "note.txt")
print(mlflow.get_run(run.info.run_id).data.metrics["accuracy"])
print(mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/note.txt"))
"""


def index_with_a_password() -> str:
    """Give pip's own index with a login in its address, of which that index takes no notice."""
    (wheel,) = Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl")
    code = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
    own = os.environ | {"PYTHONPATH": str(wheel)}
    address = subprocess.run(
        [sys.executable, "-c", code], env=own, capture_output=True, text=True, check=True
    )
    return address.stdout.strip().replace("://", f"://somebody:{INDEX_PASSWORD}@")


@dataclass(frozen=True)
class Pushed:
    """An image in the repository, and who builds and runs it."""

    deployment: Deployment
    environment: dict[str, str] = field(repr=False)
    data: dict[str, Any]

    @property
    def image(self) -> str:
        return str(self.data["image"])

    def provision(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run(
            *("python", "provision.py", "--config", self.deployment.config, *words),
            cwd=self.deployment.clone,
            env=self.environment,
            check=check,
        )

    def podman(self, *words: str, check: bool = True) -> str:
        done = run("podman", *words, cwd=self.deployment.clone, env=self.environment, check=check)
        return done.stdout.strip() if check else done.stdout + done.stderr

    def inspected(self) -> dict[str, Any]:
        (found,) = json.loads(self.podman("image", "inspect", self.image))
        return dict(found)


def tool_environment(directory: Path) -> dict[str, str]:
    """Give podman's variables and a directory: what containers run under is the machine's to say."""
    settings = directory / "containers.conf"
    runtime = "runc" if containers.runtime_options() else "crun"
    limits = ", ".join(f'"{one.removeprefix("--ulimit=")}"' for one in containers.limit_options())
    settings.write_text(f'[engine]\nruntime = "{runtime}"\n[containers]\ndefault_ulimits = [{limits}]\n')
    own = {"CONTAINERS_CONF": str(settings), "BUILDAH_ISOLATION": "chroot", "BUILDAH_LAYERS": "false"}
    return own | {"HOME": str(directory)}


@pytest.fixture(scope="session")
def pushed(sandbox: Sandbox, clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pushed]:
    """Build the image for a repository of the user's own, and push it."""
    directory = tmp_path_factory.mktemp("image")
    sandbox.client("ecr").create_repository(repositoryName=REPOSITORY, imageTagMutability="IMMUTABLE")
    config = directory / "deployment.yml"
    base = images.ensure("container-base")
    config.write_text(
        f"name: image\nimages: {{repository: {REPOSITORY}, base: '{base}'}}\n", encoding="utf-8"
    )
    options = clone / "inventory" / "group_vars" / "tracking_servers.yml"
    before = options.read_text(encoding="utf-8")
    # Another image each time, and no layer of an earlier build, which was made without this password.
    more = f"mlflow_server_environment: {{FLOWSTEAD_TEST: '{uuid.uuid4()}'}}"
    index = f"mlflow_release_package_index: {index_with_a_password()}"
    options.write_text("\n".join((before, more, index, "")), encoding="utf-8")
    deployment = Deployment(sandbox, clone, str(config))
    made = Pushed(deployment, deployment.environment | tool_environment(directory), {})
    data = json.loads(made.provision("--json", "image").stdout)
    yield Pushed(deployment, made.environment, data)
    options.write_text(before, encoding="utf-8")
    for image in (data["image"], f"localhost/flowstead-mlflow:{data['tag']}"):
        made.podman("rmi", "--force", image, check=False)
