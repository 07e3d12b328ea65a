"""Spoil what a role manages, or look at it; runs on the host.

Arguments: `spoil` or `look`, and a JSON object: files and units (lists), edits (lists of path, old and new
text), deleted (files to delete), commands (other spoiling), kind ("content" or "permissions": of the files).
Prints as JSON what is there before anything is spoilt: each file's hash, mode, owner and group,
each unit's state.
"""

import hashlib
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

NOBODY = 65534


def state(path: Path) -> list[str]:
    """Return hash, mode, owner and group of a file or directory."""
    if not path.exists():
        return ["absent"]
    found = path.stat()
    content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "directory"
    return [content, oct(found.st_mode), str(found.st_uid), str(found.st_gid)]


def unit_state(unit: str) -> list[str]:
    """Return whether a unit is enabled and whether it runs."""
    command = ["systemctl", "show", "--value", "--property=UnitFileState,ActiveState", unit]
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout.split()


def spoil_file(number: int, path: Path, kind: str) -> None:
    """Change a file's content, or else its mode, its owner or its group by turns."""
    if kind == "content":
        with path.open("a") as stream:
            stream.write("# drift\n")
    elif number % 3 == 0:
        path.chmod(path.stat().st_mode ^ 0o022)
    else:
        os.chown(path, *((NOBODY, -1) if number % 3 == 1 else (-1, NOBODY)))


order, given = sys.argv[1], json.loads(sys.argv[2])
files = [Path(path) for path in given["files"]]
edits = [(Path(path), old, new) for path, old, new in given["edits"]]
deleted = [Path(path) for path in given["deleted"]]
looked_at = [*files, *(path for path, _, _ in edits), *deleted]
print(
    json.dumps(
        {str(path): state(path) for path in looked_at} | {unit: unit_state(unit) for unit in given["units"]}
    )
)
if order == "spoil":
    for number, path in enumerate(files):
        spoil_file(number, path, given["kind"])
    for path, old, new in edits:
        path.write_text(path.read_text().replace(old, new))
    for path in deleted:
        path.unlink()
    for unit in given["units"]:
        subprocess.run(["systemctl", "disable", "--quiet", "--now", unit], check=True)
    for command in given["commands"]:
        subprocess.run(shlex.split(command), check=True, stdout=subprocess.DEVNULL)
