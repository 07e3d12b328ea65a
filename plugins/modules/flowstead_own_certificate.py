#!/usr/bin/python
"""Module `flowstead_own_certificate`: the documentation of the action plugin of that name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flowstead_own_certificate
short_description: Refuse a certificate that clients would refuse
description:
  - Compares a certificate with its key, and asks the host's OpenSSL what clients would say by each name.
  - nginx would refuse a wrong pair only when both are on the host already, and would not start again.
options:
  certificate:
    description: File on the controller with the server's certificate and the intermediate ones, in PEM.
    type: path
    required: true
  key:
    description: File on the controller with its key; decrypted if ansible-vault encrypted it. It stays here.
    type: path
    required: true
  authority:
    description: File on the controller with the authority's certificate; empty means any the host trusts.
    type: path
    default: ""
  names:
    description: The names and addresses that clients use.
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    support: full
    description: Nothing is ever changed.
author:
  - The Flowstead authors
"""

EXAMPLES = r"""
- name: Clients accept the certificate
  flowstead_own_certificate:
    certificate: certificates/mlflow.pem
    key: certificates/mlflow.key
    names: [mlflow.example.com]
"""

RETURN = r"""#"""
