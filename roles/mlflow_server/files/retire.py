#!/usr/bin/python3 -I
"""Take servers of MLflow off the host: units, settings, programs, secrets. Their data stay elsewhere.

Managed by Ansible. Runs with whatever Python the host has: standard library only. It may be killed at any
time and run again: a server's programs, by which it is known to be there, go last.
"""

from __future__ import annotations

import argparse
import fcntl
import re
import shutil
import subprocess
import sys
from pathlib import Path

PROGRAMS = Path("/usr/local/lib/flowstead")
# Password files: of the login that serves and of the owner, in each store (group_vars/tracking_servers.yml).
PASSWORDS = [
    f"pgpass{who}{store}" for who in ("", "-owner") for store in ("", "-aurora-postgresql", "-aurora-mysql")
]
SECRETS = ("env", "aws", *PASSWORDS)
PARTS = ("@.service", "-rehearsal@.service", "-recover.service", "-backup.service", "-backup.timer")


def systemctl(*words: str) -> None:
    """Tell systemd something; what is gone already needs no telling."""
    subprocess.run(["/usr/bin/systemctl", "--quiet", *words], check=False, stderr=subprocess.DEVNULL)


def is_busy(name: str) -> bool:
    """Tell whether something changes or backs up the server just now."""
    lock = Path(f"/run/{name}-change/lock")
    if not lock.exists():
        return False
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def enabled(name: str) -> list[str]:
    """Name the units of the server that start by themselves: its releases, its timers, its recovery."""
    releases = [f"{name}@{path.stem}.service" for path in Path(f"/etc/{name}").glob("*.*.*.env")]
    timers = [f"{name}-backup.timer", *(f"flowstead-secrets@{name}-{one}.timer" for one in SECRETS)]
    return [*timers, f"{name}-recover.service", *releases]


def files(name: str) -> list[Path]:
    """Name what is the server's on the host, but for its programs."""
    project = name.removeprefix("mlflow-")
    return [
        *(Path(f"/etc/systemd/system/{name}{part}") for part in (*PARTS, "-garbage.service")),
        *(Path(f"/etc/flowstead/secrets.d/{name}-{one}.json") for one in SECRETS),
        *(Path(f"/run/flowstead/{name}{part}") for part in (".env", "-aws.json")),
        *(Path(f"/run/flowstead/{name}-{one}") for one in PASSWORDS),
        Path(f"/var/lib/systemd/timers/stamp-{name}-backup.timer"),
        Path(f"/etc/nginx/{name}-upstream.conf"),
        Path(f"/usr/local/sbin/flowstead-gateway-{project}"),
        *(Path(f"/var/lib/{name}{part}") for part in ("", "-change", "-garbage")),
        *(Path(f"/run/{name}-change"), Path(f"/etc/{name}")),
    ]


def retire(name: str) -> None:
    """Stop the server, and remove what is its own."""
    models = PROGRAMS / "models/models.py"
    if models.exists():
        # It knows whether there are any of the server's.
        subprocess.run(["/usr/bin/python3", "-B", str(models), "remove", name], check=True)
    systemctl("disable", "--now", *enabled(name))
    # By whole names: another server's may begin as this one's.
    oneshot = [f"{name}-{one}.service" for one in ("recover", "backup", "garbage")]
    oneshot += [f"flowstead-secrets@{name}-{one}.service" for one in SECRETS]
    systemctl("stop", f"{name}@*.service", f"{name}-rehearsal@*.service", *oneshot)
    for path in files(name):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    systemctl("daemon-reload")
    subprocess.run(["/usr/sbin/userdel", name], check=False, stderr=subprocess.DEVNULL)
    shutil.rmtree(PROGRAMS / name, ignore_errors=True)


def main() -> int:
    """Take one server after the other off the host; return the exit status."""
    parser = argparse.ArgumentParser(description="Take servers of MLflow off the host.")
    parser.add_argument("name", nargs="+", help="mlflow-SOMETHING")
    for name in parser.parse_args().name:
        if not re.fullmatch(r"mlflow-[a-z0-9-]+", name):
            print(f"{name} is not the name of a further server", file=sys.stderr)
            return 2
        if is_busy(name):
            print(f"{name} is busy with a change or a backup: wait, then run this again", file=sys.stderr)
            return 1
        retire(name)
        print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
