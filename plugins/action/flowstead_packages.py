"""Action plugin `flowstead_packages`: asks which packages are missing.

The module of the same name has the documentation.
"""

from __future__ import annotations

import shlex
from typing import Any, Protocol

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

OPTIONS: dict[str, dict[str, Any]] = {"names": {"type": "list", "elements": "str", "required": True}}
# What a shell says where there is no such program (POSIX, "Exit Status for Commands"), and env as well
NOT_FOUND = 127
# Each prints a line of the state and the name for every package that it knows, and fails for the others
QUESTIONS = (
    ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\\n"],
    ["rpm", "--query", "--queryformat=installed %{NAME}\\n"],
)


class PackagesError(Exception):
    """What is wrong, as a sentence."""


class Runner(Protocol):
    """What runs commands on the host."""

    def run_command(self, args: list[str]) -> tuple[int, str, str]:
        """Run a command."""
        ...


def missing(runner: Runner, names: list[str]) -> list[str]:
    """Return the names of the packages that are not installed, in the order in which they were given.

    Args:
        runner: runs commands on the host.
        names: packages.

    Raises:
        PackagesError: the host has neither of the package managers.

    """
    for question in QUESTIONS:
        try:
            _, stdout, _ = runner.run_command(
                [*question, *names],
            )
        except OSError:
            continue
        installed = {line.split(" ", 1)[1] for line in stdout.splitlines() if line.startswith("installed ")}
        return [name for name in names if name not in installed]
    raise PackagesError("The host has neither dpkg-query nor rpm: it is not a system that Flowstead knows.")


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """The task `flowstead_packages`."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task.

        Args:
            tmp: unused; Ansible passes it.
            task_vars: the host's variables.

        Returns:
            The result, as the module's documentation has it.

        Raises:
            AnsibleActionFail: the host has no package manager that is known.

        """
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(OPTIONS)
        try:
            return {"changed": False, "missing": missing(self, args["names"])}
        except PackagesError as failed:
            raise AnsibleActionFail(str(failed)) from failed

    def run_command(
        self, args: list[str], *, environ_update: dict[str, str] | None = None
    ) -> tuple[int, str, str]:
        """Run a command on the host; a module would take three times as long.

        Raises:
            FileNotFoundError: the host has no such program.

        """
        variables = [f"{name}={value}" for name, value in (environ_update or {}).items()]
        # With something to read it has no terminal, on which its errors would stand among the answer
        said = self._low_level_execute_command(shlex.join(["env", *variables, *args]), in_data=b"\n")
        if said["rc"] == NOT_FOUND:
            raise FileNotFoundError(2, "No such file or directory", args[0])
        return said["rc"], said["stdout"], said["stderr"]
