#!/usr/bin/python
"""Module `flowstead_environment`: the part of the task of that name which runs on the host."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: flowstead_environment
short_description: Make a virtual environment contain exactly what a lock names
description:
  - Looks whether the environment is complete and works, and builds it if not. Each hash is checked, and
    nothing is built from source.
  - An environment is complete when its stamp, which is written last, is a copy of the lock. What was
    interrupted is built again.
options:
  path:
    description: Directory of the virtual environment.
    type: path
    required: true
  lock_file:
    description: The lock, a file on the controller, looked for as M(ansible.builtin.copy) does.
    type: str
    required: true
  stamp:
    description: File inside the environment that is a copy of the lock when all is complete.
    type: path
    required: true
  python:
    description: Interpreter that the environment is made with.
    type: path
    required: true
  uv:
    description: The uv program that installs; empty means the environment's own pip.
    type: path
    default: ""
  reinstall:
    description: Whether uv installs again also what seems to be installed.
    type: bool
    default: false
  works:
    description: Command that must succeed in a complete environment; it runs each time, so it must be quick.
    type: list
    elements: str
    required: true
  check:
    description: Command that must succeed before the environment counts as complete.
    type: list
    elements: str
    default: []
  check_again:
    description: Whether it runs although the environment is complete.
    type: bool
    default: false
  compile:
    description: Command that compiles what the check has not.
    type: list
    elements: str
    default: []
  environment:
    description: Variables for O(check) and O(compile).
    type: dict
    default: {}
  install_environment:
    description: Variables for what installs.
    type: dict
    default: {}
  needs_mib:
    description: Space that must be free before it is built, in MiB.
    type: int
    default: 0
  advice:
    description: What to do when that is missing.
    type: str
    default: ""
  packages:
    description: Packages of the system that are installed first, where it has to be built.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: Builds nothing.
author:
  - The Flowstead authors
"""

EXAMPLES = r"""
- name: The tools are installed
  flowstead_environment:
    path: /opt/flowstead/tools
    lock_file: tools.txt
    stamp: /opt/flowstead/tools/lock.txt
    python: /usr/bin/python3
    uv: /opt/flowstead/uv/bin/uv
    works: [/opt/flowstead/tools/bin/python, -c, import botocore]
"""

RETURN = r"""#"""

MIB = 1024**2
# Of an installer's output the end is shown: there the reason stands
SHOWN_CHARACTERS = 3000


class EnvironmentNotBuiltError(Exception):
    """What is wrong, as a sentence."""


class Runner(Protocol):
    """What of AnsibleModule is needed."""

    check_mode: bool

    def run_command(
        self,
        args: list[str],
        *,
        data: str | None = None,
        environ_update: dict[str, str] | None = None,
        handle_exceptions: bool = True,
    ) -> tuple[int, str, str]:
        """Run a command."""
        ...


