"""Measure what a user waits for, and print a table: python scripts/bench.py, or make bench.

Everything is measured in a copy of the project with a local AWS and an image store of its own: nothing that
runs here is hurt. The first demo builds and downloads everything anew, but apt's packages; the figures of
first runs are those of the demo with its images cached. No-ops are the best of three, each with a floor:
what the tools below take for the same in this run. The whole takes about twenty minutes; --quick leaves
the first demo out and uses the images that are here.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

PROJECT = Path(__file__).resolve().parent.parent
# The tests bring up a local AWS and a deployment in the same way.
sys.path.insert(0, str(PROJECT / "tests" / "end_to_end"))

from deployed import (  # noqa: E402 - found by the line above
    Deployment,
    Sandbox,
    base_environment,
    copy_project,
    run,
)
from upgrading import OLDER_SCHEMA, use  # noqa: E402

SANDBOX = "demo"
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
# Into an environment and a cache of its own, as at a first install.
SYNC = """
set -eu
place=$(mktemp --directory /var/tmp/floor.XXXXXX)
trap 'rm -rf "$place"' EXIT
cat >"$place/lock" <<'LOCK'
@LOCK@
LOCK
export UV_CACHE_DIR="$place/cache" UV_SYSTEM_CERTS=true
uv=/opt/flowstead/uv/bin/uv
"$uv" venv --quiet --python /usr/bin/python3 "$place/release"
start=$(date +%s.%N)
"$uv" pip sync --quiet --require-hashes --no-build --python "$place/release/bin/python" "$place/lock"
end=$(date +%s.%N)
echo "$start $end"
"""


@dataclass
class Results:
    """The rows of the table, in the order they were measured."""

    console: Console
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)

    def add(self, what: str, took: str, aim: str = "", note: str = "") -> None:
        """Keep a row, and show it immediately: the whole takes minutes."""
        self.rows.append((what, took, aim, note))
        self.console.print(f"{what}: {took} {note}".rstrip(), style="dim", highlight=False)

    def print(self) -> None:
        """Print the table."""
        table = Table("what", "took", "aim", "note", title="Flowstead: what a user waits for")
        table.columns[1].justify = "right"
        for row in self.rows:
            table.add_row(*row)
        self.console.print(table)


@dataclass(frozen=True)
class Demo:
    """One `make demo`: what it took, and the two commands in it, in seconds."""

    total_s: float
    provision_s: float
    api_calls: int
    site_s: float
    mlflow_s: float

    @classmethod
    def of(cls, said: str, total_s: float) -> Demo:
        """Read what a demo said."""
        provision = re.search(r"^Done: .*\[([\d.]+) s, (\d+) API calls\]", said, re.MULTILINE)
        roles = dict(re.findall(r"^(\w+) -+ ([\d.]+)s$", said, re.MULTILINE))
        mlflow_s = [float(took) for role, took in roles.items() if role.startswith("mlflow_")]
        if not provision or "total" not in roles or not mlflow_s:
            raise SystemExit(f"bench: make demo did not say what it took:\n{said[-4000:]}")
        seconds_of = float(provision[1]), int(provision[2]), float(roles["total"]), sum(mlflow_s)
        return cls(total_s, *seconds_of)


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


@contextlib.contextmanager
def own_storage(directory: Path) -> Iterator[None]:
    """Keep images and downloads in a directory of our own: what is here would make a first demo quick."""
    storage = directory / "storage.conf"
    storage.write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{directory}/images"\nrunroot = "{directory}/run"\n',
        encoding="utf-8",
    )
    # Every command that follows is told by its environment.
    os.environ |= {
        "CONTAINERS_STORAGE_CONF": str(storage),
        "UV_CACHE_DIR": f"{directory}/uv",
        "PIP_NO_CACHE_DIR": "1",
    }
    try:
        yield
    finally:
        # podman keeps its store mounted upon itself.
        mount = ("umount", "--lazy", f"{directory}/images/overlay")
        run(*mount, cwd=directory, env=base_environment(), check=False)


def make(directory: Path, target: str) -> tuple[str, float]:
    """Run `make` in a copy; what it said, and the seconds it took."""
    environment = base_environment() | {"ANSIBLE_CALLBACKS_ENABLED": "ansible.posix.profile_roles"}
    start = time.perf_counter()
    said = run("make", target, cwd=directory, env=environment, timeout_s=3600).stdout
    return said, time.perf_counter() - start


def measure_demos(results: Results, directory: Path, *, quick: bool) -> Demo:
    """`make demo` from nothing, from images, and while it is up; it is up afterwards."""
    if not quick:
        first = Demo.of(*make(directory, "demo"))
        results.add("make demo, first", seconds(first.total_s), note="apt packages were there")
        make(directory, "stop")
    cached = Demo.of(*make(directory, "demo"))
    results.add("make demo, images cached", seconds(cached.total_s), "90 s")
    results.add(
        "  provision.py, first run", seconds(cached.provision_s), note=f"{cached.api_calls} API calls"
    )
    results.add("  site.yml, first run", seconds(cached.site_s), "75 s")
    results.add("make demo, while it is up", seconds(make(directory, "demo")[1]), "20 s")
    return cached


def measure_provision(results: Results, deployment: Deployment) -> None:
    """`provision.py` with nothing to do, against its floors."""
    sandbox, directory = deployment.sandbox, deployment.clone
    before = len(sandbox.calls())
    deployment.provision()
    calls = len(sandbox.calls()) - before
    took = best(deployment.provision)
    results.add("provision.py, nothing to do", seconds(took), "2 s", f"{calls} of 25 API calls")
    bare = ("python", "-c", BARE_CALLS, str(calls))
    floor = best(lambda: run(*bare, cwd=directory, env=sandbox.env))
    results.add("  floor: import boto3 and as many calls, one by one", seconds(floor))
    floor = best(lambda: run("python", "-c", "import boto3", cwd=directory, env=sandbox.env))
    results.add("  floor: import boto3", seconds(floor))


def measure_site(results: Results, deployment: Deployment) -> None:
    """`site.yml` with nothing to do, against its floors."""
    said: list[str] = []
    took = best(lambda: said.append(deployment.playbook("site.yml").stdout))
    tasks = sum(int(number) for number in re.findall(r"ok=(\d+)", said[-1]))
    ping = ("ansible", "all", "--module-name", "ping")
    pings = best(lambda: run(*ping, cwd=deployment.clone, env=deployment.environment))
    ratio = f"{took / pings:.1f} times the ping"
    results.add("site.yml, nothing to do", seconds(took), "5 pings", f"{tasks} tasks, {ratio}")
    results.add("  floor: ansible all -m ping", seconds(pings))
    floor = deployment.clone / "floor.yml"
    floor.write_text(EMPTY_PLAY, encoding="utf-8")
    results.add("  floor: an empty play", seconds(best(lambda: deployment.playbook(floor.name))))
    floor.write_text(PINGS.format(tasks=tasks), encoding="utf-8")
    took = timed(lambda: deployment.playbook(floor.name))
    results.add(f"  floor: a play of {tasks} pings", seconds(took), note="once")


def measure_mlflow(results: Results, deployment: Deployment, role_s: float) -> None:
    """The first install by MLflow's roles against uv alone, with the same lock, on the same host."""
    serving = json.loads(deployment.host("cat /etc/mlflow/serving.json"))
    lock = PROJECT / "roles" / "mlflow_release" / "files" / "locks" / f"{serving['version']}.txt"
    said = deployment.host(SYNC.replace("@LOCK@", lock.read_text(encoding="utf-8").strip()))
    start, end = (float(word) for word in said.split())
    ratio = role_s / (end - start)
    results.add(
        f"MLflow's roles, first install of {serving['version']}",
        seconds(role_s),
        note=f"{ratio:.1f} times the floor",
    )
    results.add("  floor: uv pip sync of the same lock on the same host", seconds(end - start))


