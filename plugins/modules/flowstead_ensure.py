#!/usr/bin/python
"""Module `flowstead_ensure`: the documentation of the action plugin of that name, which does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flowstead_ensure
short_description: Run a module unless a small command says that there is nothing to do
description:
  - Runs a command on the host. If it succeeds, everything is as wanted; if not, the module is run.
  - A module takes a quarter of a second to start. A command of the shell takes a fifth of that.
options:
  unless:
    description:
      - The command. It must fail for everything that the module would change. Nothing secret, because
        everybody on the host can read arguments.
      - Where there is no such program, check mode says that there is something to do, and does not run the
        module.
    type: list
    elements: str
    required: true
  module:
    description: The module, by its full name. One that works through an action plugin is none for this.
    type: str
    required: true
  arguments:
    description: The module's arguments.
    type: dict
    required: true
author:
  - The Flowstead authors
"""

EXAMPLES = r"""
- name: The user exists
  flowstead_ensure:
    unless: [sh, -c, "getent passwd mlflow | grep -q ':/usr/sbin/nologin$'"]
    module: ansible.builtin.user
    arguments: {name: mlflow, system: true, create_home: false, shell: /usr/sbin/nologin}
"""

RETURN = r"""#"""
