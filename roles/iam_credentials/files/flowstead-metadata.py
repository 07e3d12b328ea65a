#!/usr/bin/python3 -I
"""Say who reaches the instance metadata service: a line "root" when it is root alone, else what is wrong.

Runs with whatever Python the host has: standard library only. Exit status: 0 root alone, 1 not so.
"""

from __future__ import annotations

import contextlib
import pwd
import socket
import subprocess
import sys

# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
ADDRESS = ("169.254.169.254", 80)
UNIT = "flowstead-metadata.service"
TIMEOUT_S = 3
JUST_TRY = "try"
REFUSED = 3


def reaches() -> bool:
    """Tell whether this process reaches the service."""
    with contextlib.suppress(OSError), socket.create_connection(ADDRESS, timeout=TIMEOUT_S):
        return True
    return False


def another_user_reaches() -> bool:
    """Tell whether a process of nobody does."""
    nobody = pwd.getpwnam("nobody")
    argv = [sys.executable, "-I", __file__, JUST_TRY]
    identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    return subprocess.run(argv, cwd="/", check=False, **identity).returncode != REFUSED


def complaint() -> str:
    """Return what is wrong; nothing when root reaches the service and nobody else does."""
    if not reaches():
        return "root does not reach the metadata service: is the instance's metadata endpoint enabled?"
    if another_user_reaches():
        return f"others than root reach the metadata service: systemctl restart {UNIT}"
    if subprocess.run(["/usr/bin/systemctl", "is-enabled", "--quiet", UNIT], check=False).returncode != 0:
        return f"after the next boot others will reach the metadata service: systemctl enable {UNIT}"
    return ""


def main() -> int:
    """Print the answer; return the exit status."""
    if sys.argv[1:] == [JUST_TRY]:
        return 0 if reaches() else REFUSED
    wrong = complaint()
    print(wrong or "root")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
