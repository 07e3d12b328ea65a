#!/usr/bin/python
"""Module `flowstead_role_proof`: the documentation of the action plugin of that name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flowstead_role_proof
short_description: Try on the host what its role may do in AWS and what it may not
description:
  - The role's credentials are available only on the host. A program there tries each right, and this task
    says which one is not as it must be.
options:
  program:
    description: The program on the host.
    type: path
    required: true
  arguments:
    description: What it tries.
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    support: full
    description: Nothing is written; a host that has no such program yet is passed over.
author:
  - The Flowstead authors
"""

EXAMPLES = r"""
- name: The role works and is narrow
  flowstead_role_proof:
    program: /usr/local/sbin/flowstead-identity
    arguments: [--region, eu-central-1, --bucket, artifacts]
"""

RETURN = r"""
proofs:
  description: What was tried (C(what)), with C(outcome) and C(detail).
  returned: success
  type: list
  elements: dict
"""
