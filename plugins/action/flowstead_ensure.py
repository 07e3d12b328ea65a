"""Action plugin `flowstead_ensure`: runs a module unless a small command says that there is nothing to do.

The module of the same name has the documentation.
"""

from __future__ import annotations

import shlex
from typing import Any

from ansible.plugins.action import ActionBase

OPTIONS: dict[str, dict[str, Any]] = {
    "unless": {"type": "list", "elements": "str", "required": True},
    "module": {"type": "str", "required": True},
    "arguments": {"type": "dict", "required": True},
}
# What a shell says where there is no such program (POSIX, "Exit Status for Commands"), and env as well
NOT_FOUND = 127


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """The task `flowstead_ensure`."""

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task.

        Args:
            tmp: unused; Ansible passes it.
            task_vars: the host's variables.

        Returns:
            The module's result, or that nothing changes.

        """
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(OPTIONS)
        # With something to read it has no terminal
        said = self._low_level_execute_command(shlex.join(["env", *args["unless"]]), in_data=b"\n")
        if said["rc"] == 0:
            return {"changed": False}
        if said["rc"] == NOT_FOUND and self._task.check_mode:
            # The program is going to be installed, and what it is about is not there either.
            return {"changed": True}
        result: dict[str, Any] = self._execute_module(
            module_name=args["module"], module_args=args["arguments"], task_vars=task_vars
        )
        return result
