#!/usr/bin/env python3
"""Print the end of a unit's journal without any secret: journal.py UNIT FILE. Managed by Ansible."""

from __future__ import annotations

import re
import subprocess
import sys

from flowstead_host.files import variables_in

LINES = 40


def main(unit: str, secrets_file: str) -> None:
    """Print the tail; every value of the secrets' file, and every password in an address, is struck out."""
    command = ["journalctl", "--unit", unit, "--lines", str(LINES), "--no-pager", "--output", "cat"]
    text = subprocess.run(command, stdout=subprocess.PIPE, text=True, errors="replace", check=False).stdout
    try:
        values = list(variables_in(secrets_file).values())
    except OSError:
        values = []
    for value in sorted(filter(None, values), key=len, reverse=True):
        text = text.replace(value, "***")
    print(re.sub(r"(://[^:/@\s]+:)[^@/\s]+@", r"\1***@", text))


if __name__ == "__main__":
    main(*sys.argv[1:])
