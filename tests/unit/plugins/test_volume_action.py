"""The task `flowstead_volume`: what it refuses and changes; where nothing differs, one look is all."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

AS_WANTED = {
    "device": "/dev/nvme1n1",
    "number": "259:1",
    "size": str(20 * 1024**3),
    "TYPE": "ext4",
    "UUID": "u-1",
    "PTTYPE": "",
    "block_count": str(20 * 1024**3 // 4096),
    "block_size": "4096",
    "stat": "750 mlflow mlflow",
    "first": "/data/lost+found",
    "mounted": "259:1",
    "fstab": "UUID=u-1 ext4 defaults,nofail",
}
BLANK = {
    **AS_WANTED,
    **dict.fromkeys(("TYPE", "UUID", "block_count", "block_size", "stat", "first", "mounted", "fstab"), ""),
}


@pytest.fixture(scope="module")
def volume(load: Any) -> Any:
    return load("flowstead_volume", "action")


@pytest.fixture
def wanted(volume: Any) -> Any:
    return volume.Wanted("vol-0ab1", "/dev/sdf", "/data", "defaults,nofail", "750 mlflow mlflow")


def lines(seen: dict[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in seen.items() if value)


def test_it_is_found_by_its_id_and_where_there_are_none_by_its_attachment(wanted: Any) -> None:
    assert wanted.names == [
        "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0ab1",
        "/dev/xvdf",
        "/dev/sdf",
    ]


def test_nothing_differs_where_all_is_as_wanted(volume: Any, wanted: Any) -> None:
    seen = volume.read(lines(AS_WANTED))
    volume.refuse(seen, wanted)
    assert volume.differences(seen, wanted) == {}


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        (BLANK, ["file system", "mount", "directory"]),
        ({"mounted": ""}, ["mount", "directory"]),
        ({"fstab": ""}, ["mount"]),
        ({"fstab": "UUID=u-1 ext4 defaults"}, ["mount"]),
        ({"stat": "755 root root"}, ["directory"]),
        ({"size": str(30 * 1024**3)}, ["size"]),
        ({"size": str(20 * 1024**3 + 4096)}, []),
    ],
    ids=["blank", "not mounted", "not in fstab", "other options", "another's", "grown", "less than a group"],
)
def test_what_differs_is_named_in_the_order_in_which_it_is_put_right(
    volume: Any, wanted: Any, changed: dict[str, str], differs: list[str]
) -> None:
    assert list(volume.differences({**AS_WANTED, **changed}, wanted)) == differs


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"device": ""}, r"vol-0ab1 is not attached to this host: .*/dev/xvdf.* Run: python provision\.py"),
        ({"TYPE": "LVM2_member"}, r"has LVM2_member, and no ext4: .* wipefs --all /dev/nvme1n1"),
        ({"TYPE": "xfs"}, "has xfs, and no ext4"),
        ({"TYPE": "", "PTTYPE": "gpt"}, r"has a partition table \(gpt\), and no ext4"),
        ({"mounted": "8:1"}, "/data has another file system mounted"),
        (
            {"mounted": "", "first": "/data/runs.db"},
            r"/data has files \(/data/runs\.db\) on the host's own disk",
        ),
    ],
)
def test_what_would_lose_or_hide_data_is_refused(
    volume: Any, wanted: Any, changed: dict[str, str], words: str
) -> None:
    with pytest.raises(volume.VolumeError, match=words):
        volume.refuse({**AS_WANTED, **changed}, wanted)


class Ansible:
    """What the task has of Ansible: a host that is looked at, and modules that are sent to it."""

    def __init__(self, volume: Any, looks: list[dict[str, str]], *, check_mode: bool = False) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.looks = looks
        self.commands: list[str] = []
        action = object.__new__(volume.ActionModule)
        action._task = SimpleNamespace(check_mode=check_mode)
        action._low_level_execute_command = self.execute
        action._execute_module = self.send
        options = volume.OPTIONS
        given = {"volume_id": "vol-0ab1", "device": "/dev/sdf", "path": "/data", "options": "defaults,nofail"}
        given |= {"owner": "mlflow", "group": "mlflow", "mode": "0750"}
        action.validate_argument_spec = lambda _: (None, {name: given[name] for name in options})
        self.action = action

    def execute(self, command: str, **_: Any) -> dict[str, Any]:
        self.commands.append(command)
        seen = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return {"rc": 0, "stdout": lines(seen), "stderr": ""}

    def send(self, module_name: str, module_args: dict[str, Any], **_: Any) -> dict[str, Any]:
        self.sent.append((module_name, module_args))
        return {"failed": module_args.get("fails", False)}


@pytest.fixture
def run(volume: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(volume.ActionBase, "run", lambda *_: {})

    def made(looks: list[dict[str, str]], *, check_mode: bool = False) -> tuple[dict[str, Any], Ansible]:
        ansible = Ansible(volume, looks, check_mode=check_mode)
        return ansible.action.run(task_vars={}), ansible

    return made


def test_a_run_with_nothing_to_do_asks_once_and_sends_nothing(run: Any) -> None:
    result, ansible = run([AS_WANTED])
    assert (result["changed"], len(ansible.commands), ansible.sent) == (False, 1, [])


def test_a_new_volume_is_made_ready_in_order(run: Any) -> None:
    made = {**BLANK, "TYPE": "ext4", "UUID": "u-1"}
    result, ansible = run([BLANK, BLANK, made])
    assert [name for name, _ in ansible.sent] == [
        "community.general.filesystem",
        "ansible.posix.mount",
        "ansible.builtin.systemd_service",
        "ansible.builtin.file",
    ]
    assert ansible.sent[0][1] == {"dev": "/dev/nvme1n1", "fstype": "ext4"}
    assert ansible.sent[1][1]["src"] == "UUID=u-1"
    assert ansible.sent[3][1] == {
        "state": "directory",
        "path": "/data",
        "owner": "mlflow",
        "group": "mlflow",
        "mode": "0750",
    }
    assert result["changed"]


def test_a_volume_that_has_grown_is_grown_into_and_nothing_else(run: Any) -> None:
    _, ansible = run([{**AS_WANTED, "size": str(40 * 1024**3)}])
    ((name, words),) = ansible.sent
    assert (name, words["resizefs"]) == ("community.general.filesystem", True)


def test_files_of_the_directorys_former_owner_go_with_it_and_nobody_elses(
    volume: Any, tmp_path: Path
) -> None:
    """A host's user of a name has another number than another host's."""
    if os.geteuid() != 0:
        pytest.skip("to give files away needs root")
    inside = tmp_path / "directory"
    inside.mkdir()
    owners = {"mine": 4242, "roots": 0, "others": 4243, "directory/mine": 4242}
    for name, uid in owners.items():
        (tmp_path / name).touch()
        os.chown(tmp_path / name, uid, uid)
    (tmp_path / "link").symlink_to("others")
    for name in ("link", ".", "directory"):
        os.chown(tmp_path / name, 4242, 4242, follow_symlinks=False)
    give = ["sh", "-c", volume.GIVE, "-", str(tmp_path), "daemon", "daemon"]
    subprocess.run(give, check=True)
    daemon = pwd.getpwnam("daemon").pw_uid
    names = (*owners, "link", "directory", ".")
    found = {name: (tmp_path / name).lstat().st_uid for name in names}
    given = dict.fromkeys(("mine", "directory/mine", "link", "directory"), daemon)
    # The directory itself is a module's.
    assert found == {"roots": 0, "others": 4243, ".": 4242} | given
    os.chown(tmp_path, 0, 0)
    os.chown(tmp_path / "roots", 0, 0)
    subprocess.run(give, check=True)
    assert (tmp_path / "roots").stat().st_uid == 0


def test_files_are_given_away_before_the_directory(run: Any) -> None:
    _, ansible = run([{**AS_WANTED, "stat": "750 UNKNOWN UNKNOWN"}])
    assert "chown" in ansible.commands[-1]
    assert [name for name, _ in ansible.sent] == ["ansible.builtin.file"]


def test_check_mode_shows_what_would_change_and_sends_nothing(run: Any) -> None:
    result, ansible = run([BLANK], check_mode=True)
    assert (result["changed"], ansible.sent) == (True, [])
    assert "file system: none" in result["diff"]["before"]
    assert "file system: ext4" in result["diff"]["after"]


@pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root")
def test_the_look_tells_of_a_real_disk(volume: Any, tmp_path: Path) -> None:
    """A file with a file system stands for the disk; only a block device counts as one."""
    file = tmp_path / "disk"
    file.touch()
    os.truncate(file, 64 * 1024**2)

    def look(*names: str) -> dict[str, str]:
        command = ["sh", "-c", volume.LOOK, "-", str(tmp_path), *names]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        read: dict[str, str] = volume.read(done.stdout)
        return read

    assert look(str(file), "/dev/nothing")["device"] == ""
    plugged = subprocess.run(
        ["losetup", "--find", "--show", str(file)], capture_output=True, text=True, check=False
    )
    if plugged.returncode:
        pytest.skip(f"no loop device: {plugged.stderr}")
    device = plugged.stdout.strip()
    try:
        found = look("/dev/nothing", device)
        assert (found["device"], found["TYPE"], found["UUID"]) == (device, "", "")
        assert (found["size"], found["mounted"]) == (str(64 * 1024**2), "")
        assert found["first"] == str(file)
        assert found["stat"] == f"{tmp_path.stat().st_mode & 0o777:o} root root"
        subprocess.run(["mkfs.ext4", "-q", device], check=True)
        found = look(device)
        assert found["TYPE"] == "ext4"
        assert int(found["block_count"]) * int(found["block_size"]) == 64 * 1024**2
        number = Path(device).stat().st_rdev
        assert found["number"] == f"{os.major(number)}:{os.minor(number)}"
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
