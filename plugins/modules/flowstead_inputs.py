#!/usr/bin/python
"""Module `flowstead_inputs`: the documentation of the action plugin of that name, which does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flowstead_inputs
short_description: Say all that is wrong with what a role was given
description:
  - Compares the variables with the role's specification, as Ansible does by itself when a role runs; this can
    also be done before any role runs.
  - Fails if a variable has the role's prefix and is not one of its own, and names the one that may be meant.
  - Then evaluates the checks. All mistakes are told together.
  - Runs on the controller; the host is asked only for facts that are not known yet.
options:
  role:
    description: Directory of the role. What may be set stands in its C(meta/argument_specs.yml).
    type: path
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
  options:
    description: Instead of a role's, a specification of variables in the form of C(meta/argument_specs.yml).
    type: dict
    default: {}
  fail_msg:
    description: What is said instead of the bare mistakes; C(MISTAKES) stands for them.
    type: str
    default: ""
  facts:
    description:
      - Facts that the role needs, by the name that the gathering and the fact have in common, such as
        C(pkg_mgr). If one is not known, they are gathered.
    type: list
    elements: str
    default: []
  checks:
    description: What must be true. A check that cannot be evaluated after another has failed is left out.
    type: list
    elements: dict
    default: []
    suboptions:
      that:
        description: A condition or several, as M(ansible.builtin.assert) has them.
        type: raw
        required: true
      fail_msg:
        description: What is said if it is not true.
        type: str
        required: true
author:
  - The Flowstead authors
"""

EXAMPLES = r"""
- name: The inputs are right
  flowstead_inputs:
    role: "{{ role_path }}"
    renamed: {gateway_login_attempts_per_minute: mlflow_server_login_attempts_per_minute}
    facts: [distribution]
    checks:
      - that: gateway_certificates | int >= 1
        fail_msg: "gateway_certificates is {{ gateway_certificates }}: give 1 or more."
"""

RETURN = r"""#"""
