"""Action plugin `flowstead_variables`: refuses variables that a role does not know.

The module of the same name has the documentation.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

OPTIONS: dict[str, dict[str, Any]] = {
    "role": {"type": "path", "required": True},
    "family": {"type": "list", "elements": "path", "default": []},
    "prefix": {"type": "str", "default": ""},
    "renamed": {"type": "dict", "default": {}},
    "sets": {"type": "list", "elements": "str", "default": []},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """The task `flowstead_variables`."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task.

        Args:
            tmp: unused; Ansible passes it.
            task_vars: the host's variables.

        Returns:
            The result: nothing changes.

        Raises:
            AnsibleActionFail: variables have the role's prefix and are none of its own.

        """
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(OPTIONS)
        variables = task_vars or {}
        role = Path(args["role"])
        roles = [role, *map(Path, args["family"])]
        options = {name for one in roles for name in _options(one)}
        prefix = args["prefix"] or f"{role.name}_"
        renamed, known = args["renamed"], options | set(args["sets"])
        unknown = sorted(
            name for name in variables if name in renamed or (name.startswith(prefix) and name not in known)
        )
        if unknown:
            names = [one.name for one in roles]
            mistakes = [_unknown(name, names, sorted(options), renamed) for name in unknown]
            # Ansible shows the line of the first.
            raise AnsibleActionFail("\n".join(mistakes), obj=variables[unknown[0]])
        return result | {"changed": False}


def _options(role: Path) -> set[str]:
    """Return the variables of a role, those of each of its entry points."""
    text = (role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    return {name for part in yaml.safe_load(text)["argument_specs"].values() for name in part["options"]}


def _unknown(name: str, roles: list[str], known: list[str], renamed: dict[str, str]) -> str:
    """Say what is wrong with a name, and which one may be meant."""
    if name in renamed:
        return f"{name} is {renamed[name]} now: set that."
    # A name of a family's older form lacks the role's own word: without it the nearest is still found
    near = difflib.get_close_matches(name, known, n=1) or [
        one for one in known if one.split("_")[2:] == name.split("_")[1:]
    ]
    meant = f" Did you mean {near[0]}?" if near else ""
    readmes = ", ".join(f"roles/{role}/README.md" for role in roles)
    which = f"the role {roles[0]}" if len(roles) == 1 else f"the roles {', '.join(roles)}"
    return f"{name} is not a variable of {which}.{meant} All of them: {readmes}."
