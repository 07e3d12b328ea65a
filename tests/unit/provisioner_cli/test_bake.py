"""A bake ends with an image and without its host."""

import json
import os
import select
import signal
import stat
import subprocess
import sys
import threading
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from moto.ec2.models import ec2_backends

from provisioner import bake, code, playbook
from provisioner.errors import FlowsteadError
from provisioner.session import PROJECT
from tests.unit.provisioner.moto_account import REGION
from tests.unit.provisioner_cli.oven import Oven, tags


def test_a_bake_leaves_a_tagged_image_and_nothing_else(oven: Oven) -> None:
    result = oven.bake()
    (image,) = oven.images()
    assert image["ImageId"] == result.image_id
    assert image["Name"] == result.name
    found = tags(image["Tags"])
    assert found == {
        "cost-centre": "4711",
        "Name": result.name,
        "flowstead:system": "debian-13",
        "flowstead:base-image": "ami-00000000000000002",
        "flowstead:code": code.current(PROJECT),
        "flowstead:releases": "3.17.2 3.16.1",
        "flowstead:packages": "2026-11-25",
    }
    snapshot_id = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    (snapshot,) = oven.account.call("ec2", "describe_snapshots", SnapshotIds=[snapshot_id])["Snapshots"]
    assert tags(snapshot["Tags"]) == found
    assert oven.left() == []
    assert oven.files() == {"lock"}


def test_the_host_has_no_rights_and_ends_itself(oven: Oven) -> None:
    seen: dict[str, Any] = {}

    def look() -> None:
        (host,) = oven.hosts()
        attribute = oven.account.call(
            "ec2",
            "describe_instance_attribute",
            InstanceId=host["InstanceId"],
            Attribute="instanceInitiatedShutdownBehavior",
        )
        groups = oven.account.call(
            "ec2", "describe_security_groups", GroupIds=[one["GroupId"] for one in host["SecurityGroups"]]
        )["SecurityGroups"]
        seen.update(
            host=host, ports=[rule["FromPort"] for group in groups for rule in group["IpPermissions"]]
        )
        seen["shutdown"] = attribute["InstanceInitiatedShutdownBehavior"]["Value"]

    oven.during = look
    oven.bake()
    assert "IamInstanceProfile" not in seen["host"]
    assert seen["ports"] == [22]
    assert seen["shutdown"] == "terminate"
    others = ("DB", "Bucket", "Secret", "Role", "Profile")
    assert not [name for name in oven.account.calls if any(other in name for other in others)]


def test_the_playbook_gets_the_host_and_the_users_choices(oven: Oven) -> None:
    chosen = oven.machine.inventory / "group_vars" / "tracking_servers.yml"
    chosen.parent.mkdir(parents=True)
    chosen.write_text("mlflow_release_version: 3.17.2\n")
    seen: dict[str, Any] = {}

    def look() -> None:
        directory = Path(oven.plays[0][1])
        seen["hosts"] = json.loads(
            subprocess.run(
                [Path(sys.executable).with_name("ansible-inventory"), "-i", directory, "--list"],
                capture_output=True,
                check=True,
                cwd=PROJECT,
            ).stdout
        )
        seen["mode"] = stat.S_IMODE(directory.parent.stat().st_mode)
        seen["key"] = stat.S_IMODE((directory.parent / "bake").stat().st_mode)

    oven.during = look
    oven.bake("one=1", "@two.yml")
    (host,) = oven.met
    (arguments,) = oven.plays
    assert arguments[2] == str(PROJECT / "playbooks" / "bake_image.yml")
    assert arguments[5:] == ["-e", "one=1", "-e", "@two.yml"]
    assert seen["hosts"]["tracking_servers"]["hosts"] == [host.instance_id]
    values = seen["hosts"]["_meta"]["hostvars"][host.instance_id]
    assert values["mlflow_release_version"] == "3.17.2"
    assert values["ansible_host"] == host.address
    assert values["ansible_user"] == "admin"
    assert values["ansible_ssh_private_key_file"] == str(host.private_key)
    assert "StrictHostKeyChecking=yes" in values["ansible_ssh_common_args"]
    assert (seen["mode"], seen["key"]) == (0o700, 0o600)


@pytest.mark.parametrize("report", [None, [], {"releases": ["3.17.2"]}])
def test_a_playbook_that_does_not_report_bakes_nothing(oven: Oven, report: object) -> None:
    oven.report = report
    with pytest.raises(FlowsteadError, match="did not say"):
        oven.bake()
    assert oven.images() == []
    assert oven.left() == []


def test_a_playbook_that_fails_bakes_nothing(oven: Oven) -> None:
    oven.status = 2
    with pytest.raises(FlowsteadError, match="ansible-playbook ended with 2"):
        oven.bake()
    assert oven.images() == []
    assert oven.left() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_stops_it_and_the_host_goes(oven: Oven, number: int) -> None:
    before = signal.getsignal(number)
    oven.during = lambda: os.kill(os.getpid(), number)
    with pytest.raises(KeyboardInterrupt, match="the temporary host is removed"):
        oven.bake()
    assert oven.images() == []
    assert oven.left() == []
    assert signal.getsignal(number) == before


