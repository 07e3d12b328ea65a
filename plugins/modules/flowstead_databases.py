#!/usr/bin/python
"""Module `flowstead_databases`: the documentation of the action plugin of that name, which does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flowstead_databases
short_description: Make MLflow's databases, a role that migrates and a role that serves
description:
  - Runs on the controller. One SSH tunnel through the host carries every SQL connection, with the database's
    certificate checked in full.
  - The passwords go from Secrets Manager directly into the connections, never into a variable, an argument, a
    diff, a fact or a log. The server is sent SCRAM verifiers only.
options:
  region:
    description: AWS region of the secrets.
    type: str
    required: true
  endpoint:
    description: Host name of the PostgreSQL server, as its certificate has it.
    type: str
    required: true
  port:
    description: Its port.
    type: int
    required: true
  ca_file:
    description: The server's CA certificates on the host.
    type: str
    required: true
  master_secret_arn:
    description: Secret of the master user; read only where a statement needs it.
    type: str
    required: true
  owner_secret_arn:
    description: Secret of the role that owns the databases and migrates.
    type: str
    required: true
  application_secret_arn:
    description: Secret of the role that serves.
    type: str
    required: true
  databases:
    description: Names of the databases.
    type: list
    elements: str
    required: true
  maintenance_database:
    description: Database that the master user connects to.
    type: str
    required: true
attributes:
  check_mode:
    support: full
    description: Says which statements would be run.
author:
  - The Flowstead authors
"""

EXAMPLES = r"""
- name: The databases are right
  flowstead_databases:
    region: eu-central-1
    endpoint: database.example.com
    port: 5432
    ca_file: /etc/flowstead/rds-ca.pem
    master_secret_arn: arn:aws:secretsmanager:eu-central-1:123456789012:secret:master
    owner_secret_arn: arn:aws:secretsmanager:eu-central-1:123456789012:secret:owner
    application_secret_arn: arn:aws:secretsmanager:eu-central-1:123456789012:secret:application
    databases: [mlflow, mlflow_auth]
    maintenance_database: postgres
"""

RETURN = r"""
statements:
  description: The statements that were, or in check mode would be, run, each with its database.
  returned: success
  type: list
  elements: str
"""
