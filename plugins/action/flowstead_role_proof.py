"""Action plugin `flowstead_role_proof`: tries on the host what its role may do in AWS and what it may not.

The module of the same name has the documentation.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

OPTIONS: dict[str, dict[str, Any]] = {
    "program": {"type": "str", "required": True},
    "arguments": {"type": "list", "elements": "str", "required": True},
}
# What a shell says where there is no such program (POSIX, "Exit Status for Commands")
NOT_FOUND = 127


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """The task `flowstead_role_proof`."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task.

        Args:
            tmp: unused; Ansible passes it.
            task_vars: the host's variables.

        Returns:
            The result, as the module's documentation has it.

        Raises:
            AnsibleActionFail: the role may not do what it must, or may do what it must not.

        """
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(OPTIONS)
        careful = ["--read-only"] if self._task.check_mode else []
        command = shlex.join([args["program"], *args["arguments"], *careful])
        # With something to read it has no terminal, on which its errors would stand among the answer
        said = self._low_level_execute_command(command, in_data=b"\n")
        if said["rc"] == NOT_FOUND and self._task.check_mode:
            return {"changed": False, "proofs": []}
        host = (task_vars or {}).get("inventory_hostname", "The host")
        return {"changed": False, "proofs": proofs(said, str(host))}


def proofs(said: dict[str, Any], host: str) -> list[dict[str, str]]:
    """Return what was tried.

    Args:
        said: status, output and error of the program.
        host: its name.

    Raises:
        AnsibleActionFail: something is not as it must be, or the program was interrupted.

    """
    try:
        tried: list[dict[str, str]] = json.loads(said["stdout"])["proofs"]
    except (ValueError, TypeError, KeyError) as error:
        raise AnsibleActionFail(
            f"{host}: what the instance's role may do could not be tried: {said['stderr'].strip()}"
        ) from error
    wrong = [
        f"Not so: {one['what']}. {one['detail'][:1].upper()}{one['detail'][1:]}."
        for one in tried
        if one["outcome"] == "failed"
    ]
    if wrong or said["rc"]:
        raise AnsibleActionFail("\n".join([f"{host}: the instance's role is not as it must be.", *wrong]))
    return tried
