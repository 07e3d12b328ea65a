"""Action plugin `flowstead_environment`: sends the lock to the host only where it has to be installed.

The module of the same name, which has the documentation, looks and builds there.
"""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

# How long the package manager may be busy with something else
LOCK_TIMEOUT_S = 300


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """The task `flowstead_environment`."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task.

        Args:
            tmp: unused; Ansible passes it.
            task_vars: the host's variables.

        Returns:
            The module's result.

        Raises:
            AnsibleActionFail: no lock is named, or it is missing. Nothing has been sent.

        """
        super().run(tmp, task_vars)
        args = dict(self._task.args)
        if not args.get("lock_file"):
            raise AnsibleActionFail("lock_file is missing: name the lock, a file on this machine.")
        found = self._find_needle("files", args.pop("lock_file"))
        packages = args.pop("packages", [])
        lock = Path(self._loader.get_real_file(found)).read_bytes()
        args["checksum"] = hashlib.sha1(lock, usedforsecurity=False).hexdigest()
        if self._looks_complete(args) and (self._task.check_mode or not args.get("check_again")):
            return {"changed": False}
        result: dict[str, Any] = self._execute_module(module_args=args, task_vars=task_vars)
        if result.get("failed") or result.get("is_complete", False):
            return result
        installed = self._install(packages, task_vars) if packages else {}
        if installed.get("failed") or self._task.check_mode:
            return result | installed | {"changed": True}
        built: dict[str, Any] = self._execute_module(
            module_args=args | {"lock": lock.decode()}, task_vars=task_vars
        )
        return built

    def _looks_complete(self, args: dict[str, Any]) -> bool:
        """Look whether there is anything to do; a module would take three times as long to find that out."""
        works = shlex.join(args["works"])
        command = f"sha1sum {shlex.quote(args['stamp'])} && {works} >/dev/null"
        # With something to read it has no terminal, on which errors would stand among the answer
        said = self._low_level_execute_command(command, in_data=b"\n")
        return bool(said["rc"] == 0 and said["stdout"].split()[:1] == [args["checksum"]])

    def _install(self, packages: list[str], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Install packages of the system; a new host may be updating itself, which is waited for."""
        task = self._task.copy()
        task.args = {"name": packages, "state": "present", "lock_timeout": LOCK_TIMEOUT_S}
        package = self._shared_loader_obj.action_loader.get(
            "ansible.builtin.package",
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        result: dict[str, Any] = package.run(task_vars=task_vars)
        return result
