#!/usr/bin/env python3
"""Carry MLflow's rows from databases of one store to those of another, and compare them. Managed by Ansible.

Run with a release's own Python as MLflow's user; passwords are in files, which the addresses name. It loads
everything first, says "ready", and waits: on standard input comes JSON, by `tracking` and `login` the
addresses of what is read and of what is filled. It prints JSON: rows, bytes and a checksum of each. Of
`logged`, an address, it prints how much users have made there.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys

from flowstead_host import transfer
from flowstead_host.errors import ChangeError

# One or two of them are what the addresses need.
DRIVERS = ("psycopg2", "pymysql")


def main() -> None:
    """Load, wait, carry."""
    for name in DRIVERS:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    print("ready", flush=True)
    words = sys.stdin.read()
    if not words:
        return
    asked = json.loads(words)
    told: dict[str, object] = {"logged": transfer.logged(asked.pop("logged"))} if "logged" in asked else {}
    for store, (source, target) in asked.items():
        copied = transfer.copy(source, target)
        told[store] = {"rows": copied.rows, "bytes": copied.size, "checksum": copied.checksum}
    print(json.dumps(told))


if __name__ == "__main__":
    try:
        main()
    except ChangeError as problem:
        sys.exit(str(problem))
    except Exception as problem:  # noqa: BLE001 - whatever a driver refuses is told in one line, not as a traceback
        sys.exit(f"{type(problem).__name__}: {problem}")
