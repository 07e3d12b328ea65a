#!/usr/bin/env python3
"""Print the end of a unit's journal without any secret: journal.py UNIT FILE. Managed by Ansible."""

import re
import subprocess
import sys
from pathlib import Path

LINES = 40


def unquote(value):
    """Return a value as systemd reads it from an EnvironmentFile (systemd.exec(5))."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value


def main(unit, secrets_file):
    """Print the tail; every value of the secrets' file, and every password in an address, is struck out."""
    command = ["journalctl", "--unit", unit, "--lines", str(LINES), "--no-pager", "--output", "cat"]
    text = subprocess.run(command, stdout=subprocess.PIPE, text=True, errors="replace", check=False).stdout
    try:
        values = [
            unquote(line.strip().partition("=")[2]) for line in Path(secrets_file).read_text().splitlines()
        ]
    except OSError:
        values = []
    for value in sorted(filter(None, values), key=len, reverse=True):
        text = text.replace(value, "***")
    print(re.sub(r"(://[^:/@\s]+:)[^@/\s]+@", r"\1***@", text))


if __name__ == "__main__":
    main(*sys.argv[1:])
