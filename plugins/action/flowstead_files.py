"""Action plugin `flowstead_files`: renders templates and reads files here, and has the host keep them.

First it looks: a program of a few lines tells what is there, in a quarter of the time that a module takes to
start. Only if something is not as wanted, the module of the same name, which has the documentation, brings
all of it to its wanted state.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import shlex
from pathlib import Path
from typing import Any

from ansible.constants import config
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

FILE_OPTIONS: dict[str, dict[str, Any]] = {
    "path": {"type": "str", "required": True},
    "template": {"type": "str"},
    "variables": {"type": "dict", "default": {}},
    "source": {"type": "str"},
    "content": {"type": "str"},
    "mode": {"type": "str", "default": "0644"},
    "validate": {"type": "str", "default": ""},
}
TREE_OPTIONS: dict[str, dict[str, Any]] = {
    "path": {"type": "str", "required": True},
    "source": {"type": "str", "required": True},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "trees": {"type": "list", "elements": "dict", "options": TREE_OPTIONS, "default": []},
    "directories": {"type": "list", "elements": "str", "default": []},
    "directory_mode": {"type": "str", "default": "0755"},
    "files": {"type": "list", "elements": "dict", "options": FILE_OPTIONS, "default": []},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
}
ORIGINS = ("template", "source", "content")
# The zero tells a mode from a number: YAML reads 0644 without quotes as 420
MODE = re.compile(r"0[0-7]{3,4}")
# What is at each path: whether a directory, a file (links are followed by the first only) or something else;
# mode, owner and group; a file's digest. Paths are all that it is told.
LOOK = """
import grp, hashlib, json, os, pwd, stat, sys
def look(path):
    try:
        found, target = os.lstat(path), os.stat(path)
    except OSError:
        return None
    names = pwd.getpwuid(target.st_uid).pw_name, grp.getgrgid(target.st_gid).gr_name
    attributes = [stat.S_IMODE(target.st_mode), *names]
    if stat.S_ISREG(found.st_mode):
        return [open(path, "rb").read(), attributes]
    return ["directory" if stat.S_ISDIR(target.st_mode) else "other", attributes]
def digest(found):
    if found and isinstance(found[0], bytes):
        found[0] = hashlib.sha256(found[0]).hexdigest()
    return found
print(json.dumps([digest(look(path)) for path in json.loads(sys.argv[1])]))
"""


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """The task `flowstead_files`."""

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
        for tree in args.pop("trees"):
            self._add(tree, args)
        for mode in (args["directory_mode"], *(file["mode"] for file in args["files"])):
            if not MODE.fullmatch(mode):
                raise AnsibleActionFail(
                    f'{mode} is not a mode: write it in octal digits and in quotes, such as "0644".'
                )
        sent = [
            {name: file[name] for name in ("path", "mode", "validate")}
            | {"content": base64.b64encode(self._content(file, variables)).decode()}
            for file in args["files"]
        ]
        if self._is_so(args, sent, variables):
            return {"changed": False, "changed_directories": [], "changed_files": [], "diff": []}
        result: dict[str, Any] = self._execute_module(module_args=args | {"files": sent}, task_vars=variables)
        return result

    def _add(self, tree: dict[str, str], args: dict[str, Any]) -> None:
        """Add a directory with all that is in it, without what Python has compiled of it."""
        top = Path(self._find_needle("files", tree["source"]))
        args["directories"].append(tree["path"])
        for found in sorted(top.rglob("*")):
            if "__pycache__" in found.parts:
                continue
            path = f"{tree['path']}/{found.relative_to(top)}"
            if found.is_dir():
                args["directories"].append(path)
            else:
                one = {"path": path, "source": str(found), "mode": "0644", "validate": ""}
                args["files"].append(dict.fromkeys(ORIGINS) | one)

    def _is_so(self, args: dict[str, Any], sent: list[dict[str, str]], variables: dict[str, Any]) -> bool:
        """Look whether everything is as wanted; False also where that cannot be told in this way."""
        owner = [args["owner"], args["group"]]
        wanted = {
            path: ["directory", [int(args["directory_mode"], 8), *owner]] for path in args["directories"]
        }
        for file in sent:
            digest = hashlib.sha256(base64.b64decode(file["content"])).hexdigest()
            wanted[file["path"]] = [digest, [int(file["mode"], 8), *owner]]
        known = variables.get("ansible_facts", {}).get("discovered_interpreter_python")
        python = str(known or self._templar.template(variables.get("ansible_python_interpreter", "")))
        if not python.startswith("/") or not self._is_pipelining_enabled("new"):
            return False
        paths = shlex.quote(json.dumps(list(wanted)))
        said = self._low_level_execute_command(f"{python} -I -c {shlex.quote(LOOK)} {paths}")
        with contextlib.suppress(ValueError, IndexError):
            return bool(json.loads(said["stdout"].splitlines()[-1]) == list(wanted.values()))
        return False

    def _content(self, file: dict[str, Any], variables: dict[str, Any]) -> bytes:
        """Return what a file should contain."""
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
        """Return a template's text, rendered as M(ansible.builtin.template) does."""
        found = self._find_needle("templates", file["template"])
        managed = {"ansible_managed": config.get_config_value("DEFAULT_MANAGED_STR")}
        templar = self._templar.copy_with_new_env(
            # For what it includes
            searchpath=[str(Path(found).parent)],
            # The lookup of that name would copy all variables, in depth, for each template
            available_variables=managed | variables | file["variables"],
        )
        text = trust_as_template(self._loader.get_text_file_contents(found))
        options = {"trim_blocks": True, "lstrip_blocks": False}
        return str(templar.template(text, escape_backslashes=False, overrides=options)).encode()
