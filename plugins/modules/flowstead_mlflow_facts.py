#!/usr/bin/python
"""Module `flowstead_mlflow_facts`: the documentation of the action plugin of that name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flowstead_mlflow_facts
short_description: Learn what a host has, which release of MLflow serves, and how many workers one may have
description:
  - Answers in one round trip all that is asked of a host before anything is changed. Changes nothing.
options:
  version:
    description: The release that should serve.
    type: str
    required: true
  serving_file:
    description: File that says which release serves.
    type: path
    required: true
  store_file:
    description: File that says where the host has its data.
    type: path
    default: /etc/mlflow/store.json
  ports:
    description: Ports of which one serves, and another is for the next release.
    type: list
    elements: int
    required: true
  workers:
    description: Worker processes; 0 means as many as cores and memory allow.
    type: int
    default: 0
  servers:
    description: How many servers of MLflow share the host's memory.
    type: int
    default: 1
  models_mib:
    description: Memory of the host that is for models, in MiB, and for no server of MLflow.
    type: int
    default: 0
  image:
    description: File that says what the host's image holds, where it was baked.
    type: path
    default: /etc/flowstead/image.json
  lock:
    description: File that whatever changes the host's MLflow locks, and writes into what it does.
    type: path
    default: /run/mlflow-change/lock
  journal:
    description: File that is there while a change is under way, or was interrupted.
    type: path
    default: /var/lib/mlflow-change/journal.json
  programs:
    description: Directory in which each server on the host has its programs.
    type: path
    default: /usr/local/lib/flowstead
  models:
    description: File that says which models the host serves.
    type: path
    default: /etc/flowstead/models.d/mlflow.json
attributes:
  check_mode:
    support: full
    description: Nothing is changed in any mode.
author:
  - The Flowstead authors
"""

EXAMPLES = r"""
- name: What the host has is known
  flowstead_mlflow_facts:
    version: "3.17.2"
    serving_file: /etc/mlflow/serving.json
    ports: [5001, 5002]
  register: found
"""

RETURN = r"""
cores:
  description: Processors of the host.
  returned: success
  type: int
memory_mib:
  description: Memory of the host, in MiB.
  returned: success
  type: int
serving:
  description: The release that serves (C(version), empty if none), its C(port), and those C(before) it.
  returned: success
  type: dict
is_serving:
  description: Whether it is the one that is to serve.
  returned: success
  type: bool
still_serves:
  description: What serves, as a sentence for error messages.
  returned: success
  type: str
port:
  description: Port of the release that is to serve. A release keeps its port; a new one takes another.
  returned: success
  type: int
serving_port:
  description: Port that serves now, or would first.
  returned: success
  type: int
workers:
  description: Worker processes of a release.
  returned: success
  type: int
has_room_for_two:
  description: Whether the memory is enough for two releases at the same time.
  returned: success
  type: bool
served:
  description: The release that serves, then those that served before it; empty if none does.
  returned: success
  type: list
  elements: str
image_releases:
  description: Releases that the host's image holds; empty if it is not a baked one.
  returned: success
  type: list
  elements: str
data_in:
  description: Where the host has its data; empty where it does not know yet.
  returned: success
  type: str
there:
  description: Servers that are set up on the host, by their names.
  returned: success
  type: list
  elements: str
has_pg_dump:
  description: Whether the host has the program that dumps PostgreSQL's databases.
  returned: success
  type: bool
has_models:
  description: Whether the host has been told to serve models of this server.
  returned: success
  type: bool
busy:
  description: What changes the host's MLflow now; empty if nothing does.
  returned: success
  type: str
was_interrupted:
  description: Whether a change was interrupted, or is under way.
  returned: success
  type: bool
"""
