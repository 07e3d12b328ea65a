"""Locks: complete, hashed, and bound to no package index."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[3]
LOCKS = sorted((PROJECT / "roles" / "mlflow_release" / "files" / "locks").glob("*.txt"))


def pins(lock: Path) -> dict[str, list[str]]:
    """Return the versions of every package in a lock (a package may have one per Python)."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lock.read_text(), re.MULTILINE):
        found.setdefault(name, []).append(version)
    return found


def test_there_is_a_lock_for_the_default_release() -> None:
    defaults = yaml.safe_load((PROJECT / "roles" / "mlflow_release" / "defaults" / "main.yml").read_text())

    assert f"{defaults['mlflow_release_version']}.txt" in [lock.name for lock in LOCKS]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_package_is_pinned_with_hashes(lock: Path) -> None:
    text = re.sub(r"\\\n\s+", "", lock.read_text())
    requirements = [line for line in text.splitlines() if line and not line.startswith("#")]

    assert len(requirements) > 50
    for requirement in requirements:
        assert re.match(r"\S+==\S+ ", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_holds_the_release_its_driver_and_its_login(lock: Path) -> None:
    packages = pins(lock)

    assert packages["mlflow"] == [lock.stem]
    assert {"mlflow-skinny", "psycopg2-binary", "boto3", "flask-wtf"} <= set(packages)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_names_no_package_index(lock: Path) -> None:
    text = lock.read_text()

    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text


@pytest.mark.parametrize("arguments", [[], ["3.17"], ["latest"], ["3.17.2", "3.17.1"]])
def test_a_lock_is_made_of_exactly_one_release(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, PROJECT / "scripts" / "lock_mlflow.py", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "make lock MLFLOW=" in done.stderr