def beside(deployment: Deployment, directory: Path, name: str, image: str) -> Deployment:
    """Make another deployment in the same local AWS, from a copy of the project of its own."""
    copy_project(directory)
    configuration = directory / "deployment.yml"
    text = configuration.read_text(encoding="utf-8")
    for key, value in (("name", name), ("  image", image)):
        text = re.sub(rf"^{key}:.*", f"{key}: {value}", text, count=1, flags=re.MULTILINE)
    configuration.write_text(text, encoding="utf-8")
    other = Deployment(deployment.sandbox, directory)
    other.provision()
    return other


def measure_baked(results: Results, deployment: Deployment, directory: Path) -> None:
    """The first `site.yml` on a host that starts from an image with everything in it."""
    deployment.provision("bake", timeout_s=1200)
    baked = beside(deployment, directory, "baked", "baked-debian-13")
    took = timed(lambda: baked.playbook("site.yml", timeout_s=600))
    results.add("site.yml, first run on a baked image", seconds(took), "35 s")


def measure_upgrade(results: Results, deployment: Deployment, directory: Path) -> None:
    """How long clients wait while an upgrade migrates the schema of small databases."""
    older = beside(deployment, directory, "older", "debian-13")
    older.playbook("site.yml", *use(OLDER_SCHEMA), timeout_s=600)
    said: list[str] = []
    took = timed(lambda: said.append(older.playbook("site.yml", timeout_s=600).stdout))
    flat = " ".join(said[0].split())
    held = re.search(r"asked to wait for ([\d.]+) s.*?Seconds: ([^.]*(?:\.\d[^.]*)*)", flat)
    if not held:
        raise SystemExit(f"bench: the upgrade did not say how long it held clients:\n{said[0][-4000:]}")
    results.add("upgrade that migrates: clients wait", seconds(float(held[1])), "8 s", held[2])
    results.add("  the whole upgrade", seconds(took))


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
    parser.add_argument("--quick", action="store_true", help="leave the first demo out")
    parser.add_argument("--test", action="store_true", help="measure make test, too")
    parser.add_argument("--json", metavar="PATH", type=Path, help="write the rows there as well")
    chosen = parser.parse_args()
    results = Results(Console(width=None if sys.stdout.isatty() else 120))
    with contextlib.ExitStack() as stack:
        name = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="flowstead-bench-", ignore_cleanup_errors=True)
        )
        directory = Path(name)
        copy_project(directory)
        if not chosen.quick:
            (directory / ".venv").unlink()
            stack.enter_context(own_storage(directory))
        down = ("python", "-m", "sandbox", "down", "--name", SANDBOX)
        stack.callback(lambda: run(*down, cwd=directory, env=base_environment(), check=False))
        demo = measure_demos(results, directory, quick=chosen.quick)
        deployment = Deployment(Sandbox.up(directory, SANDBOX), directory)
        measure_provision(results, deployment)
        measure_site(results, deployment)
        measure_mlflow(results, deployment, demo.mlflow_s)
        measure_baked(results, deployment, directory / ".cache" / "baked")
        measure_upgrade(results, deployment, directory / ".cache" / "older")
    count_tests(results)
    if chosen.test:
        took = timed(lambda: run("make", "test", cwd=PROJECT, env=base_environment(), timeout_s=7200))
        results.add("make test", seconds(took))
    results.print()
    if chosen.json:
        chosen.json.write_text(json.dumps(results.rows, indent=1, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
