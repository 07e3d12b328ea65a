#!/usr/bin/python
"""Module `flowstead_program`: the documentation of the action plugin of that name, which does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flowstead_program
short_description: Let one of MLflow's programs on the host do something, and understand its answer
description:
  - Runs a program whose answer is one JSON object, and returns that.
  - With O(unit) the program runs in a transient unit of systemd. It goes on when the controller, or the
    connection, goes away, and leaves its answer in the file that C(--report) names.
  - An answer with another C(outcome) than C(done) fails the task, with the reason and what serves.
options:
  program:
    description: The command that is the program, such as an interpreter and a path.
    type: list
    elements: str
    required: true
  arguments:
    description: What it is asked. Nothing secret, because everybody on the host can read arguments.
    type: list
    elements: str
    default: []
  environment:
    description: Further environment variables of the program; nothing secret.
    type: dict
    default: {}
  unit:
    description: Beginning of the name of the transient unit to run it in; empty means none.
    type: str
    default: ""
  on_failure:
    description: Unit that systemd starts when the transient unit fails, such as one that recovers.
    type: str
    default: ""
  reports:
    description: Directory for the answer of a program in a unit.
    type: path
    default: /run/mlflow-change
  problem:
    description: What it means when the program fails, as the beginning of a sentence without a full stop.
    type: str
    required: true
  json:
    description: Whether the answer is JSON; otherwise only success counts.
    type: bool
    default: true
  tries:
    description: How often to try, 5 seconds apart.
    type: int
    default: 1
  while_refused:
    description: Whether to try again only while the host is busy with something else.
    type: bool
    default: false
  changes:
    description: Whether it changes something. Check mode runs only what changes nothing.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: What changes nothing runs in check mode, too.
author:
  - The Flowstead authors
"""

EXAMPLES = r"""
- name: The release serves
  flowstead_program:
    program: [/usr/bin/python3, -B, /usr/local/lib/flowstead/mlflow/change.py]
    arguments: [upgrade, "3.17.2"]
    unit: mlflow-change
    on_failure: mlflow-recover.service
    problem: MLflow 3.17.2 did not come into service
    changes: true
  register: changed
"""

RETURN = r"""
answer:
  description: What the program answered.
  returned: success, with O(json)
  type: dict
lines:
  description: The lines that the program printed.
  returned: success, without O(json)
  type: list
  elements: str
"""
