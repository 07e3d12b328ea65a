"""Loads the action plugin as Ansible does, by its file: then the package behind it can be imported.

The mlflow role's programs for its host are found as they find each other there.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).resolve().parents[3] / "roles/database_access/action_plugins/flowstead_databases.py"

_spec = importlib.util.spec_from_file_location("ansible.plugins.action.flowstead_databases", PLUGIN)
assert _spec is not None
assert _spec.loader is not None
_spec.loader.exec_module(importlib.util.module_from_spec(_spec))

for _role in ("mlflow_data", "model_server"):
    sys.path.insert(0, str(PLUGIN.parents[2] / _role / "files/host"))


def pytest_configure(config: pytest.Config) -> None:
    """Have one database server of each kind for all tests that need one."""
    import mysql_server  # noqa: PLC0415 - they need what has been loaded above
    import postgresql_server  # noqa: PLC0415

    config.pluginmanager.register(postgresql_server)
    config.pluginmanager.register(mysql_server)
