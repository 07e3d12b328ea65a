"""Tell what a run of the tests took: python scripts/timing.py begin | part NAME COMMAND... | report.

`begin` forgets the last run, `part` runs a command and notes its seconds, `report` prints a table: the
parts in the order in which they ended, the slowest tests, and how busy the machine's processors were; and
last of all, where a CI shows it, what those that failed said. The tests are those in the JUnit files that
pytest left (--junitxml=.cache/timing/NAME.xml).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from rich.console import Console
from rich.table import Table

NOTES = Path(__file__).resolve().parent.parent / ".cache" / "timing"
SLOWEST = 15
# Colours, the frame that Molecule puts around what Ansible prints, and where the next task begins there
COLOURS, FRAME = re.compile(r"\x1b\[[0-9;]*m"), re.compile(r"^ *│ ?", re.MULTILINE)
NEXT = re.compile(r"^(?=TASK \[|RUNNING HANDLER \[|PLAY |\S+ +➜ )", re.MULTILINE)
LINES_OF_ONE = 25
LINES_OF_A_PART = 75


def processors() -> dict[str, float]:
    """Return the seconds that the machine's processors were busy and idle since it booted (proc_stat(5))."""
    words = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()[1:9]
    user, nice, system, idle, iowait, irq, softirq, steal = (int(word) for word in words)
    ticks = os.sysconf("SC_CLK_TCK")
    busy, idle = user + nice + system + irq + softirq, idle + iowait
    return {"busy": busy / ticks, "idle": idle / ticks, "stolen": steal / ticks}


def begin() -> int:
    """Forget the last run, and note when this one begins."""
    NOTES.mkdir(parents=True, exist_ok=True)
    for path in NOTES.iterdir():
        path.unlink()
    note = {"time": time.time(), "processors": processors()}
    (NOTES / "begin.json").write_text(json.dumps(note), encoding="utf-8")
    return 0


def part(name: str, command: list[str]) -> int:
    """Run a command; note what it took, and what it said where nobody looks on. Its status is ours."""
    NOTES.mkdir(parents=True, exist_ok=True)
    began = time.time()
    if sys.stdout.isatty():
        status = subprocess.run(command, check=False).returncode
    else:
        # A file and no pipe: whoever outlives the command may hold it open.
        with (NOTES / f"{name}.log").open("w+b") as log:
            status = subprocess.run(command, check=False, stdout=log, stderr=subprocess.STDOUT).returncode
            log.seek(0)
            shutil.copyfileobj(log, sys.stdout.buffer)
    note = {"name": name, "began": began, "ended": time.time(), "status": status}
    (NOTES / f"{name}.json").write_text(json.dumps(note), encoding="utf-8")
    return status


def noted(path: Path) -> dict[str, Any]:
    """Read a note."""
    return dict(json.loads(path.read_text(encoding="utf-8")))


def tests() -> list[tuple[float, str]]:
    """Return the seconds and the name of every test of the run, the slowest first."""
    found: list[tuple[float, str]] = []
    for path in NOTES.glob("*.xml"):
        cases = ET.parse(path).iter("testcase")  # noqa: S314 - written by pytest a moment ago
        found += [
            (float(case.get("time", 0)), f"{case.get('classname')}::{case.get('name')}") for case in cases
        ]
    return sorted(found, reverse=True)


def complaints(said: str) -> list[str]:
    """Return the lines of a part's output that say why it failed: Ansible's failed tasks, pytest's errors."""
    plain = FRAME.sub("", COLOURS.sub("", said))
    found: list[str] = []
    for block in NEXT.split(plain):
        if re.search(r"^(fatal|failed): ", block, re.MULTILINE) and "...ignoring" not in block:
            found += [line for line in block.splitlines() if line.strip()][:LINES_OF_ONE]
    found += [line for line in plain.splitlines() if re.match(r"E  |(FAILED|ERROR) \S+::", line)]
    return found[-LINES_OF_A_PART:] or plain.splitlines()[-LINES_OF_ONE:]


def report() -> int:
    """Print the table, and what went wrong."""
    first = noted(NOTES / "begin.json")
    parts = sorted(
        (noted(path) for path in NOTES.glob("*.json") if path.name != "begin.json"),
        key=lambda one: float(one["ended"]),
    )
    took = time.time() - first["time"]
    used = {key: value - first["processors"][key] for key, value in processors().items()}
    console = Console(width=None if sys.stdout.isatty() else 130)
    table = Table("part", "began", "took", "", title="What the tests took, in seconds")
    table.columns[1].justify = table.columns[2].justify = "right"
    for one in parts:
        words = (f"{one['began'] - first['time']:.0f}", f"{one['ended'] - one['began']:.0f}")
        table.add_row(one["name"], *words, "" if one["status"] == 0 else "FAILED")
    table.add_section()
    table.add_row("all", "0", f"{took:.0f}", f"{int(took) // 60} min {int(took) % 60} s")
    console.print(table)
    slow = Table("seconds", "slowest tests")
    slow.columns[0].justify = "right"
    for seconds, name in tests()[:SLOWEST]:
        slow.add_row(f"{seconds:.0f}", name)
    console.print(slow)
    share = 100 * used["busy"] / max(1.0, sum(used.values()))
    console.print(
        f"Processors: {os.cpu_count()}, busy {used['busy']:.0f} s, idle {used['idle']:.0f} s, "
        f"taken by others on the machine's host {used['stolen']:.0f} s: {share:.0f} % used.",
        highlight=False,
    )
    for one in (one for one in parts if one["status"] != 0):
        console.print(f"\n{one['name']} failed:", highlight=False)
        log = NOTES / f"{one['name']}.log"
        if log.exists():
            text = log.read_text(encoding="utf-8", errors="replace")
            console.print(*complaints(text), sep="\n", markup=False, highlight=False)
    return 0


def main(words: list[str]) -> int:
    """Do what the first word says."""
    if words[:1] == ["begin"]:
        return begin()
    if words[:1] == ["part"] and len(words) > 2:  # noqa: PLR2004 - the word, a name, a command
        return part(words[1], words[2:])
    if words == ["report"]:
        return report()
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
