"""Measure what a user waits for, and print a table: python scripts/bench.py, or make bench.

Everything is measured in copies of the project with local AWSs of their own: nothing that runs here is hurt.
No-ops are the best of three, each beside a floor: what the tools below take for the same in this run. With
--demo the three demos are measured too, which builds everything anew, in an image store of its own, and takes
minutes; with --test also how long `make test` takes.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

PROJECT = Path(__file__).resolve().parent.parent
# The tests bring up a local AWS and a deployment in the same way.
sys.path.insert(0, str(PROJECT / "tests" / "end_to_end"))

from deployed import Deployment, Sandbox, base_environment, copy_project, run  # noqa: E402 - found by the line above

SANDBOX = "bench"
REPEATS = 3
BARE_CALLS = """
import sys, boto3
client = boto3.client("ec2")
for _ in range(int(sys.argv[1])):
    client.describe_vpcs()
"""
EMPTY_PLAY = """
- hosts: tracking_servers
  gather_facts: false
  tasks: []
"""
PINGS = """
- hosts: tracking_servers
  gather_facts: false
  tasks:
    - ansible.builtin.ping:
      loop: "{{{{ range({tasks}) | list }}}}"
"""


@dataclass
class Results:
    """The rows of the table, in the order they were measured."""

    console: Console
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)

    def add(self, what: str, took: str, aim: str = "", note: str = "") -> None:
        """Keep a row, and show it at once: the whole takes minutes."""
        self.rows.append((what, took, aim, note))
        self.console.print(f"{what}: {took} {note}".rstrip(), style="dim", highlight=False)

    def print(self) -> None:
        """Print the table."""
        table = Table("what", "took", "aim", "note", title="Flowstead: what a user waits for")
        table.columns[1].justify = "right"
        for row in self.rows:
            table.add_row(*row)
        self.console.print(table)


def timed(action: Callable[[], object]) -> float:
    """How long something takes, in seconds."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def best(action: Callable[[], object]) -> float:
    """How long something takes at best, in seconds."""
    return min(timed(action) for _ in range(REPEATS))


def seconds(value: float) -> str:
    """Write seconds the way a person reads them."""
    return f"{value:.1f} s" if value < 60 else f"{int(value) // 60} min {int(value) % 60} s"  # noqa: PLR2004 - a minute


def measure_commands(results: Results, directory: Path) -> None:
    """The two commands, the first time and when there is nothing to do, against their floors."""
    copy_project(directory)
    sandbox = Sandbox.up(directory, SANDBOX)
    deployment = Deployment(sandbox, directory)

    took = timed(deployment.provision)
    results.add("provision.py, first run", seconds(took), note=f"{len(sandbox.calls())} API calls")
    before = len(sandbox.calls())
    deployment.provision()
    calls = len(sandbox.calls()) - before
    results.add(
        "provision.py, nothing to do", seconds(best(deployment.provision)), "2 s", f"{calls} of 25 API calls"
    )
    bare = ("python", "-c", BARE_CALLS, str(calls))
    floor = best(lambda: run(*bare, cwd=directory, env=sandbox.env))
    results.add("  floor: import boto3 and as many calls, one by one", seconds(floor))
    floor = best(lambda: run("python", "-c", "import boto3", cwd=directory, env=sandbox.env))
    results.add("  floor: import boto3", seconds(floor))

    took = timed(lambda: deployment.playbook("site.yml"))
    results.add("site.yml, first run", seconds(took))
    said = deployment.playbook("site.yml").stdout
    tasks = sum(int(number) for number in re.findall(r"ok=(\d+)", said))
    took = best(lambda: deployment.playbook("site.yml"))
    results.add("site.yml, nothing to do", seconds(took), "20 s", f"{tasks} tasks")
    for name, text in (
        ("an empty play", EMPTY_PLAY),
        (f"a play of {tasks} pings", PINGS.format(tasks=tasks)),
    ):
        play = directory / "floor.yml"
        play.write_text(text, encoding="utf-8")
        results.add(f"  floor: {name}", seconds(best(lambda: deployment.playbook("floor.yml"))))


def measure_demos(results: Results, directory: Path) -> None:
    """`make demo` with nothing there but apt's packages, with the images there, and while it is up."""
    copy_project(directory)
    (directory / ".venv").unlink()
    storage = directory / "storage.conf"
    storage.write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{directory}/images"\nrunroot = "{directory}/run"\n',
        encoding="utf-8",
    )
    environment = base_environment() | {"CONTAINERS_STORAGE_CONF": str(storage)}

    def make(target: str) -> None:
        run("make", target, cwd=directory, env=environment, timeout_s=3600)

    try:
        results.add("make demo, first", seconds(timed(lambda: make("demo"))), note="apt packages were there")
        make("stop")
        results.add("make demo, images cached", seconds(timed(lambda: make("demo"))), "2 min")
        results.add("make demo, while it is up", seconds(timed(lambda: make("demo"))), "1 min")
    finally:
        make("clean")
        # podman keeps its store mounted upon itself.
        run("umount", "--lazy", f"{directory}/images/overlay", cwd=directory, env=environment, check=False)


def count_tests(results: Results) -> None:
    """How much `make test` runs."""
    for part in ("unit", "end_to_end"):
        command = ("python", "-m", "pytest", "--collect-only", "--quiet", f"tests/{part}")
        said = run(*command, cwd=PROJECT, env=base_environment(), check=False).stdout
        found = re.search(r"(\d+) tests? collected", said)
        results.add(f"make test: tests/{part}", f"{found[1]} tests" if found else "not collected")
    scenarios = len(list(PROJECT.glob("molecule/*/molecule.yml")))
    results.add("make test: molecule", f"{scenarios} scenarios")


def main() -> None:
    """Measure, clear up, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--demo", action="store_true", help="measure make demo, too")
    parser.add_argument("--test", action="store_true", help="measure make test, too")
    parser.add_argument("--json", metavar="PATH", type=Path, help="write the rows there as well")
    chosen = parser.parse_args()
    results = Results(Console())
    if chosen.demo:
        with tempfile.TemporaryDirectory(prefix="flowstead-bench-", ignore_cleanup_errors=True) as name:
            measure_demos(results, Path(name))
    with tempfile.TemporaryDirectory(prefix="flowstead-bench-", ignore_cleanup_errors=True) as name:
        try:
            measure_commands(results, Path(name))
        finally:
            down = (sys.executable, "-m", "sandbox", "down", "--name", SANDBOX)
            subprocess.run(down, cwd=name, env=base_environment(), check=False)
    count_tests(results)
    if chosen.test:
        took = timed(lambda: run("make", "test", cwd=PROJECT, env=base_environment(), timeout_s=7200))
        results.add("make test", seconds(took))
    results.print()
    if chosen.json:
        chosen.json.write_text(json.dumps(results.rows, indent=1, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
