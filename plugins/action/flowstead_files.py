"""Action plugin `flowstead_files`: renders templates and reads files here, and sends all to the host.

The module of the same name, which has the documentation, brings them to their wanted state there.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import lookup_loader

FILE_OPTIONS: dict[str, dict[str, Any]] = {
    "path": {"type": "str", "required": True},
    "template": {"type": "str"},
    "variables": {"type": "dict", "default": {}},
    "source": {"type": "str"},
    "content": {"type": "str"},
    "mode": {"type": "str", "default": "0644"},
    "validate": {"type": "str", "default": ""},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "directories": {"type": "list", "elements": "str", "default": []},
    "directory_mode": {"type": "str", "default": "0755"},
    "files": {"type": "list", "elements": "dict", "options": FILE_OPTIONS, "default": []},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
}
ORIGINS = ("template", "source", "content")
# The zero tells a mode from a number: YAML reads 0644 without quotes as 420
MODE = re.compile(r"0[0-7]{3,4}")


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """The task `flowstead_files`."""

    TRANSFERS_FILES = True
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task.

        Args:
            tmp: unused; Ansible passes it.
            task_vars: the host's variables, for the templates.

        Returns:
            The module's result: `changed`, `changed_files`, `changed_directories` and `diff`.

        Raises:
            AnsibleActionFail: an argument is wrong, or a template or file is missing. Nothing has been sent.

        """
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(OPTIONS)
        variables = task_vars or {}
        for mode in (args["directory_mode"], *(file["mode"] for file in args["files"])):
            if not MODE.fullmatch(mode):
                raise AnsibleActionFail(
                    f'{mode} is no mode: write it in octal digits and in quotes, such as "0644".'
                )
        sent = [
            {name: file[name] for name in ("path", "mode", "validate")}
            | {"content": base64.b64encode(self._content(file, variables)).decode()}
            for file in args["files"]
        ]
        result: dict[str, Any] = self._execute_module(module_args=args | {"files": sent}, task_vars=variables)
        return result

    def _content(self, file: dict[str, Any], variables: dict[str, Any]) -> bytes:
        """Return what a file is to hold."""
        given = [origin for origin in ORIGINS if file[origin] is not None]
        if len(given) != 1:
            named = " and ".join(given) or "none"
            raise AnsibleActionFail(f"{file['path']} needs one of {', '.join(ORIGINS)}; it has {named}.")
        if file["template"] is not None:
            return self._rendered(file, variables)
        if file["source"] is not None:
            found = self._find_needle("files", file["source"])
            return Path(self._loader.get_real_file(found)).read_bytes()
        return str(file["content"]).encode()

    def _rendered(self, file: dict[str, Any], variables: dict[str, Any]) -> bytes:
        """Return a template's text, rendered by the lookup that Ansible has for it."""
        template = lookup_loader.get("ansible.builtin.template", loader=self._loader, templar=self._templar)
        found = self._find_needle("templates", file["template"])
        (text,) = template.run([found], variables=variables, template_vars=file["variables"])
        return str(text).encode()
