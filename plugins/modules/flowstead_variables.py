#!/usr/bin/python
"""Module `flowstead_variables`: the documentation of the action plugin of that name, which does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flowstead_variables
short_description: Refuse variables that a role does not know
description:
  - Fails if a variable has the role's prefix and is not one of its own, and names the one that may be meant.
  - This adds to what Ansible itself checks by the role's specification.
  - Runs on the controller; no host is asked.
options:
  role:
    description: Directory of the role. What may be set stands in its C(meta/argument_specs.yml).
    type: path
    required: true
  family:
    description: Directories of further roles, whose variables have the same prefix.
    type: list
    elements: path
    default: []
  prefix:
    description: The prefix; empty means the role's name and an underscore.
    type: str
    default: ""
  renamed:
    description: Names that variables had, and what they are called now.
    type: dict
    default: {}
  sets:
    description: Facts with the role's prefix that the role itself sets, for others.
    type: list
    elements: str
    default: []
author:
  - The Flowstead authors
"""

EXAMPLES = r"""
- name: The variables are known
  flowstead_variables:
    role: "{{ role_path }}"
    renamed: {gateway_login_attempts_per_minute: mlflow_server_login_attempts_per_minute}
"""

RETURN = r"""#"""
