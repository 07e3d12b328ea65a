"""The task `flowstead_files`: it puts right what is wrong, all of it or nothing."""

from __future__ import annotations

import getpass
import grp
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[3]
OWNER, GROUP = getpass.getuser(), grp.getgrgid(os.getgid()).gr_name


@pytest.fixture(scope="module")
def files() -> Any:
    """The module, loaded by its file as Ansible does: its name is the action plugin's too."""
    spec = importlib.util.spec_from_file_location(
        "flowstead_files_module", PROJECT / "plugins/modules/flowstead_files.py"
    )
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


class Task:
    """One task on a host that is a directory of this machine."""

    def __init__(self, files: Any, base: Path) -> None:
        self.files = files
        self.base = base
        self.directories: list[str] = ["etc"]
        self.wanted: dict[str, tuple[str, str]] = {
            "etc/one.conf": ("one\n", ""),
            "etc/two.conf": ("two\n", ""),
        }

    def run(self, *, check: bool = False, owner: str = OWNER, mode: int = 0o640) -> dict[str, Any]:
        def run_command(command: str) -> tuple[int, str, str]:
            done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)  # noqa: S602 - as Ansible does
            return done.returncode, done.stdout, done.stderr

        module = SimpleNamespace(
            check_mode=check, tmpdir=str(self.base), run_command=run_command, selinux_enabled=lambda: False
        )
        result: dict[str, Any] = self.files.Host(module).converge(
            [self.base / name for name in self.directories],
            self.files.Attributes(0o750, owner, GROUP),
            [
                self.files.WantedFile(
                    self.base / name, content.encode(), self.files.Attributes(mode, owner, GROUP), validate
                )
                for name, (content, validate) in self.wanted.items()
            ],
        )
        return result

    def changed(self, **how: Any) -> list[str]:
        result = self.run(**how)
        names = [
            str(Path(path).relative_to(self.base))
            for path in result["changed_directories"] + result["changed_files"]
        ]
        assert result["changed"] == bool(names)
        return names

    def present(self) -> list[str]:
        return sorted(str(path.relative_to(self.base)) for path in self.base.rglob("*"))


@pytest.fixture
def task(files: Any, tmp_path: Path) -> Task:
    return Task(files, tmp_path)


def test_what_is_missing_is_made_and_a_second_run_changes_nothing(task: Task) -> None:
    task.directories = ["etc/deep/er", "etc"]
    assert task.changed() == ["etc/deep/er", "etc", "etc/one.conf", "etc/two.conf"]
    assert (task.base / "etc/one.conf").read_text() == "one\n"
    assert [
        oct((task.base / name).stat().st_mode & 0o777) for name in ("etc", "etc/deep", "etc/deep/er")
    ] == ["0o750"] * 3
    assert oct((task.base / "etc/one.conf").stat().st_mode & 0o777) == "0o640"
    assert task.changed() == []
    assert task.present() == ["etc", "etc/deep", "etc/deep/er", "etc/one.conf", "etc/two.conf"]


@pytest.mark.parametrize("what", ["content", "mode", "link"])
def test_only_what_was_spoilt_is_put_right(task: Task, what: str) -> None:
    task.run()
    spoilt = task.base / "etc/one.conf"
    if what == "content":
        spoilt.write_text("other\n")
    elif what == "mode":
        spoilt.chmod(0o600)
    else:
        (task.base / "elsewhere").write_text("other\n")
        spoilt.unlink()
        spoilt.symlink_to(task.base / "elsewhere")
    untouched = (task.base / "etc/two.conf").stat().st_ino
    assert task.changed(check=True) == ["etc/one.conf"]
    assert task.changed() == ["etc/one.conf"]
    assert not spoilt.is_symlink()
    assert spoilt.read_text() == "one\n"
    assert (task.base / "etc/two.conf").stat().st_ino == untouched
    if what == "link":
        assert (task.base / "elsewhere").read_text() == "other\n"


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
def test_owner_and_group_are_put_right(task: Task) -> None:
    task.run()
    os.chown(task.base / "etc", 65534, -1)
    os.chown(task.base / "etc/one.conf", 65534, -1)
    os.chown(task.base / "etc/two.conf", -1, 12345)
    assert task.changed() == ["etc", "etc/one.conf", "etc/two.conf"]
    assert {(found.st_uid, found.st_gid) for found in map(os.stat, task.base.rglob("*"))} == {
        (os.getuid(), os.getgid())
    }


