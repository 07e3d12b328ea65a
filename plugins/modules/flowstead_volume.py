#!/usr/bin/python
"""Module `flowstead_volume`: the documentation of the action plugin of that name, which does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flowstead_volume
short_description: Mount an EBS volume that is attached to the host
description:
  - Finds the volume by its id, or by the name that it is attached by where the host shows no ids (instance
    types that are not of the Nitro system).
  - Makes an ext4 file system on a volume that has nothing on it, mounts it by its UUID and enters it in
    C(/etc/fstab), grows it when the volume has grown, and gives its directory an owner. If the directory had
    another one, who is not root, that one's files in it are given away with it.
    M(community.general.filesystem), M(ansible.posix.mount) and M(ansible.builtin.file) do so; they are sent
    only where something differs.
  - Never makes a file system where there is something else, and never hides files below a mount.
options:
  volume_id:
    description: EC2's id of the volume.
    type: str
    required: true
  device:
    description: The name that it is attached by, C(/dev/sdf).
    type: str
    required: true
  path:
    description: Where it is mounted.
    type: path
    required: true
  options:
    description: Options of the mount, as they stand in C(/etc/fstab).
    type: str
    required: true
  owner:
    description: Owner of its directory.
    type: str
    default: root
  group:
    description: Group of its directory.
    type: str
    default: root
  mode:
    description: Mode of its directory, in octal.
    type: str
    default: "0755"
attributes:
  check_mode:
    support: full
    description: Says what would change.
  diff_mode:
    support: full
    description: Shows what there is and what is wanted.
author:
  - The Flowstead authors
"""

EXAMPLES = r"""
- name: The volume is mounted
  flowstead_volume:
    volume_id: vol-0123456789abcdef0
    device: /dev/sdf
    path: /var/lib/mlflow-data
    options: defaults,nofail
"""

RETURN = r"""
device:
  description: The device that the volume is.
  returned: success
  type: str
differs:
  description: What was not as wanted.
  returned: success
  type: list
  elements: str
"""
