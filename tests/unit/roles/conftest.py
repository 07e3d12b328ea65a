"""Loads the action plugin as Ansible does, by its file: then the package behind it can be imported."""

from __future__ import annotations

import importlib.util
from pathlib import Path

PLUGIN = Path(__file__).resolve().parents[3] / "roles/database_access/action_plugins/flowstead_databases.py"

_spec = importlib.util.spec_from_file_location("ansible.plugins.action.flowstead_databases", PLUGIN)
assert _spec is not None
assert _spec.loader is not None
_spec.loader.exec_module(importlib.util.module_from_spec(_spec))
