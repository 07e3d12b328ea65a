#!/usr/bin/python
"""Module `flowstead_packages`: which packages of the system are missing, in one quick question."""

from __future__ import annotations

from typing import Protocol

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: flowstead_packages
short_description: Learn which packages of the system are missing
description:
  - Asks the package manager's own database, which takes a hundredth of a second; M(ansible.builtin.apt) and
    M(ansible.builtin.dnf) read all lists of packages first, also where nothing is to be installed.
  - Changes nothing.
options:
  names:
    description: Names of packages.
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    support: full
    description: Nothing is changed in any mode.
author:
  - The Flowstead authors
"""

EXAMPLES = r"""
- name: What is missing is known
  flowstead_packages:
    names: [chrony, curl]
  register: found

- name: The packages are installed
  ansible.builtin.package:
    name: "{{ found.missing }}"
  when: found.missing | length > 0
"""

RETURN = r"""
missing:
  description: Names of the packages that are not installed.
  returned: success
  type: list
  elements: str
"""

# Each prints a line of the state and the name for every package that it knows, and fails for the others
QUESTIONS = (
    ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\\n"],
    ["rpm", "--query", "--queryformat=installed %{NAME}\\n"],
)


class PackagesError(Exception):
    """What is wrong, as a sentence."""


class Runner(Protocol):
    """What of AnsibleModule is needed."""

    def run_command(self, args: list[str], *, handle_exceptions: bool) -> tuple[int, str, str]:
        """Run a command."""
        ...


def missing(runner: Runner, names: list[str]) -> list[str]:
    """Return the names of the packages that are not installed, in the order in which they were given.

    Args:
        runner: what runs commands.
        names: packages.

    Raises:
        PackagesError: the host has neither of the package managers.

    """
    for question in QUESTIONS:
        try:
            _, stdout, _ = runner.run_command([*question, *names], handle_exceptions=False)
        except OSError:
            continue
        installed = {line.split(" ", 1)[1] for line in stdout.splitlines() if line.startswith("installed ")}
        return [name for name in names if name not in installed]
    raise PackagesError("The host has neither dpkg-query nor rpm: it is no system that Flowstead knows.")


def main() -> None:
    """Run the task."""
    module = AnsibleModule(
        argument_spec={"names": {"type": "list", "elements": "str", "required": True}},
        supports_check_mode=True,
    )
    try:
        found = missing(module, module.params["names"])
    except PackagesError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, missing=found)


if __name__ == "__main__":
    main()
