"""Action plugin `flowstead_units`: has several units of systemd run, in one question and few orders.

The module of the same name has the documentation.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any, Protocol

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

UNIT_OPTIONS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "started": {"type": "bool", "default": True},
    "enabled": {"type": "bool", "default": True},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "units": {"type": "list", "elements": "dict", "options": UNIT_OPTIONS, "required": True},
    "reload": {"type": "bool", "default": False},
}
# What a shell says where there is no such program (POSIX, "Exit Status for Commands"), and env as well
NOT_FOUND = 127
# What cannot or need not be enabled counts, too: systemctl(1), "is-enabled"
STARTS_AT_BOOT = {"enabled", "static", "alias", "indirect", "generated"}
RUNS = {"active", "activating", "reloading"}
PROPERTIES = "Id,LoadState,UnitFileState,ActiveState,ConditionResult,ConditionTimestampMonotonic"


class UnitsError(Exception):
    """What is wrong, as a sentence."""


class Runner(Protocol):
    """What runs commands on the host."""

    check_mode: bool

    def run_command(self, args: list[str]) -> tuple[int, str, str]:
        """Run a command."""
        ...


@dataclass(frozen=True)
class Wanted:
    """A unit as it should be.

    Args:
        name: its name, with the ending.
        started: it must run now.
        enabled: it must start at boot.

    """

    name: str
    started: bool
    enabled: bool


@dataclass(frozen=True)
class Present:
    """A unit as it is.

    Args:
        is_there: systemd knows a file for it.
        runs: it runs, or is about to.
        at_boot: it starts at boot.
        is_declined: systemd would not start it, for a condition of its own is not met.

    """

    is_there: bool
    runs: bool
    at_boot: bool
    is_declined: bool

    def __str__(self) -> str:
        """Return it as a person would say it."""
        if not self.is_there:
            return "absent"
        return (
            f"{'runs' if self.runs else 'stopped'}, {'starts' if self.at_boot else 'does not start'} at boot"
        )


def present(said: str) -> Present:
    """Return what `systemctl show` says of one unit."""
    properties = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    return Present(
        is_there=properties.get("LoadState") != "not-found",
        runs=properties.get("ActiveState") in RUNS,
        at_boot=properties.get("UnitFileState") in STARTS_AT_BOOT,
        is_declined=properties.get("ConditionResult") == "no"
        and properties.get("ConditionTimestampMonotonic", "0") != "0",
    )


def systemctl(runner: Runner, *words: str, units: list[str]) -> str:
    """Tell systemd something.

    Raises:
        UnitsError: it did not do it.

    """
    status, stdout, stderr = runner.run_command(["systemctl", *words, *units])
    if status:
        why = stderr.strip() or stdout.strip() or f"systemctl ended with status {status}"
        named = f" of {', '.join(units)}" if units else ""
        look = f" Look at: journalctl{''.join(f' -u {unit}' for unit in units)}" if units else ""
        raise UnitsError(f"systemctl {words[0]}{named} failed: {why}.{look}")
    return stdout


def converge(runner: Runner, wanted: list[Wanted], *, reload: bool) -> dict[str, Any]:
    """Change the units that are not as wanted, or in check mode say which would be.

    Args:
        runner: runs commands on the host; says whether this is check mode.
        wanted: the units.
        reload: systemd reads the units' files again first.

    Returns:
        The result of the task.

    Raises:
        UnitsError: a unit is not there, or systemd did not do as told.

    """
    if reload and not runner.check_mode:
        systemctl(runner, "daemon-reload", units=[])
    names = [unit.name for unit in wanted]
    blocks = systemctl(runner, "show", f"--property={PROPERTIES}", units=names).strip("\n").split("\n\n")
    found = {name: present(blocks[number]) for number, name in enumerate(names)}
    missing = [name for name in names if not found[name].is_there]
    if missing and not runner.check_mode:
        raise UnitsError(f"There is no unit {' and no unit '.join(missing)} on the host.")
    enable = [unit.name for unit in wanted if unit.enabled and not found[unit.name].at_boot]
    start = [
        unit.name
        for unit in wanted
        if unit.started and not found[unit.name].runs and not found[unit.name].is_declined
    ]
    changed = [name for name in names if name in enable or name in start]
    if not runner.check_mode:
        if enable:
            systemctl(runner, "enable", "--quiet", units=enable)
        if start:
            systemctl(runner, "start", units=start)
    after = {
        name: Present(
            is_there=True,
            runs=found[name].runs or name in start,
            at_boot=found[name].at_boot or name in enable,
            is_declined=False,
        )
        for name in changed
    }
    return {
        "changed": bool(changed),
        "changed_units": changed,
        "diff": [
            {
                "before_header": name,
                "after_header": name,
                "before": f"{found[name]}\n",
                "after": f"{after[name]}\n",
            }
            for name in changed
        ],
    }


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """The task `flowstead_units`."""

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task.

        Args:
            tmp: unused; Ansible passes it.
            task_vars: the host's variables.

        Returns:
            The result, as the module's documentation has it.

        Raises:
            AnsibleActionFail: a unit is not there, or systemd did not do as told.

        """
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(OPTIONS)
        try:
            wanted = [Wanted(**unit) for unit in args["units"]]
            return converge(self, wanted, reload=args["reload"])
        except UnitsError as failed:
            raise AnsibleActionFail(str(failed)) from failed

    @property
    def check_mode(self) -> bool:
        """Whether there is nothing to change."""
        return bool(self._task.check_mode)

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