def test_the_mode_of_a_directory_is_put_right_and_not_what_is_in_it(task: Task) -> None:
    task.run()
    (task.base / "etc").chmod(0o777)
    assert task.changed() == ["etc"]


def test_a_refused_file_stops_all_of_them(task: Task, files: Any) -> None:
    task.run()
    task.directories.append("new")
    task.wanted["etc/one.conf"] = ("changed\n", "grep -q changed %s")
    task.wanted["etc/two.conf"] = ("wrong\n", "grep -q right %s || { echo line 1: wrong >&2; exit 3; }")
    before = task.present()
    with pytest.raises(files.FilesError) as refused:
        task.run()
    for words in ("etc/two.conf", "grep -q right", "status 3", "line 1: wrong", "nothing has been changed"):
        assert words in str(refused.value)
    assert (task.base / "etc/one.conf").read_text() == "one\n"
    assert task.present() == before


def test_a_file_that_is_right_is_not_checked_again(task: Task) -> None:
    task.wanted = {"etc/one.conf": ("one\n", f"echo again >> {task.base}/checks")}
    task.run()
    task.run()
    assert (task.base / "checks").read_text() == "again\n"


def test_check_mode_on_a_new_host_says_all_and_does_nothing(task: Task) -> None:
    task.wanted["etc/one.conf"] = ("one\n", "validator-that-is-not-installed-yet %s")
    assert task.changed(check=True, owner="user-of-a-later-day") == ["etc", "etc/one.conf", "etc/two.conf"]
    assert task.present() == []


@pytest.mark.parametrize("what", ["user", "directory", "file in the way", "directory in the way"])
def test_what_stands_in_the_way_is_said_before_anything_changes(task: Task, files: Any, what: str) -> None:
    owner, words = OWNER, ""
    if what == "user":
        owner, words = "user-of-a-later-day", "user-of-a-later-day"
    elif what == "directory":
        task.wanted["var/three.conf"] = ("three\n", "")
        words = "var: name it in `directories`"
    elif what == "file in the way":
        (task.base / "etc").write_text("a file")
        words = "is not a directory"
    else:
        (task.base / "etc/two.conf").mkdir(parents=True)
        words = "is not a file"
    before = task.present()
    with pytest.raises(files.FilesError, match=words):
        task.run(owner=owner)
    assert task.present() == before


def test_each_difference_is_shown(task: Task) -> None:
    task.run()
    (task.base / "etc/one.conf").write_text("before\n")
    (task.base / "etc/two.conf").chmod(0o777)
    first, second = task.run()["diff"]
    assert (first["before"], first["after"]) == ("before\n", "one\n")
    assert first["before_header"].endswith("etc/one.conf")
    assert "0777" in second["before"]
    assert "0640" in second["after"]
    (task.base / "etc/one.conf").write_bytes(b"\xff")
    assert "not text" in task.run()["diff"][0]["before"]


PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
    word: spoken
    owned: {owner: "%(owner)s", group: "%(group)s"}
  tasks:
    - name: As Ansible's own modules write them
      block:
        - ansible.builtin.template: {src: a.j2, dest: "{{ playbook_dir }}/theirs/a", mode: "0600"}
          vars: {further: more}
        - ansible.builtin.copy: {src: b.bin, dest: "{{ playbook_dir }}/theirs/b", mode: "0600"}
    - name: All in one
      flowstead_files:
        directories: ["{{ playbook_dir }}/ours"]
        files:
          - path: "{{ playbook_dir }}/ours/a"
            template: a.j2
            variables: {further: more}
            mode: "0600"
            validate: grep -q spoken %%s
          - {path: "{{ playbook_dir }}/ours/b", source: b.bin}
          - {path: "{{ playbook_dir }}/ours/c", content: "{{ word }}\\n"}
        owner: "{{ owned.owner }}"
        group: "{{ owned.group }}"
      register: written
      notify: Say what was changed
    - name: A mode that is none
      flowstead_files:
        files: [{path: /nowhere/x, content: "", mode: 420}]
      ignore_errors: true
    - name: A tree
      flowstead_files:
        owner: %(owner)s
        group: %(group)s
        trees: [{path: "{{ playbook_dir }}/copied", source: tree}]
    - name: Two origins
      flowstead_files:
        files: [{path: /nowhere/x, content: "", source: b.bin}]
      ignore_errors: true
    - name: No template
      flowstead_files:
        files: [{path: /nowhere/x, template: none.j2}]
      ignore_errors: true
  handlers:
    - name: Say what was changed
      ansible.builtin.debug:
        msg: the handler ran
      when: (playbook_dir ~ '/ours/a') in written.changed_files
"""


def play(directory: Path, *options: str) -> tuple[str, dict[str, Any]]:
    """Run the play in a directory; all that it said, and the results of its tasks by their names."""
    done = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "ansible-playbook"), "--inventory", "localhost,"),
            *("-vvv", "--diff", *options, "play.yml"),
        ],
        cwd=directory,
        env=os.environ
        | {
            "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
            "ANSIBLE_INVENTORY_ENABLED": "host_list",
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            "ANSIBLE_LOCALHOST_WARNING": "false",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout[done.stdout.index("{\n") :])
    return done.stdout, {
        task["task"]["name"]: task["hosts"]["localhost"] for task in said["plays"][0]["tasks"]
    }


@pytest.mark.slow
def test_a_play_writes_what_template_and_copy_would_write(tmp_path: Path) -> None:
    for name in ("templates", "files", "theirs"):
        (tmp_path / name).mkdir()
    (tmp_path / "templates/a.j2").write_text(
        "{{ ansible_managed | comment }}\n"
        "{% for one in [1] %}\n{{ one }} {{ word }} {{ further }}\n{% endfor %}\n"
        "{% include 'part.j2' %}\n"
    )
    (tmp_path / "templates/part.j2").write_text("a \\n part {{ {'x': [1, none]} | to_nice_json }}\n")
    (tmp_path / "files/b.bin").write_bytes(bytes(range(256)))
    (tmp_path / "files/tree/part/__pycache__").mkdir(parents=True)
    for name in ("one.py", "part/two.py", "part/__pycache__/two.pyc"):
        (tmp_path / "files/tree" / name).write_text(name)
    (tmp_path / "play.yml").write_text(PLAY % {"owner": OWNER, "group": GROUP})

    _, planned = play(tmp_path, "--check")
    assert planned["All in one"]["changed"]
    assert not (tmp_path / "ours").exists()

    said, first = play(tmp_path)
    for name in ("a", "b"):
        assert (tmp_path / "ours" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()
    assert (tmp_path / "ours/c").read_text() == "spoken\n"
    assert [Path(path).name for path in first["All in one"]["changed_files"]] == ["a", "b", "c"]
    assert first["All in one"]["changed_directories"] == [str(tmp_path / "ours")]
    assert first["Say what was changed"]["msg"] == "the handler ran"
    copied = [path.relative_to(tmp_path / "copied") for path in (tmp_path / "copied").rglob("*")]
    assert sorted(map(str, copied)) == ["one.py", "part", "part/two.py"]
    assert (tmp_path / "copied/part/two.py").read_text() == "part/two.py"
    assert "not a mode" in first["A mode that is none"]["msg"]
    assert "source and content" in first["Two origins"]["msg"]
    assert "none.j2" in first["No template"]["msg"]
    # What goes over to the host is nobody's reading
    assert "c3Bva2VuCg==" not in said

    _, second = play(tmp_path)
    assert not second["All in one"]["changed"]
    assert not second["A tree"]["changed"]
    assert "Say what was changed" not in second
