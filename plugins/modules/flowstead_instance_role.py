#!/usr/bin/python
"""Module `flowstead_instance_role`: the documentation of the action plugin of that name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flowstead_instance_role
short_description: Check that an EC2 instance has the role that it must have
description:
  - Asks the instance metadata service, before anything is installed, and only for the role's name; no
    credentials are read.
options:
  expected:
    description: Name of the role.
    type: str
    required: true
  program:
    description: Program that asks, a file on the controller, looked for as M(ansible.builtin.copy) does.
    type: str
    required: true
attributes:
  check_mode:
    support: full
    description: Nothing is changed in any mode.
author:
  - The Flowstead authors
"""

EXAMPLES = r"""
- name: The instance has the expected role
  flowstead_instance_role:
    expected: flowstead-server
    program: instance_profile.py
"""

RETURN = r"""#"""