def test_an_interrupt_waits_for_what_has_begun(oven: Oven) -> None:
    """An address that is being taken when the interrupt comes is given back too."""
    removed = threading.Event()
    takers: list[threading.Thread] = []

    def stop(moment: str, name: str) -> None:
        if (moment, name) == ("before", "AllocateAddress"):
            takers.append(threading.current_thread())
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
            # Only who does not wait removes everything else meanwhile.
            removed.wait(1)
        elif (moment, name) == ("after", "DeleteKeyPair"):
            removed.set()

    oven.account.hooks.append(stop)
    with pytest.raises(KeyboardInterrupt):
        oven.bake()
    (taker,) = takers
    taker.join()
    assert oven.account.calls["AllocateAddress"] == 1
    assert oven.left() == []


def test_no_image_to_start_from_is_a_mistake_in_the_file(oven: Oven) -> None:
    oven.machine.configure("server: {image: baked-amazon-linux-2023}\n")
    with pytest.raises(FlowsteadError, match=r"deployment.yml:2: server.image: no image named al2023-ami"):
        oven.bake()
    assert oven.left() == []
    assert "bake" not in oven.files()


def test_the_command_says_what_to_write(oven: Oven, monkeypatch: pytest.MonkeyPatch) -> None:
    made = oven.hands
    monkeypatch.setattr(bake, "Hands", lambda **_: made)
    result = oven.machine.run("bake", "-e", "one=1")
    assert result.code == 0, result.err
    (image,) = oven.images()
    assert result.out.startswith(
        f"Baked: {image['ImageId']}, {image['Name']}, 15 GiB, MLflow 3.17.2, 3.16.1."
    )
    assert "server.image: baked-debian-13" in result.out
    assert "one=1" in oven.plays[0]
    oven.account.call("ec2", "deregister_image", ImageId=image["ImageId"])
    oven.machine.configure("server: {image: baked-debian-13}\n")
    again = oven.machine.run("bake", "--json")
    assert again.code == 0, again.err
    assert again.data["image_id"] == oven.images()[0]["ImageId"]
    assert again.data["releases"] == ["3.17.2", "3.16.1"]


def test_a_signal_ends_the_command_with_a_sentence(oven: Oven, monkeypatch: pytest.MonkeyPatch) -> None:
    made = oven.hands
    monkeypatch.setattr(bake, "Hands", lambda **_: made)
    oven.during = lambda: os.kill(os.getpid(), signal.SIGTERM)
    result = oven.machine.run("bake")
    assert result.code == 130
    assert result.err.endswith("error: Stopped; the temporary host is removed.\n")


def test_no_ansible_is_a_sentence(oven: Oven, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    result = oven.machine.run("bake")
    assert result.code == 1
    assert "ansible-playbook is neither next to this Python nor on PATH" in result.err
    assert sum(oven.account.calls.values()) == 0


def program(directory: Path, text: str) -> Path:
    path = directory / "ansible-playbook"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_playbook_speaks_on_standard_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    runner = playbook.Runner(program(tmp_path, 'echo "$ANSIBLE_CONFIG $*"; exit 3'))
    assert runner.run(["-i", "x y"]) == 3
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == f"{PROJECT / 'ansible.cfg'} -i x y\n"


def test_an_interrupted_playbook_ends_with_its_workers(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker holds the pipe open for as long as it lives."""
    del capfd
    pipe, wait = tmp_path / "pipe", subprocess.Popen.wait
    os.mkfifo(pipe)
    runner = playbook.Runner(program(tmp_path, f"exec >{pipe}; (echo begun; exec sleep 1000) & wait"))
    workers: list[FileIO] = []

    def interrupted(process: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        if not workers:
            workers.append(FileIO(pipe))
            assert workers[0].readline() == b"begun\n"
            os.kill(os.getpid(), signal.SIGINT)
        return wait(process, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        runner.run([])
    with workers[0] as worker:
        assert select.select([worker], [], [], 60)[0], "a worker lives on"
        assert worker.read() == b""


def test_ec2s_reason_for_a_failed_image_is_told_and_the_host_is_removed(oven: Oven) -> None:
    def fail(moment: str, name: str) -> None:
        if (moment, name) == ("after", "CreateImage"):
            for image in ec2_backends["123456789012"][REGION].amis.values():
                if image.name.startswith("flowstead-"):
                    image.state = "failed"
                    image.state_reason = {"Code": "Client.InternalError", "Message": "no key for the volume"}

    oven.account.hooks.append(fail)
    with pytest.raises(FlowsteadError, match="no key for the volume"):
        oven.bake()
    oven.account.hooks.clear()
    assert oven.left() == []
