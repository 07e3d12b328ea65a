"""Measure what a server carries, and print a table: python scripts/bench_serving.py, or make bench-serving.

A deployment in a local AWS of its own gets log-batch requests of 16, 100 and 500 callers, each of whom waits
for an answer before it asks again; so does, on the same host, from the same database and in the same run, the
line that others start by hand: `mlflow server` with its defaults, without a login and without TLS. Client,
server and database share this machine. The whole takes about a quarter of an hour.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT / "tests" / "end_to_end"))

from deployed import (  # noqa: E402 - found by the line above
    Deployment,
    Sandbox,
    ask,
    base_environment,
    copy_project,
    run,
    until,
)

NAME = "serving"
CALLERS = (16, 100, 500)
RUNS = 100
LASTS_S = 60
# Longer than any answer took: nothing may be counted as failed because this client has no patience.
PATIENCE_S = 150
PLAIN_PORT = 5999
PLAIN_UNIT = "plain-mlflow"
# The release's own settings say where the database is; the rest of them goes, and so do the libraries that an
# `mlflow server` installed by pip does not have.
PLAIN = """
set -eu
systemctl stop 'mlflow@*'
systemd-run --quiet --collect --unit={unit} --uid=mlflow --gid=mlflow --working-directory=/tmp \
    --property=EnvironmentFile=/etc/mlflow/{version}.env \
    --property=EnvironmentFile=/run/flowstead/mlflow.env \
    --property='UnsetEnvironment=MLFLOW_SQLALCHEMYSTORE_POOL_SIZE MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW' \
    --property='UnsetEnvironment=MLFLOW_UVICORN_OPTS MLFLOW_SERVER_ENABLE_JOB_EXECUTION' \
    --property='UnsetEnvironment=MALLOC_ARENA_MAX PYTHONPATH' \
    /opt/mlflow/releases/{version}/bin/mlflow server --host 0.0.0.0 --port {port} --workers 4 \
    --allowed-hosts '*' --uvicorn-opts '--loop asyncio --http h11 --no-access-log'
"""


@dataclass(frozen=True)
class Load:
    """What came of a minute: requests, those refused among them, all that failed, the slowest of 100."""

    requests: int
    seconds: float
    refused: int
    failed: int
    p99_s: float

    @property
    def good_per_s(self) -> float:
        """Requests a second that did what they were for."""
        return (self.requests - self.refused) / self.seconds

    def __str__(self) -> str:
        """Write it as a cell of the table."""
        share = self.failed / max(self.requests + self.failed - self.refused, 1)
        return f"{self.good_per_s:.0f}/s, p99 {self.p99_s:.2f} s, {self.failed} failed ({share:.1%})"


def load(url: str, callers: int, environment: Mapping[str, str], lasts_s: int = LASTS_S) -> Load:
    """Put a load on a server: closed loop, one connection a caller."""
    command = ["wrk", "--threads", "1", "--connections", str(callers), "--duration", f"{lasts_s}s"]
    command += ["--timeout", f"{PATIENCE_S}s", "--script", str(PROJECT / "scripts" / "load.lua"), url]
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=True)
    return Load(**json.loads(done.stdout.splitlines()[-1]))


def make_runs(client: Mapping[str, str]) -> list[str]:
    """Make the runs that are logged to."""

    def call(path: str, body: dict[str, Any]) -> Any:
        status, said = ask(client, f"/api/2.0/mlflow/{path}", method="POST", body=body)
        if status != 200:  # noqa: PLR2004 - HTTP's own
            raise SystemExit(f"bench: {path} was answered with {status}: {said.decode()}")
        return json.loads(said)

    experiment = call("experiments/create", {"name": "load"})["experiment_id"]
    made = [call("runs/create", {"experiment_id": experiment}) for _ in range(RUNS)]
    return [one["run"]["info"]["run_id"] for one in made]


def memory_mib(deployment: Deployment) -> int:
    """What MLflow's processes hold, in MiB; what several share counts once."""
    # A process may end while it is asked.
    each = "pgrep -u mlflow | while read id; do cat /proc/$id/smaps_rollup 2>/dev/null; done"
    said = deployment.host(f"{each} | awk '/^Pss:/ {{sum += $2}} END {{print sum + 0}}'")
    return int(said) // 1024


def open_port(deployment: Deployment, port: int) -> None:
    """Let in to a port of the server who may come in by HTTPS."""
    ec2 = deployment.sandbox.client("ec2")
    groups = [group["GroupId"] for group in deployment.instances()[0]["SecurityGroups"]]
    for group in ec2.describe_security_groups(GroupIds=groups)["SecurityGroups"]:
        for rule in group["IpPermissions"]:
            if rule.get("FromPort") == 443:  # noqa: PLR2004 - HTTPS
                opened = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": rule["IpRanges"]}
                ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[opened])


@contextlib.contextmanager
def deployed() -> Iterator[Deployment]:
    """A deployment of its own, for as long as it is measured."""
    with contextlib.ExitStack() as stack:
        name = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="flowstead-serving-", ignore_cleanup_errors=True)
        )
        directory = Path(name)
        copy_project(directory)
        down = ("python", "-m", "sandbox", "down", "--name", NAME)
        stack.callback(lambda: run(*down, cwd=directory, env=base_environment(), check=False))
        deployment = Deployment(Sandbox.up(directory, NAME), directory)
        deployment.provision()
        deployment.playbook("site.yml")
        yield deployment


def main() -> None:
    """Measure, clear up, print."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    table = Table("log-batch of 10 metrics", "Flowstead", "mlflow server, plain", "ratio")
    with deployed() as deployment:
        client = deployment.client_environment
        version = json.loads(deployment.host("cat /etc/mlflow/serving.json"))["version"]
        login = f"{client['MLFLOW_TRACKING_USERNAME']}:{client['MLFLOW_TRACKING_PASSWORD']}"
        environment = {"PATH": os.environ["PATH"], "RUNS": " ".join(make_runs(client))}
        ours = environment | {"LOGIN": f"Basic {base64.b64encode(login.encode()).decode()}"}

        def measure(url: str, environment: Mapping[str, str]) -> tuple[list[Load], int]:
            load(url, CALLERS[0], environment, lasts_s=5)
            found = []
            for callers in CALLERS:
                found.append(load(url, callers, environment))
                console.print(f"{url}, {callers} callers: {found[-1]}", style="dim", highlight=False)
                # What is under way still ends: it is not the next one's.
                time.sleep(5)
            return found, memory_mib(deployment)

        mine, my_memory = measure(client["MLFLOW_TRACKING_URI"], ours)
        open_port(deployment, PLAIN_PORT)
        deployment.host(PLAIN.format(unit=PLAIN_UNIT, version=version, port=PLAIN_PORT))
        plain = f"http://{deployment.provisioned['public_address']}:{PLAIN_PORT}"
        probe = ("curl", "--silent", "--fail", "--max-time", "5", f"{plain}/health")
        until(
            lambda: run(*probe, cwd=PROJECT, env=environment, check=False).returncode == 0, "plain MLflow up"
        )
        theirs, their_memory = measure(plain, environment)
    for callers, one, other in zip(CALLERS, mine, theirs, strict=True):
        ratio = f"{one.good_per_s / max(other.good_per_s, 0.01):.1f} times"
        table.add_row(f"{callers} callers", str(one), str(other), ratio)
    table.add_row(
        "memory afterwards",
        f"{my_memory} MiB",
        f"{their_memory} MiB",
        f"{my_memory / max(their_memory, 1):.1f} times",
    )
    console.print(table)


if __name__ == "__main__":
    main()
