"""Action plugin `flowstead_download`: looks whether the file is as it was fetched, before a module is sent.

The module of the same name, which has the documentation, fetches it.
"""

from __future__ import annotations

import shlex
from typing import Any

from ansible.plugins.action import ActionBase

OPTIONS: dict[str, dict[str, Any]] = {
    "url": {"type": "str", "required": True},
    "path": {"type": "str", "required": True},
    "refresh": {"type": "bool", "default": False},
}
# Mode and owner of a file as it was fetched
AS_FETCHED = "644 root root"


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """The task `flowstead_download`."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task.

        Args:
            tmp: unused; Ansible passes it.
            task_vars: the host's variables.

        Returns:
            The module's result.

        """
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(OPTIONS)
        if not args["refresh"] and self._is_as_fetched(args["path"]):
            return {"changed": False}
        result: dict[str, Any] = self._execute_module(module_args=args, task_vars=task_vars)
        return result

    def _is_as_fetched(self, path: str) -> bool:
        """Look at the file and what is remembered of it."""
        both = shlex.join([path, f"{path}.sha1"])
        command = f"stat --format='%a %U %G' {both} && sha1sum --check --status {shlex.quote(path)}.sha1"
        # With something to read it has no terminal, on which errors would stand among the answer
        said = self._low_level_execute_command(command, in_data=b"\n")
        return bool(said["rc"] == 0 and said["stdout"].splitlines() == [AS_FETCHED] * 2)
