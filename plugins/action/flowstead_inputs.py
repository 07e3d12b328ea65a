"""Action plugin `flowstead_inputs`: says all that is wrong with what a role was given.

The module of the same name has the documentation.
"""

from __future__ import annotations

import difflib
import json
import shlex
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

OPTIONS: dict[str, dict[str, Any]] = {
    "role": {"type": "path"},
    "family": {"type": "list", "elements": "path", "default": []},
    "prefix": {"type": "str", "default": ""},
    "renamed": {"type": "dict", "default": {}},
    "sets": {"type": "list", "elements": "str", "default": []},
    "options": {"type": "dict", "default": {}},
    "fail_msg": {"type": "str", "default": ""},
    "facts": {"type": "list", "elements": "str", "default": []},
    "checks": {"type": "list", "elements": "dict", "default": []},
}
# What setup makes of /etc/os-release where the distribution's own Python is Ansible's, too: by its ID
DISTRIBUTIONS = {"debian": "Debian", "ubuntu": "Ubuntu"}
KNOWN_SO = frozenset({"distribution", "pkg_mgr", "python"})
LOOK = """
import json, sys
release = dict(line.rstrip().split("=", 1) for line in open("/etc/os-release") if "=" in line)
print(json.dumps([release, sys.executable, sys.version_info[:2]]))
"""
# The one in C takes a tenth of the time; not every installation of PyYAML has it
Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """The task `flowstead_inputs`."""

    _supports_check_mode = True

    @classmethod
    def finalize_task_arg(cls, name: str, value: Any, templar: Any, context: Any) -> Any:
        """Leave the checks as they are written: a sentence is filled in only if it is said."""
        return value if name == "checks" else super().finalize_task_arg(name, value, templar, context)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task.

        Args:
            tmp: unused; Ansible passes it.
            task_vars: the host's variables.

        Returns:
            The result: nothing changes; `ansible_facts` if some were gathered.

        Raises:
            AnsibleActionFail: variables are missing, unknown, of a wrong type, or do not fit together.

        """
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(OPTIONS)
        variables = task_vars or {}
        own = _specified(Path(args["role"]))["main"]["options"] if args["role"] else args["options"]
        unknown = _unknown(args, variables) if args["role"] else {}
        mistakes = [*unknown.values(), *self._against(own, variables)]
        if not mistakes:
            result |= self._gathered(args["facts"], variables)
            mistakes = self._failed(args["checks"])
        if mistakes:
            # Ansible shows the line of the first.
            where = variables[next(iter(unknown))] if unknown else None
            text = "\n".join(mistakes)
            raise AnsibleActionFail(
                args["fail_msg"].replace("MISTAKES", text) if args["fail_msg"] else text, obj=where
            )
        return result | {"changed": False}

    def _against(self, options: dict[str, Any], variables: dict[str, Any]) -> list[str]:
        """Compare variables with a specification, as Ansible itself does for a role."""
        given = self._templar.template({name: variables[name] for name in options if name in variables})
        found = ArgumentSpecValidator(options).validate(given, validate_role_argument_spec=True)
        return list(found.error_messages)

    def _gathered(self, facts: list[str], variables: dict[str, Any]) -> dict[str, Any]:
        """Learn what is not known of the host yet."""
        if variables.get("ansible_facts", {}).keys() >= set(facts):
            return {}
        found = self._seen(facts, variables)
        if not found:
            said = self._execute_module(
                module_name="ansible.builtin.setup",
                module_args={"gather_subset": ["!all", "!min", *facts]},
                task_vars=variables,
            )
            if said.get("failed"):
                raise AnsibleActionFail(f"The host's facts could not be gathered: {said.get('msg')}")
            found = said["ansible_facts"]
        known = {name.removeprefix("ansible_"): value for name, value in found.items()}
        known = variables.get("ansible_facts", {}) | known
        self._templar.available_variables = variables | {"ansible_facts": known}
        return {"ansible_facts": found}

    def _seen(self, facts: list[str], variables: dict[str, Any]) -> dict[str, Any]:
        """Look at the host by a small command, in a tenth of setup's time; empty: setup has to do it."""
        chosen = str(self._templar.template(variables.get("ansible_python_interpreter", "")))
        python = chosen if chosen.startswith("/") else "/usr/bin/python3"
        if not KNOWN_SO.issuperset(facts):
            return {}
        said = self._low_level_execute_command(shlex.join([python, "-I", "-c", LOOK]), in_data=b"\n")
        try:
            release, executable, (major, minor) = json.loads(said["stdout"].splitlines()[-1])
        except (IndexError, ValueError):
            return {}
        release = {name: value.strip("\"'") for name, value in release.items()}
        if release.get("ID") not in DISTRIBUTIONS:
            return {}
        return {
            "ansible_distribution": DISTRIBUTIONS[release["ID"]],
            "ansible_distribution_version": release.get("VERSION_ID", ""),
            "ansible_distribution_major_version": release.get("VERSION_ID", "").partition(".")[0],
            "ansible_distribution_release": release.get("VERSION_CODENAME", ""),
            "ansible_os_family": "Debian",
            "ansible_pkg_mgr": "apt",
            "ansible_python": {"version": {"major": major, "minor": minor}},
        } | ({} if chosen else {"discovered_interpreter_python": executable})

    def _failed(self, checks: list[dict[str, Any]]) -> list[str]:
        """Return the sentences of the checks that fail."""
        failed: list[str] = []
        for check in checks:
            conditions = check["that"] if isinstance(check["that"], list) else [check["that"]]
            try:
                if all(self._templar.evaluate_conditional(one) for one in conditions):
                    continue
            except AnsibleError:
                # It may not even be askable because of what an earlier one has found.
                if failed:
                    continue
                raise
            failed.append(str(self._templar.template(check["fail_msg"])))
        return failed


def _specified(role: Path) -> dict[str, Any]:
    """Return the specification of a role's variables, by its entry points."""
    text = (role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    entry_points: dict[str, Any] = yaml.load(text, Loader)["argument_specs"]  # noqa: S506 - both are safe
    return entry_points


def _unknown(args: dict[str, Any], variables: dict[str, Any]) -> dict[str, str]:
    """Find variables with the role's prefix that are none of its own; return what to say of each."""
    roles = [Path(args["role"]), *map(Path, args["family"])]
    options = {name for one in roles for part in _specified(one).values() for name in part["options"]}
    prefix = args["prefix"] or f"{roles[0].name}_"
    renamed, known = args["renamed"], options | set(args["sets"])
    names = [one.name for one in roles]
    return {
        name: _complaint(name, names, sorted(options), renamed)
        for name in sorted(variables)
        if name in renamed or (name.startswith(prefix) and name not in known)
    }


def _complaint(name: str, roles: list[str], known: list[str], renamed: dict[str, str]) -> str:
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
