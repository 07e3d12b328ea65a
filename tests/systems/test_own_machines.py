"""A database, a bucket and images, and no server: each runs one on their own machine."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from counting import ONE_OF_EACH, things
from deployed import Deployment, Sandbox, assert_nothing_changes, run
from desk import Desk, free_port, own_directories
from pushing import CLIENT, tool_environment
from upgrading import NEWEST, OLDER_SCHEMA

from sandbox.real import images

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(1800)

NAME = "own-machines"
COUNT = "import mlflow; print(len(mlflow.search_runs(experiment_names=['container'])))"


def release(clone: Path, version: str) -> None:
    """Have the inventory ask for a release; an old one must be asked for twice."""
    path = clone / "inventory/group_vars/tracking_servers.yml"
    options = yaml.safe_load(path.read_text(encoding="utf-8"))
    options["mlflow_release_version"] = options["mlflow_release_insecure_version_accepted"] = version
    path.write_text(yaml.safe_dump(options), encoding="utf-8")


def configure(clone: Path, access_cidrs: object = "auto") -> None:
    """Have deployment.yml be the example, not protected, on a base that is on this machine."""
    wanted: dict[str, Any] = yaml.safe_load((clone / "examples/deployments/own_machines.yml").read_text())
    wanted["database"] |= {"deletion_protection": False, "access_cidrs": access_cidrs}
    wanted["images"]["base"] = images.ensure("container-base")
    (clone / "deployment.yml").write_text(yaml.safe_dump(wanted), encoding="utf-8")


@pytest.fixture(scope="module")
def deployment(sandbox: Sandbox, clone: Path) -> Deployment:
    """The example's deployment, after the two commands; an older release."""
    configure(clone)
    release(clone, OLDER_SCHEMA)
    made = Deployment(sandbox, clone)
    assert "then fab serve-here" in made.provision().stdout
    made.playbook("site.yml")
    return made


@pytest.fixture(scope="module")
def tools(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of somebody who has podman."""
    return deployment.environment | tool_environment(tmp_path_factory.mktemp("tools"))


@pytest.fixture
def desk(deployment: Deployment, tools: dict[str, str]) -> Iterator[Desk]:
    made = Desk(deployment, tools)
    yield made
    made.clear_up()


def push(deployment: Deployment, tools: dict[str, str]) -> None:
    """Build the image of the release that is asked for, and push it; it is nowhere else."""
    before = set(listed(deployment, tools))
    words = ("python", "provision.py", "image")
    assert "Pushed" in run(*words, cwd=deployment.clone, env=tools).stdout
    for image in set(listed(deployment, tools)) - before:
        run("podman", "rmi", "--force", image, cwd=deployment.clone, env=tools)


def listed(deployment: Deployment, tools: dict[str, str]) -> list[str]:
    """The images of MLflow's server on this machine."""
    form = ("--format", "{{.Repository}}:{{.Tag}}")
    names = run("podman", "images", *form, cwd=deployment.clone, env=tools).stdout.split()
    return [name for name in names if "mlflow:" in name]


def test_the_two_commands_again_change_nothing_and_there_is_no_host(deployment: Deployment) -> None:
    assert_nothing_changes(deployment)
    assert "changed=0" in deployment.playbook("site.yml", "--check").stdout
    assert (deployment.provisioned["server"], deployment.provisioned["url"]) == (None, "")
    assert deployment.instances() == []
    # Who is on another machine gets the files without changing anything.
    shutil.rmtree(deployment.clone / "inventory/group_vars/all")
    assert "wrote" in deployment.provision("inventory").stdout
    assert "Nothing to do" in deployment.provision("inventory").stdout
    assert deployment.provisioned["deployment"] == NAME


@pytest.mark.parametrize("words", [("fab", "status"), ("fab", "user.add", "ada"), ("fab", "backups")])
def test_what_needs_a_server_says_so(deployment: Deployment, words: tuple[str, ...]) -> None:
    done = run(*words, cwd=deployment.clone, env=deployment.environment, check=False)
    assert done.returncode != 0
    assert "own-machines has no server (server.count is 0)" in done.stdout + done.stderr
    done = deployment.playbook("playbooks/back_up.yml", check=False)
    assert done.returncode != 0
    assert "This deployment has no server (server.count is 0)" in " ".join(done.stdout.split())
    done = deployment.provision("client", check=False)
    assert done.returncode == 2
    assert "fab serve-here prints what a client needs" in done.stderr


def test_two_projects_are_served_here_and_see_nothing_of_each_other(
    deployment: Deployment, tools: dict[str, str], desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"The repository {NAME}/mlflow has no image of MLflow {OLDER_SCHEMA}" in desk.refused(free_port())
    push(deployment, tools)
    began = time.monotonic()
    default = desk.start(free_port())
    with capsys.disabled():
        print(f"\nserve-here, empty databases, nothing here yet: {time.monotonic() - began:.0f} s")
    churn = desk.start(free_port(), project="churn")
    began = time.monotonic()
    second = desk.start(free_port())
    assert "The databases of default are of" in default.said
    assert "The databases of default are of" not in second.said
    with capsys.disabled():
        print(f"serve-here, the image is there: {time.monotonic() - began:.0f} s")
    assert default.client(CLIENT).split("\n")[-3:-1] == ["0.5", "logged in a container"]
    assert second.client(COUNT) == "1\n"
    assert churn.client(COUNT) == "0\n"
    keys = deployment.sandbox.client("s3").list_objects_v2(Bucket=deployment.provisioned["bucket"])
    assert [
        one["Key"]
        for one in keys["Contents"]
        if one["Key"].startswith("artifacts/") and "note.txt" in one["Key"]
    ]
    assert default.secrets_shown() == []


def test_a_newer_release_migrates_when_it_is_told_and_nobody_serves(
    deployment: Deployment, tools: dict[str, str], desk: Desk
) -> None:
    older = desk.start(free_port())
    release(deployment.clone, NEWEST)
    deployment.playbook("site.yml")
    push(deployment, tools)
    port = free_port()
    assert "fab serve-here --migrate brings them to it" in desk.refused(port)
    assert "are in use, from" in desk.refused(port, "--migrate")
    assert older.client(COUNT) == "1\n"
    older.end()
    newer = desk.start(port, "--migrate")
    assert "Snapshot: flowstead-own-machines-aurora-before-3-17-2-" in newer.said
    assert newer.client(COUNT) == "1\n"
    # The other project is of the older release still, and its turn comes when somebody says so.
    assert "fab serve-here --migrate brings them to it" in desk.refused(free_port(), "--project=churn")
    release(deployment.clone, OLDER_SCHEMA)
    deployment.playbook("site.yml")
    assert f"are of a newer release than MLflow {OLDER_SCHEMA}" in desk.refused(free_port())
    release(deployment.clone, NEWEST)
    deployment.playbook("site.yml")


def test_who_is_in_none_of_the_networks_does_not_get_in(deployment: Deployment, desk: Desk) -> None:
    configure(deployment.clone, access_cidrs=["203.0.113.0/24"])
    deployment.provision()
    assert "database.access_cidrs" in desk.refused(free_port())
    configure(deployment.clone)
    deployment.provision()
    assert desk.start(free_port()).client(COUNT) == "1\n"


def test_destroy_leaves_nothing_but_last_snapshots(deployment: Deployment) -> None:
    assert own_directories() == []
    deployment.provision("destroy", "--yes", "--delete-data")
    assert things(deployment.sandbox, NAME) == dict.fromkeys(ONE_OF_EACH, 0)
    assert not (deployment.clone / "inventory/serve_here").exists()
