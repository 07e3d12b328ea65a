"""A project's server on one's own machine: `fab serve-here`, with the deployment's database and bucket."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from deployed import BIN, Deployment, ask, run
from pushing import CLIENT, REPOSITORY, Pushed
from upgrading import NEWEST, PROGRAM

from sandbox.real import images

pytestmark = pytest.mark.timeout(1200)

LAST = "export MLFLOW_TRACKING_PASSWORD"
COUNT = "import mlflow; print(len(mlflow.search_runs(experiment_names=['container'])))"


@dataclass
class Here:
    """A server here, by what `fab serve-here` says."""

    deployment: Deployment
    environment: dict[str, str]
    port: int
    process: subprocess.Popen[str]
    said: str = ""

    @property
    def container(self) -> str:
        return f"flowstead-{self.deployment.provisioned['deployment']}-default-{self.port}"

    def client(self, program: str) -> str:
        """Run a client with the lines that the task has printed."""
        lines = "\n".join(line for line in self.said.splitlines() if line.startswith("export "))
        script = f"{lines}\nunset {' '.join(one for one in self.environment if one.startswith('AWS_'))}\n"
        # There is no gateway here: files come straight from the bucket, whose certificate a machine trusts.
        trust = {"REQUESTS_CA_BUNDLE": self.environment["AWS_CA_BUNDLE"]}
        own = {**self.environment, "PATH": f"{BIN}:/usr/bin:/bin", **trust}
        words = ("bash", "-euc", f'{script}exec python -c "$1"', "-", program)
        return run(*words, cwd=self.deployment.clone, env=own).stdout

    def end(self, by: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(by)
        return self.process.wait(timeout=120)


@dataclass
class Desk:
    """Somebody's own machine, with the image in the repository only."""

    pushed: Pushed
    deployment: Deployment
    begun: list[Here]

    def command(self, port: int, *words: str) -> list[str]:
        return [str(BIN / "fab"), "serve-here", f"--port={port}", *words]

    def start(self, port: int) -> Here:
        process = subprocess.Popen(
            self.command(port),
            cwd=self.deployment.clone,
            env=self.pushed.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        here = Here(self.deployment, self.pushed.environment, port, process)
        self.begun.append(here)
        assert process.stdout
        for line in process.stdout:
            here.said += line
            if line.startswith(LAST):
                return here
        raise AssertionError(here.said)

    def refused(self, port: int, *words: str) -> str:
        done = run(
            *self.command(port, *words), cwd=self.deployment.clone, env=self.pushed.environment, check=False
        )
        assert done.returncode != 0
        return " ".join((done.stdout + done.stderr).split())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


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
    made = Desk(pushed, told, [])
    yield made
    for here in made.begun:
        if here.process.poll() is None:
            here.end(signal.SIGKILL)
        pushed.podman("rm", "--force", "--ignore", "--time", "0", here.container)


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


def own_directories() -> list[str]:
    roots = [Path(os.environ.get("XDG_RUNTIME_DIR", "/dev/shm")), Path("/dev/shm")]  # noqa: S108 - where the task's are
    return [str(one) for root in roots for one in root.glob(f"flowstead-{os.getuid()}/*-default-*")]


def test_two_at_once_have_the_runs_of_the_server(
    desk: Desk, client_environment: dict[str, str], capsys: pytest.CaptureFixture[str]
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
    # No secret is where others see it.
    shown = desk.pushed.podman("inspect", first.container) + first.said
    process = desk.pushed.podman("inspect", "--format", "{{.State.Pid}}", first.container)
    for part in ("cmdline", "environ"):
        shown += Path(f"/proc/{first.process.pid}/{part}").read_text(errors="replace")
    shown += Path(f"/proc/{process}/cmdline").read_text(errors="replace")
    secrets = desk.deployment.sandbox.secrets()
    assert len(secrets) > 3
    assert [name for name, secret in secrets.items() if secret in shown] == []
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
    names = desk.pushed.podman("ps", "--all", "--format", "{{.Names}}").split()
    assert {first.container, second.container}.isdisjoint(names)
    assert own_directories() == []


def test_killed_it_begins_again_and_what_is_wrong_is_said(desk: Desk) -> None:
    here = desk.start(free_port())
    assert "It runs already" in desk.refused(here.port)
    here.end(signal.SIGKILL)
    again = desk.start(here.port)
    assert int(again.client(COUNT)) >= 1
    again.end()
    # A reboot leaves the container and no directory; somebody else's container of that name stays.
    podman, image = desk.pushed.podman, desk.pushed.image
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
