"""`provision.py image`: what it refuses before it builds, and a tag that follows from what goes in."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from provisioner import container_image, playbook
from provisioner.container_image import Contents
from provisioner.container_tool import ContainerTool, Login
from provisioner.errors import FlowsteadError
from provisioner.session import PROJECT, Options, Session
from tests.unit.provisioner_cli.conftest import Machine


def program(directory: Path, name: str, *lines: str) -> None:
    """Write a program that stands for podman or docker where the real one cannot be made to fail."""
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is all of PATH."""
    directory = tmp_path / "programs"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    return directory


@pytest.mark.usefixtures("programs")
def test_without_podman_and_docker_it_says_so(machine: Machine) -> None:
    result = machine.run("image", "--no-push")
    assert (result.code, result.out) == (1, "")
    assert "Neither podman nor docker is on PATH." in result.err


def test_a_docker_without_its_daemon_is_named(machine: Machine, programs: Path) -> None:
    program(programs, "docker", "exit 1")
    result = machine.run("image", "--no-push")
    assert "docker cannot build here: `docker info` says why." in result.err


def test_a_docker_that_answers_is_taken_where_podman_does_not(machine: Machine, programs: Path) -> None:
    program(programs, "podman", "exit 125")
    program(programs, "docker", "exit 0")
    result = machine.run("image")
    assert "has no repository for images (images.repository is none)" in result.err


def test_without_a_repository_nothing_is_built(machine: Machine, programs: Path) -> None:
    program(programs, "podman", '[ "$1" = info ]')
    result = machine.run("image")
    assert result.code == 2
    assert "Set images.repository: auto and run python provision.py; or give --no-push." in result.err


def test_a_repository_that_is_not_there_yet_is_named(machine: Machine, programs: Path) -> None:
    program(programs, "podman", '[ "$1" = info ]')
    machine.configure("images: {repository: auto}\n")
    result = machine.run("image")
    assert result.code == 1
    assert "The image repository flowstead/mlflow is not there yet." in result.err
    assert "Run: python provision.py" in result.err


@pytest.fixture
def contents(tmp_path: Path) -> Contents:
    directory = tmp_path / "image"
    (directory / "app").mkdir(parents=True)
    (directory / "app" / "start.py").write_text("serve()\n")
    (directory / "lock.txt").write_text("mlflow==3.17.2\n")
    (directory / "mlflow.env").write_text("#\n# Settings of MLflow 3.17.2. Nothing here is secret.\n\nA=b\n")
    return Contents(directory, "python:3.13")


def test_the_tag_says_the_release_and_the_processor(contents: Contents) -> None:
    release, digest, machine = contents.tag.split("-")
    assert (release, len(digest)) == ("3.17.2", 12)
    assert machine in {"amd64", "arm64"} or machine == os.uname().machine


@pytest.mark.parametrize("changed", ["lock.txt", "app/start.py", "mlflow.env"])
def test_another_tag_is_another_image_and_the_same_tag_the_same(contents: Contents, changed: str) -> None:
    before = contents.tag
    assert Contents(contents.directory, contents.base).tag == before
    with (contents.directory / changed).open("a") as file:
        file.write("more\n")
    assert contents.tag != before


def test_another_base_is_another_image(contents: Contents) -> None:
    assert Contents(contents.directory, "python:3.14").tag != contents.tag


def test_a_file_of_another_name_is_another_image(contents: Contents) -> None:
    before = contents.tag
    (contents.directory / "app" / "start.py").rename(contents.directory / "app" / "begin.py")
    assert contents.tag != before


def test_the_gathered_files_are_the_hosts_own(tmp_path: Path, machine: Machine) -> None:
    """What a container has otherwise is little."""

    def play(arguments: Sequence[str]) -> int:
        own = os.environ | {"ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg")}
        return subprocess.run(
            [playbook.find(), *arguments], env=own, capture_output=True, check=False
        ).returncode

    hands = container_image.Hands(play, ContainerTool("/bin/false", is_docker=False))
    session = Session(Options(machine.directory / "deployment.yml", machine.inventory))
    found = container_image.gather(session, hands, tmp_path)
    files = {path.relative_to(found.directory).as_posix() for path in found.files()}
    assert {
        "Containerfile",
        "lock.txt",
        "mlflow.env",
        "basic_auth.ini",
        "app/flowstead_server/start.py",
    } <= files
    assert not [name for name in files if "__pycache__" in name or name == "pip.conf"]
    lock = PROJECT / "roles/mlflow_release/files/locks/3.17.2.txt"
    assert (found.directory / "lock.txt").read_bytes() == lock.read_bytes()
    settings = (found.directory / "mlflow.env").read_text()
    for line in ("MLFLOW_HOST=0.0.0.0", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false", "AWS_REGION=us-east-1"):
        assert line in settings.splitlines()
    assert found.release == "3.17.2"


def test_a_full_disk_is_told_with_what_to_do(tmp_path: Path) -> None:
    program(
        tmp_path / "programs",
        "podman",
        '[ "$1" != push ] || { echo "Error: writing blob: No space left on device" >&2; exit 125; }',
    )
    tool = ContainerTool(str(tmp_path / "programs" / "podman"), is_docker=False)
    login = Login("registry.example.com", "AWS", "secret-word", tmp_path)
    with pytest.raises(FlowsteadError, match=r"podman push ended with 125: .*No space left") as caught:
        tool.push("localhost/x:1", "registry.example.com/x:1", login)
    assert "Make room on this machine's disk" in caught.value.next_step


@pytest.mark.parametrize("is_docker", [False, True])
def test_the_password_is_in_no_command_line_and_in_no_file_of_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_docker: bool
) -> None:
    home, own = tmp_path / "home", tmp_path / "own"
    home.mkdir()
    own.mkdir()
    monkeypatch.setenv("HOME", str(home))
    record = tmp_path / "record"
    reads = '[ "$1" != login ] || cat >> "$0.stdin"'
    program(tmp_path / "programs", "tool", f'echo "$@ $DOCKER_CONFIG" >> {record}', reads)
    tool = ContainerTool(str(tmp_path / "programs" / "tool"), is_docker=is_docker)
    tool.push("here:1", "registry.example.com/x:1", Login("registry.example.com", "AWS", "secret-word", own))
    assert (tmp_path / "programs" / "tool.stdin").read_text() == "secret-word"
    said = record.read_text()
    assert "secret-word" not in said
    assert all(str(own) in line for line in said.splitlines() if line.startswith(("login", "push")))
    assert list(home.iterdir()) == []
