"""What pg_dump and pg_restore write. Managed by Ansible."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from flowstead_host.errors import ChangeError

# What scripts of pg_dump and pg_restore 17 say among the first lines, and an older server does not know.
UNKNOWN_TO_OLDER = b"\nSET transaction_timeout = 0;\n"
FIRST_BYTES = 4096


def make_known_to_older(script: Path) -> None:
    """Make a comment, in place, of the line of an SQL script that an older server does not know."""
    with script.open("r+b") as file:
        at = file.read(FIRST_BYTES).find(UNKNOWN_TO_OLDER)
        if at >= 0:
            file.seek(at + 1)
            file.write(b"-- ")


def rows_in(path: Path) -> dict[str, int]:
    """Read a dump from beginning to end; return the number of rows in it, by table."""
    argv = ("pg_restore", "--data-only", "--file=-", str(path))
    counts: dict[str, int] = {}
    table = ""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            if table:
                if line == "\\.\n":
                    table = ""
                else:
                    counts[table] += 1
            elif found := re.match(r'COPY public\."?([^" ]+)"? ', line):
                table = found[1]
                counts[table] = 0
        words = process.stderr.read() if process.stderr else ""
    if process.returncode != 0:
        raise ChangeError(f"The dump cannot be read back: {words.strip()[-500:]}")
    return counts
