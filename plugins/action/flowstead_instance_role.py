"""Action plugin `flowstead_instance_role`: sees that an EC2 instance has the role that it must have.

The module of the same name has the documentation.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

OPTIONS: dict[str, dict[str, Any]] = {
    "expected": {"type": "str", "required": True},
    "program": {"type": "str", "required": True},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """The task `flowstead_instance_role`."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task.

        Args:
            tmp: unused; Ansible passes it.
            task_vars: the host's variables.

        Returns:
            The result: nothing changes.

        Raises:
            AnsibleActionFail: the host has another role, none, or no metadata service.

        """
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(OPTIONS)
        variables = task_vars or {}
        known = variables.get("ansible_facts", {}).get("discovered_interpreter_python")
        given = str(self._templar.template(variables.get("ansible_python_interpreter", "")))
        python = known or (given if given.startswith("/") else "/usr/bin/python3")
        found = self._find_needle("files", args["program"])
        # Read by the interpreter, the program leaves the host no terminal, on which sudo's words would stand
        # among the answer
        said = self._low_level_execute_command(f"{python} -I -", in_data=Path(found).read_bytes())
        wrong = complaint(said, args["expected"])
        if wrong:
            raise AnsibleActionFail(f"{variables.get('inventory_hostname', 'The host')}{wrong}")
        return {"changed": False}


def complaint(said: dict[str, Any], expected: str) -> str:
    """Return what is wrong with a host's answer, as the rest of a sentence; empty if nothing is.

    Args:
        said: status, output and error of the program that asked.
        expected: name of the role.

    """
    role = said["stdout"].strip()
    if said["rc"]:
        why = said["stderr"].strip().splitlines()[-1:] or ["the metadata service could not be asked"]
        hosts = "Flowstead's hosts are EC2 instances with the instance metadata service enabled."
        return f": {why[0]}. {hosts}"
    if not role:
        return (
            " has no instance profile, so nothing on it can reach the bucket or the secrets. Run "
            f"provision.py, which attaches the profile of the role {expected}, then site.yml again."
        )
    if role != expected:
        return (
            f" has the role {role} instead of {expected}. Run provision.py, which attaches the right "
            "profile, then site.yml again."
        )
    return ""
