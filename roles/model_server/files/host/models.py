#!/usr/bin/env python3
"""Serve registered models of MLflow's in the versions that their aliases name. Managed by Ansible.

Runs with whatever Python the host has: standard library only.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

from flowstead_models import settings as told
from flowstead_models.errors import ModelError
from flowstead_models.registry import AwayError, Registry
from flowstead_models.serving import Report, converge, retire, status
from flowstead_models.settings import Settings, read_settings
from flowstead_models.state import HOME, write
from flowstead_models.units import UNITS

RUNTIME = Path("/run/flowstead-models")
TEMPLATES = ("flowstead-models@.service", "flowstead-models@.timer", "mlflow-model@.service")


def follow(server: str) -> int:
    """Have served what the aliases name now; what was done is left in a file for `now`."""
    text = (told.SETTINGS / f"{server}.json").read_text()
    settings = read_settings(text)
    again = RUNTIME / f"{server}.again"
    retry = again.exists()
    again.unlink(missing_ok=True)
    # One at a time on the host: what one builds no other reaches.
    with (RUNTIME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        report = converged(settings, retry=retry)
    answer = {
        "settings": hashlib.sha256(text.encode()).hexdigest(),
        "changed": report.changes,
        "problems": report.problems,
    }
    write(RUNTIME / f"{server}.json", json.dumps(answer))
    return 0


def converged(settings: Settings, *, retry: bool) -> Report:
    """Have served what the aliases name; while MLflow is away, what serves goes on."""
    try:
        registry = Registry(settings.config_dir, settings.secrets_file, settings.secrets_unit, settings.admin)
        return converge(settings, registry, retry=retry)
    except AwayError as error:
        print(f"{error}: what serves goes on.", flush=True)
        report = Report()
        report.problems.append(f"{error}: which versions the aliases name is not known.")
        return report


def now(server: str) -> int:
    """Have it done by its unit, which goes on when the caller is gone, and say what was done."""
    digest = hashlib.sha256((told.SETTINGS / f"{server}.json").read_bytes()).hexdigest()
    RUNTIME.mkdir(mode=0o755, exist_ok=True)
    report = RUNTIME / f"{server}.json"
    again = RUNTIME / f"{server}.again"
    again.touch()
    # One that was under way may have read other settings, or not have known that it is to try again.
    for _ in range(2):
        report.unlink(missing_ok=True)
        unit = f"flowstead-models@{server}.service"
        done = subprocess.run(
            ["systemctl", "start", unit], capture_output=True, text=True, errors="replace", check=False
        )
        answer = json.loads(report.read_text()) if report.exists() else {}
        if answer.get("settings") == digest and not again.exists():
            break
    if not answer:
        print(f"{done.stderr.strip()} Look at: journalctl -u {unit}", file=sys.stderr)
        return 1
    if answer["problems"]:
        print("\n".join(answer["problems"]), file=sys.stderr)
        return 1
    print(json.dumps(answer))
    return 0


def remove(server: str) -> int:
    """Take all models of a server off the host."""
    path = told.SETTINGS / f"{server}.json"
    if not path.exists():
        return 0
    settings = read_settings(path.read_text())
    timer = f"flowstead-models@{server}.timer"
    subprocess.run(["systemctl", "--quiet", "disable", "--now", timer], check=False)
    RUNTIME.mkdir(mode=0o755, exist_ok=True)
    report = Report()
    with (RUNTIME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        retire(settings, report, set())
        for left in (path, RUNTIME / f"{server}.json", RUNTIME / f"{server}.again"):
            left.unlink(missing_ok=True)
        if not any(told.SETTINGS.glob("*.json")):
            for template in TEMPLATES:
                (UNITS / template).unlink(missing_ok=True)
            shutil.rmtree(HOME, ignore_errors=True)
    subprocess.run(["systemctl", "daemon-reload"], check=False)
    return 0


def show() -> int:
    """Print what is served, of all servers."""
    for path in sorted(told.SETTINGS.glob("*.json")):
        print("\n".join(status(read_settings(path.read_text()))))
    return 0


def main() -> int:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("follow", "now", "remove"):
        commands.add_parser(name).add_argument("server")
    commands.add_parser("status")
    arguments = parser.parse_args()
    if arguments.command == "status":
        return show()
    try:
        return {"follow": follow, "now": now, "remove": remove}[arguments.command](arguments.server)
    except ModelError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
