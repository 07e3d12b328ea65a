"""A project's server on one's own machine: `fab serve-here`, with the deployment's database and bucket."""

from __future__ import annotations

import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import yaml
from deployed import Deployment, ask
from desk import Desk, free_port, own_directories
from pushing import CLIENT, REPOSITORY, Pushed
from upgrading import NEWEST, PROGRAM

from sandbox.real import images

pytestmark = pytest.mark.timeout(1200)

COUNT = "import mlflow; print(len(mlflow.search_runs(experiment_names=['container'])))"


@pytest.fixture(scope="module")
def told(pushed: Pushed, deployment: Deployment) -> Iterator[Deployment]:
    """The deployment, which has the repository that the image is in; the image is nowhere else."""
    config = deployment.clone / "deployment.yml"
    before = config.read_text(encoding="utf-8")
    wanted = yaml.safe_load(before) | {"images": {"repository": REPOSITORY}}
    config.write_text(yaml.safe_dump(wanted), encoding="utf-8")
    deployment.provision()
    pushed.podman("rmi", pushed.image)
    yield deployment
    config.write_text(before, encoding="utf-8")
    deployment.provision()


@pytest.fixture
def desk(pushed: Pushed, told: Deployment) -> Iterator[Desk]:
    made = Desk(told, pushed.environment)
    yield made
    made.clear_up()


@contextmanager
def held(deployment: Deployment) -> Iterator[None]:
    """Have the host's lock for the data, as a change has it."""
    unit = "flowstead-test-change"
    lock = "flock --exclusive --nonblock /run/mlflow-change/guests sleep 300"
    deployment.host(f"systemd-run --quiet --collect --unit={unit} {lock}")
    try:
        yield
    finally:
        deployment.host(f"systemctl stop {unit}")


def test_two_at_once_have_the_runs_of_the_server(
    desk: Desk, pushed: Pushed, client_environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    first = desk.start(free_port())
    with capsys.disabled():
        print(f"\nserve-here, from nothing to the first answer: {time.monotonic() - began:.0f} s")
    began = time.monotonic()
    second = desk.start(free_port())
    with capsys.disabled():
        print(f"serve-here, the image is there: {time.monotonic() - began:.0f} s")
    assert first.client(CLIENT).split("\n")[-3:-1] == ["0.5", "logged in a container"]
    assert second.client(COUNT) == first.client(COUNT)
    # The host's server has it too, and its artifact is in the bucket.
    status, body = ask(
        client_environment, "/api/2.0/mlflow/experiments/get-by-name?experiment_name=container"
    )
    assert status == 200
    number = re.search(rb'"experiment_id":\s*"(\d+)"', body)
    assert number
    bucket = desk.deployment.provisioned["bucket"]
    listed = desk.deployment.sandbox.client("s3").list_objects_v2(Bucket=bucket, Prefix="artifacts/")
    keys = [one["Key"] for one in listed["Contents"]]
    assert [one for one in keys if one.startswith(f"artifacts/{number[1].decode()}/") and "note.txt" in one]
    assert first.secrets_shown() == []
    # Nobody changes the data meanwhile: what is written here would be lost.
    restore = f"{PROGRAM} restore of-yesterday {NEWEST}"
    refused = desk.deployment.host(restore, check=False)
    assert "Servers of `fab serve-here` use these databases: " in refused
    assert all(f"port {one.port}" in refused for one in (first, second))
    assert (first.end(), second.end(signal.SIGTERM)) == (0, 0)
    # Nor does a server begin here while the data are changed there.
    with held(desk.deployment):
        assert "The host is changing the project's data" in desk.refused(first.port)
    assert "Servers of" not in desk.deployment.host(restore, check=False)
    names = pushed.podman("ps", "--all", "--format", "{{.Names}}").split()
    assert {first.container, second.container}.isdisjoint(names)
    assert own_directories() == []


def test_killed_it_begins_again_and_what_is_wrong_is_said(desk: Desk, pushed: Pushed) -> None:
    here = desk.start(free_port())
    assert "It runs already" in desk.refused(here.port)
    here.end(signal.SIGKILL)
    again = desk.start(here.port)
    assert int(again.client(COUNT)) >= 1
    again.end()
    # A reboot leaves the container and no directory; somebody else's container of that name stays.
    podman, image = pushed.podman, pushed.image
    asleep = ("--detach", "--name", here.container, "--entrypoint", "sleep")
    podman("run", *asleep, "--label", "flowstead.serve-here=yes", image, "600")
    desk.start(here.port).end()
    podman("run", *asleep, image, "600")
    assert f"The container {here.container} is none of fab serve-here's" in desk.refused(here.port)
    assert podman("inspect", "--format", "{{.State.Running}}", here.container) == "true"
    podman("rm", "--force", "--time", "0", here.container)
    with socket.create_server(("127.0.0.1", here.port)):
        assert f"Port {here.port} is taken on this machine" in desk.refused(here.port)
    assert "is no port" in desk.refused(0)
    said = desk.refused(here.port, f"--image={images.ensure('container-base')}")
    assert "servers of one database are of one release" in said
    assert "There is no project 'nobodys'" in desk.refused(here.port, "--project=nobodys")
    assert own_directories() == []
