#!/usr/bin/python
"""Module `flowstead_units`: the documentation of the action plugin of that name, which does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flowstead_units
short_description: Make units of systemd run, and start at boot, in one round trip
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
