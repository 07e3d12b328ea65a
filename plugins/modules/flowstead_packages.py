#!/usr/bin/python
"""Module `flowstead_packages`: the documentation of the action plugin of that name, which does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flowstead_packages
short_description: Learn which packages of the system are missing
description:
  - Asks the package manager's own database, which takes a hundredth of a second; M(ansible.builtin.apt) and
    M(ansible.builtin.dnf) read all lists of packages first, even if there is nothing to install.
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
