"""Bring a version here: its files, and the environment that it was logged with. Managed by Ansible.

What a model brings along is the code of whoever logged it. It is installed and first loaded as a user that
owns nothing, and that sees no other model and no secret.
"""

from __future__ import annotations

import json
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowstead_models.commands import command
from flowstead_models.errors import ModelError
from flowstead_models.registry import Registry
from flowstead_models.settings import Model, Settings
from flowstead_models.state import HOME, Place, write

PROGRAMS = Path(__file__).resolve().parents[1]
# Loads what serves, as it is loaded there (mlflow/pyfunc/scoring_server/app.py), and leaves it compiled: the
# process that serves may write nothing.
LOAD = """
import os, sys
from mlflow.pyfunc import scoring_server
os.environ[scoring_server._SERVER_MODEL_PATH] = sys.argv[1]
import uvicorn, mlflow.pyfunc.scoring_server.app
"""
# Memory that uv takes at most.
INSTALL_MIB = 768


@dataclass(frozen=True)
class Confined:
    """Runs programs as the user that builds, with nothing of the host but a version of a model.

    Args:
        settings: what the role tells.
        place: the model.
        folder: directory of what is built.
    """

    settings: Settings
    place: Place
    folder: Path

    def run(self, *argv: object, what: str, memory_mib: int, lines: int = 3) -> str:
        """Run a program.

        Args:
            argv: the program.
            what: what could not be done, if it fails.
            memory_mib: what it may take.
            lines: how many of its last lines are the reason, if it fails.

        Raises:
            ModelError: it failed.
        """
        settings = [
            *(f"--property={one}" for one in self._limits(memory_mib)),
            *(f"--setenv={name}={value}" for name, value in self._environment().items()),
        ]
        unit = f"--unit=mlflow-model-build-{self.place.key}.{self.folder.name}"
        run = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", unit, *settings, "--"]
        return command([*run, *argv], what, timeout_s=self.settings.build_timeout_s, lines=lines)

    def _environment(self) -> dict[str, str]:
        given = {
            "HOME": str(self.folder / "env"),
            "UV_CACHE_DIR": str(self.place.cache),
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_SYSTEM_CERTS": "true",
            "UV_NATIVE_TLS": "true",
            "UV_HTTP_CONNECT_TIMEOUT": "30",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
        }
        return given | (
            {"UV_DEFAULT_INDEX": self.settings.package_index} if self.settings.package_index else {}
        )

    def _limits(self, memory_mib: int) -> list[str]:
        return [
            f"User={self.settings.user}",
            f"MemoryMax={memory_mib}M",
            f"RuntimeMaxSec={self.settings.build_timeout_s}",
            f"TemporaryFileSystem={HOME}",
            f"BindPaths={self.folder} {self.place.cache}",
            f"WorkingDirectory={self.folder}",
            "Nice=10",
            "NoNewPrivileges=yes",
            "CapabilityBoundingSet=",
            "ProtectSystem=strict",
            f"ReadWritePaths={self.folder} {self.place.cache}",
            *(f"{one}=yes" for one in YES),
            "ProtectProc=invisible",
            "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
            "SystemCallArchitectures=native",
            "SystemCallFilter=@system-service",
            "SystemCallFilter=~@privileged @resources",
            "SystemCallErrorNumber=EPERM",
        ]


YES = (
    *("ProtectHome", "PrivateTmp", "PrivateDevices", "PrivateUsers", "ProtectClock", "ProtectControlGroups"),
    *("ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "RemoveIPC"),
    *("LockPersonality", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID"),
)


def build(settings: Settings, place: Place, model: Model, version: str, registry: Registry) -> None:
    """Have a version ready to be started: done before, it is not done again.

    Args:
        settings: what the role tells.
        place: where the model lies.
        model: the model.
        version: which version.
        registry: where it comes from.

    Raises:
        ModelError: it cannot be served, for a reason.
    """
    name = model.build(version)
    folder = place.build(name)
    done = folder / "built.json"
    if done.exists():
        return
    place.drop(name)
    try:
        plan = fetch(settings, folder / "model", model, version, registry)
        make_environment(Confined(settings, place, folder), model, plan)
        write(done, json.dumps(plan))
    except BaseException:
        place.drop(name)
        raise


def fetch(settings: Settings, target: Path, model: Model, version: str, registry: Registry) -> dict[str, Any]:
    """Download the version's files, and return what it was logged with.

    Raises:
        ModelError: they did not come, or are of no model that can be served.
    """
    python = Path(settings.releases) / registry.serving["version"] / "bin" / "python"
    argv = [
        *(python, "-B", PROGRAMS / "fetch.py", "--url", registry.url, "--username", registry.admin),
        *("--name", model.name, "--version", version, "--target", target),
    ]
    what, password = "its files cannot be downloaded", registry.password()
    said = command(argv, what, words=password, timeout_s=settings.build_timeout_s, lines=1)
    plan: dict[str, Any] = json.loads(said.splitlines()[-1])
    if "refused" in plan:
        raise ModelError(plan["refused"])
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return plan


def make_environment(confined: Confined, model: Model, plan: dict[str, Any]) -> None:
    """Build the environment that a model was logged with, and load the model there.

    Raises:
        ModelError: it cannot be built, or the model not be loaded in it.
    """
    folder, uv, user = confined.folder, Path(confined.settings.uv), confined.settings.user
    environment, requirements = folder / "env", folder / "requirements.txt"
    python = environment / "bin" / "python"
    for path in (environment, confined.place.cache):
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
        shutil.chown(path, user, user)
    write(requirements, "\n".join(plan["requirements"]) + "\n")
    requirements.chmod(0o644)
    make_venv(confined, model.python or plan["python"], plan["python"])
    confined.run(
        *(uv, "pip", "install", "--quiet", "--python", python, "--requirements", requirements),
        what="the packages that it was logged with cannot be installed",
        memory_mib=INSTALL_MIB,
        lines=12,
    )
    what = f"it cannot be loaded with {model.memory_mib} MiB of memory"
    confined.run(*(python, "-c", LOAD, folder / "model"), what=what, memory_mib=model.memory_mib)


def make_venv(confined: Confined, minor: str, logged: str) -> None:
    """Make an empty environment on a Python that the host has.

    Args:
        confined: where it is made.
        minor: the minor version of Python.
        logged: that of the Python that the model was logged with.

    Raises:
        ModelError: there is no such Python, or no environment can be made.
    """
    argv = (confined.settings.uv, "venv", "--quiet", "--allow-existing", "--python", minor)
    what = "its environment cannot be made"
    try:
        confined.run(*argv, confined.folder / "env", what=what, memory_mib=INSTALL_MIB, lines=12)
    except ModelError as error:
        # What uv says of it (crates/uv-python/src/discovery.rs).
        if "No interpreter found" not in str(error):
            raise
        here = ".".join(platform.python_version_tuple()[:2])
        raise ModelError(
            f"it was logged with Python {logged}, and there is no Python {minor} on this host, which has "
            f'{here}: install it, or say python: "{here}" in the model\'s entry to build it on that'
        ) from error
