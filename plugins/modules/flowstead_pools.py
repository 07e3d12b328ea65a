#!/usr/bin/python
"""Module `flowstead_pools`: the documentation of the action plugin of that name, which does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flowstead_pools
short_description: Choose how many connections to the database a worker of MLflow may have
description:
  - Asks the database how many connections it has for users, where no number is given. There is no other way
    to know what is reserved. The password is in libpq's own file, or in one that the address names.
  - Changes nothing.
options:
  python:
    description: An interpreter on the host with SQLAlchemy and the driver, such as the release's.
    type: path
    required: true
  uri:
    description: The database as SQLAlchemy has it, without a password.
    type: str
    required: true
  passfile:
    description: libpq's password file.
    type: path
    required: true
  connections:
    description: Connections that all releases together may take; 0 means those of the database, less some.
    type: int
    default: 0
  workers:
    description: Worker processes of a release.
    type: int
    required: true
  size:
    description: Connections that each of a worker's pools keeps open; 0 means chosen here.
    type: int
    default: 0
  overflow:
    description: Further connections that each opens under load; 0 means chosen here.
    type: int
    default: 0
  requests:
    description: Requests that a worker works on at a time, where the connections are enough.
    type: int
    required: true
  servers:
    description: How many servers of MLflow share the connections.
    type: int
    default: 1
attributes:
  check_mode:
    support: full
    description: On a new host, which has no password yet, a usual number is taken.
author:
  - The Flowstead authors
"""

EXAMPLES = r"""
- name: The server's connections are chosen
  flowstead_pools:
    python: /opt/mlflow/releases/3.17.2/bin/python
    uri: postgresql+psycopg2://mlflow_application@database.example.com:5432/mlflow?sslmode=verify-full
    passfile: /run/flowstead/pgpass
    workers: 2
    requests: 4
  register: chosen
"""

RETURN = r"""
size:
  description: Connections that each pool keeps open.
  returned: success
  type: int
overflow:
  description: Connections that each opens on top.
  returned: success
  type: int
requests:
  description: Requests that a worker works on at a time.
  returned: success
  type: int
"""
