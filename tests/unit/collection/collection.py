"""The roles as a collection: built from the project, installed into an empty directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent
ROLES = (
    "host_baseline",
    "python",
    "iam_credentials",
    "mlflow_release",
    "database_access",
    "data_volume",
    "mlflow_server",
    "mlflow_data",
    "gateway",
    "model_server",
)


def environment(directory: Path) -> dict[str, str]:
    """Give the environment of a machine that has Ansible and no project of ours.

    Args:
        directory: where Ansible keeps what it writes.

    """
    foreign = ("ANSIBLE_", "AWS_", "PYTEST_", "FLOWSTEAD_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "ANSIBLE_HOME": str(directory / "home"),
        "ANSIBLE_COLLECTIONS_PATH": str(directory / "collections"),
        "ANSIBLE_NOCOLOR": "1",
    }


def run(directory: Path, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command in a directory that is not the project's."""
    done = subprocess.run(
        command, cwd=directory, env=environment(directory), capture_output=True, text=True, check=False
    )
    assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done


def build(directory: Path) -> Path:
    """Build the collection.

    Args:
        directory: an empty one; the archive lies there afterwards.

    Returns:
        The archive.

    """
    run(directory, "ansible-galaxy", "collection", "build", str(PROJECT), "--output-path", str(directory))
    (archive,) = directory.glob("flowstead-mlflow-*.tar.gz")
    return archive


def install(archive: Path, directory: Path) -> Path:
    """Install the collection without a network.

    Args:
        archive: what was built.
        directory: an empty one.

    Returns:
        Where the collection's roles are.

    """
    target = directory / "collections"
    run(directory, "ansible-galaxy", "collection", "install", "--offline", "-p", str(target), str(archive))
    archive.unlink()
    return target / "ansible_collections" / "flowstead" / "mlflow" / "roles"
