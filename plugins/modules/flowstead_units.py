#!/usr/bin/python
"""Module `flowstead_units`: several units of systemd, as they should be, in one round trip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: flowstead_units
short_description: Have units of systemd run, and start at boot, in one round trip
description:
  - Asks systemd once about all units, and changes only those that are not as wanted.
  - A unit that systemd declined to start, because a condition in the unit is not met, is not started again.
  - In check mode a unit that is not there yet counts as one that would be changed.
options:
  units:
    description: The units, in the order in which they are started.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the unit, with its ending.
        type: str
        required: true
      started:
        description: Whether the unit must run now.
        type: bool
        default: true
      enabled:
        description: Whether the unit must start at boot.
        type: bool
        default: true
  reload:
    description: Whether systemd must read the units' files again first.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Also where the units are only going to be installed.
  diff_mode:
    support: full
    description: Shows what each unit was, and is.
author:
  - The Flowstead authors
"""

EXAMPLES = r"""
- name: The gateway and the rotation of its logs run
  flowstead_units:
    units:
      - {name: nginx.service}
      - {name: logrotate.timer}
      - {name: mlflow-recover.service, started: false}
"""

RETURN = r"""
changed_units:
  description: Names of the units that were changed, or in check mode would be.
  returned: success
  type: list
  elements: str
"""

# What cannot or need not be enabled counts, too: systemctl(1), "is-enabled"
STARTS_AT_BOOT = {"enabled", "static", "alias", "indirect", "generated"}
RUNS = {"active", "activating", "reloading"}
PROPERTIES = "Id,LoadState,UnitFileState,ActiveState,ConditionResult,ConditionTimestampMonotonic"


class UnitsError(Exception):
    """What is wrong, as a sentence."""


class Runner(Protocol):
    """What of AnsibleModule is needed."""

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
        runner: what runs commands; says whether this is check mode.
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


def main() -> None:
    """Run the task."""
    unit_options: dict[str, dict[str, Any]] = {
        "name": {"type": "str", "required": True},
        "started": {"type": "bool", "default": True},
        "enabled": {"type": "bool", "default": True},
    }
    module = AnsibleModule(
        argument_spec={
            "units": {"type": "list", "elements": "dict", "options": unit_options, "required": True},
            "reload": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        result = converge(
            module, [Wanted(**unit) for unit in module.params["units"]], reload=module.params["reload"]
        )
    except UnitsError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