@dataclass(frozen=True)
class Environment:
    """A virtual environment as it should be.

    Args:
        path: its directory.
        stamp: what is a copy of the lock when all is complete.
        python: interpreter that it is made with.
        uv: what installs; empty for its own pip.
        reinstall: install again also what seems to be there.
        works: command that succeeds in a complete environment.
        check: command that must succeed before it counts as complete; may be empty.
        compile: command that compiles what the check has not; may be empty.
        variables: for both.
        install_variables: for what installs.
        needs_mib: space that must be free.
        advice: what to do when it is missing.

    """

    path: Path
    stamp: Path
    python: str
    uv: str
    works: list[str]
    reinstall: bool = False
    check: list[str] = field(default_factory=list)
    compile: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    install_variables: dict[str, str] = field(default_factory=dict)
    needs_mib: int = 0
    advice: str = ""

    def is_complete(self, runner: Runner, checksum: str) -> bool:
        """Tell whether it holds what a lock names, and works.

        Args:
            runner: what runs commands.
            checksum: SHA-1 of the lock.

        """
        try:
            stamp = self.stamp.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return False
        if hashlib.sha1(stamp, usedforsecurity=False).hexdigest() != checksum:
            return False
        try:
            return runner.run_command(self.works, handle_exceptions=False)[0] == 0
        except OSError:
            return False

    def build(self, runner: Runner, lock: str) -> None:
        """Build it, and say last that it is complete.

        Args:
            runner: what runs commands.
            lock: the lock's text.

        Raises:
            EnvironmentNotBuiltError: there is no room, or a command failed.

        """
        self.see_room()
        self.stamp.unlink(missing_ok=True)
        python = str(self.path / "bin" / "python")
        if self.uv:
            make = [self.uv, "venv", "--quiet", "--allow-existing", "--python", self.python, str(self.path)]
            again = ["--reinstall"] if self.reinstall else []
            install = [self.uv, "pip", "sync", "--quiet", "--require-hashes", "--no-build", *again]
            install += ["--python", python, "-"]
        else:
            make = [self.python, "-m", "venv", "--clear", str(self.path)]
            install = [str(self.path / "bin" / "pip"), "install", "--quiet", "--require-hashes", "--no-deps"]
            install += ["--only-binary=:all:", "--requirement=/dev/stdin"]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.run(runner, make, self.install_variables)
        self.run(runner, install, self.install_variables, lock)
        self.see_that_it_is_good(runner)
        if self.compile:
            self.run(runner, self.compile, self.variables)
        self.write_stamp(lock)

    def see_room(self) -> None:
        """See that there is room.

        Raises:
            EnvironmentNotBuiltError: there is not.

        """
        there = next(one for one in (self.path, *self.path.parents) if one.exists())
        free = os.statvfs(there)
        free_mib = free.f_bavail * free.f_frsize // MIB
        if free_mib < self.needs_mib:
            raise EnvironmentNotBuiltError(
                f"{self.path} takes up to {self.needs_mib} MiB, and {free_mib} are free there. {self.advice}"
            )

    def see_that_it_is_good(self, runner: Runner) -> None:
        """Run its check.

        Raises:
            EnvironmentNotBuiltError: it failed.

        """
        if self.check:
            self.run(runner, self.check, self.variables)

    def write_stamp(self, lock: str) -> None:
        """Say that it is complete; after a crash the stamp is whole or absent."""
        number, name = tempfile.mkstemp(dir=self.stamp.parent, prefix=f".{self.stamp.name}.")
        with os.fdopen(number, "w") as stream:
            stream.write(lock)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(self.stamp)

    def run(
        self, runner: Runner, command: list[str], variables: dict[str, str], words: str | None = None
    ) -> None:
        """Run a command.

        Raises:
            EnvironmentNotBuiltError: it failed; its last words are the reason.

        """
        try:
            status, stdout, stderr = runner.run_command(
                command, data=words, environ_update=variables, handle_exceptions=False
            )
        except OSError as error:
            status, stdout, stderr = 1, "", str(error)
        if status:
            why = "\n".join(filter(None, (stdout.strip(), stderr.strip())))[-SHOWN_CHARACTERS:]
            why = why or f"it ended with status {status}"
            shown = " ".join(command[:3])
            raise EnvironmentNotBuiltError(f"{self.path} is not complete: {shown} failed. {why}")


def main() -> None:
    """Run the task."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "stamp": {"type": "path", "required": True},
            "python": {"type": "path", "required": True},
            "uv": {"type": "path", "default": ""},
            "reinstall": {"type": "bool", "default": False},
            "works": {"type": "list", "elements": "str", "required": True},
            "check": {"type": "list", "elements": "str", "default": []},
            "check_again": {"type": "bool", "default": False},
            "compile": {"type": "list", "elements": "str", "default": []},
            "environment": {"type": "dict", "default": {}},
            "install_environment": {"type": "dict", "default": {}},
            "needs_mib": {"type": "int", "default": 0},
            "advice": {"type": "str", "default": ""},
            # From the action plugin; the lock itself only when it is needed, for it is long
            "checksum": {"type": "str", "required": True},
            "lock": {"type": "str"},
        },
        supports_check_mode=True,
    )
    given: dict[str, Any] = module.params
    wanted = Environment(
        path=Path(given["path"]),
        stamp=Path(given["stamp"]),
        python=given["python"],
        uv=given["uv"],
        works=given["works"],
        reinstall=given["reinstall"],
        check=given["check"],
        compile=given["compile"],
        variables=given["environment"],
        install_variables=given["install_environment"],
        needs_mib=given["needs_mib"],
        advice=given["advice"],
    )
    try:
        complete = given["lock"] is None and wanted.is_complete(module, given["checksum"])
        if given["lock"] is not None:
            wanted.build(module, given["lock"])
        elif complete and given["check_again"] and not module.check_mode:
            wanted.see_that_it_is_good(module)
    except EnvironmentNotBuiltError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=not complete, is_complete=complete)


if __name__ == "__main__":
    main()
