"""One local AWS and one deployment for all end-to-end tests, made by the two commands as a user types them.

Both live in a copy of the project, so a sandbox or an inventory that a person is using is never touched.

FLOWSTEAD_TEST_KEEP=DIRECTORY keeps copy, AWS and deployment there for the next run, which is quick then.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from deployed import Deployment, Sandbox, copy_project, run
from networks import claimed
from pushing import pushed
from upgrading import Logging

from sandbox.real.site import Site
from sandbox.real.vpc import Vpc

__all__ = ["pushed"]

SANDBOX = "end-to-end"
EXAMPLES = ("log_a_run", "train_iris", "find_register_and_load", "compare_runs")


@pytest.fixture(scope="session")
def clone() -> Iterator[Path]:
    """A copy of the project; what was started in it ends with the tests, also when they are killed."""
    kept = os.environ.get("FLOWSTEAD_TEST_KEEP")
    if kept:
        copy_project(Path(kept))
        yield Path(kept)
        return
    directory = Path(tempfile.mkdtemp(prefix="flowstead-test-"))
    reaper = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("reaper.py")), str(directory)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    copy_project(directory)
    yield directory
    assert reaper.stdin
    reaper.stdin.close()
    reaper.wait(timeout=300)


@pytest.fixture(scope="session")
def sandbox(clone: Path) -> Sandbox:
    """A local AWS."""
    return Sandbox.up(clone, SANDBOX)


@dataclass(frozen=True)
class FirstRun:
    """The deployment, and what the two commands said and took the first time."""

    deployment: Deployment
    provision: str
    site: str
    provision_s: float
    site_s: float


@pytest.fixture(scope="session")
def first_run(sandbox: Sandbox, clone: Path) -> FirstRun:
    """`python provision.py && ansible-playbook site.yml` on an empty account, from a baked image.

    How a host comes about from nothing is seen by molecule's scenarios site and site_debian_12.
    """
    config = clone / "deployment.yml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("image: debian-13", "image: baked-debian-13"), encoding="utf-8")
    deployment = Deployment(sandbox, clone)
    deployment.provision("bake", "--unless-current")
    start = time.monotonic()
    provision = deployment.provision().stdout
    between = time.monotonic()
    site = deployment.playbook("site.yml").stdout
    return FirstRun(deployment, provision, site, between - start, time.monotonic() - between)


@pytest.fixture(scope="session")
def deployment(first_run: FirstRun) -> Deployment:
    """A deployment that serves."""
    return first_run.deployment


@pytest.fixture(scope="session")
def client_environment(deployment: Deployment) -> dict[str, str]:
    """The environment of an MLflow client."""
    return deployment.client_environment


@pytest.fixture(scope="session")
def example_output(deployment: Deployment, client_environment: dict[str, str]) -> dict[str, str]:
    """What the examples print, run one after the other as a data scientist would."""
    return {
        name: run("python", f"examples/{name}.py", cwd=deployment.clone, env=client_environment).stdout
        for name in EXAMPLES
    }


@pytest.fixture(scope="session")
def run_ids(example_output: dict[str, str]) -> dict[str, str]:
    """The run that each training example made."""
    found = {
        name: re.search(r"^Run:\s+([0-9a-f]{32})$", text, re.MULTILINE)
        for name, text in example_output.items()
    }
    return {name: match[1] for name, match in found.items() if match}


@pytest.fixture
def logging(deployment: Deployment, client_environment: dict[str, str], tmp_path: Path) -> Logging:
    """A client that can log without a pause."""
    return Logging(client_environment, tmp_path / "record.jsonl", tmp_path / "stop", deployment.clone)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """The network of a sandbox, without the sandbox."""
    with claimed("network", tmp_path / "state") as one:
        yield one


@pytest.fixture
def vpc(site: Site) -> Vpc:
    """A VPC in it."""
    made = Vpc(site, "vpc-1", "10.80.0.0/16")
    made.ensure()
    return made
