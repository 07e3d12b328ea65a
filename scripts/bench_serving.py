"""Measure what a server carries, and print a table: python scripts/bench_serving.py, or make bench-serving.

A deployment in a local AWS of its own gets what servers get: log-batch requests of 16, 100 and 500 callers,
each of whom waits for an answer before it asks again; searches over 10,000 and 100,000 runs; a large file up
and down; spans at a rate. So does, on the same host, with the same database and bucket and in the same run,
the line that others start by hand: `mlflow server` with its defaults, without a login and without TLS.
Clients, server and database share this machine. It takes about 20 minutes; `--quick` tries small numbers.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from serving_loads import Result, Target, log_batch, search, spans, transfer

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT / "tests" / "end_to_end"))

from deployed import (  # noqa: E402 - found by the line above
    Deployment,
    Sandbox,
    ask,
    base_environment,
    copy_project,
    run,
)

NAME = "serving"
CALLERS = (16, 100, 500)
RUNS = 100
SPANS_PER_S = 1000
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
    --setenv=AWS_CONFIG_FILE=/etc/mlflow/aws.conf --setenv=AWS_SHARED_CREDENTIALS_FILE=/dev/null \
    /opt/mlflow/releases/{version}/bin/mlflow server --host 0.0.0.0 --port {port} --workers 4 \
    --allowed-hosts '*' --uvicorn-opts '--loop asyncio --http h11 --no-access-log'
"""


# What many trainings leave in the database.
FILL = """
set -eu
address=$(sed -n 's/^MLFLOW_BACKEND_STORE_URI=//p' /etc/mlflow/{version}.env)
export PGPASSFILE=/run/flowstead/pgpass
psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 "${{address/+psycopg2/}}" <<'END'
INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time,
  end_time, source_version, lifecycle_stage, artifact_uri, experiment_id)
  SELECT md5('{experiment}/' || i), 'run-' || i, 'LOCAL', 'train.py', '', 'bench', 'FINISHED',
  1700000000000 + i, 1700000000000 + i, '', 'active',
  'mlflow-artifacts:/{experiment}/' || md5('{experiment}/' || i) || '/artifacts', {experiment}
  FROM generate_series(1, {runs}) AS i;
INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid)
  SELECT 'm' || k, random(), 1700000000000, 1, false, md5('{experiment}/' || i)
  FROM generate_series(1, {runs}) AS i, generate_series(1, 5) AS k;
INSERT INTO params (key, value, run_uuid)
  SELECT 'p' || k, (i % 10)::text, md5('{experiment}/' || i)
  FROM generate_series(1, {runs}) AS i, generate_series(1, 5) AS k;
INSERT INTO tags (key, value, run_uuid)
  SELECT 't' || k, (i % 10)::text, md5('{experiment}/' || i)
  FROM generate_series(1, {runs}) AS i, generate_series(1, 3) AS k;
END
# Until the database has counted its new rows, which it does by itself within minutes, searches are slow.
not_counted="SELECT count(*) FROM pg_stat_user_tables WHERE n_mod_since_analyze > 1000 + n_live_tup / 5
  AND relname IN ('runs', 'latest_metrics', 'params', 'tags')"
count() {{ psql --no-psqlrc --tuples-only --no-align --command "$not_counted" "${{address/+psycopg2/}}"; }}
until [ "$(count)" = 0 ]; do sleep 2; done
"""


@dataclass(frozen=True)
class Size:
    """How much is asked for: seconds of each load, runs that are searched, MiB of the file."""

    lasts_s: int = 60
    searched: tuple[int, ...] = (10_000, 100_000)
    file_mib: int = 2048


QUICK = Size(lasts_s=5, searched=(2000,), file_mib=64)


class Data:
    """What is asked for, on a deployment: the same for both servers."""

    def __init__(self, deployment: Deployment, version: str, size: Size) -> None:
        self._client = deployment.client_environment
        self.size = size
        experiment = self._experiment("load")
        made = [self._call("runs/create", {"experiment_id": experiment}) for _ in range(RUNS)]
        self.runs = " ".join(one["run"]["info"]["run_id"] for one in made)
        self.spans_in = self._experiment("spans")
        self.searched = {runs: self._experiment(f"search {runs}") for runs in size.searched}
        for runs, place in self.searched.items():
            fill = FILL.format(version=version, experiment=int(place), runs=runs)
            deployment.host(fill, timeout_s=600)

    def _experiment(self, name: str) -> str:
        return str(self._call("experiments/create", {"name": name})["experiment_id"])

    def _call(self, path: str, body: dict[str, Any]) -> Any:
        status, said = ask(self._client, f"/api/2.0/mlflow/{path}", method="POST", body=body)
        if status != 200:  # noqa: PLR2004 - HTTP's own
            raise SystemExit(f"bench: {path} was answered with {status}: {said.decode()}")
        return json.loads(said)


def measured(target: Target, data: Data) -> Iterator[tuple[str, Result]]:
    """Put every load on a server, one after the other."""
    size = data.size
    log_batch(target, CALLERS[0], data.runs, 5)
    for runs, experiment in data.searched.items():
        found = search(target, experiment, max(size.lasts_s // 3, 5))
        yield f"best 100 of {runs:,} runs, 4 callers", found
    up, down = transfer(target, size.file_mib)
    yield f"a file of {size.file_mib} MiB up", up
    yield "and down", down
    name = f"{SPANS_PER_S:,} spans a second over OTLP"
    yield name, spans(target, data.spans_in, SPANS_PER_S, size.lasts_s)
    # Last, as a server that cannot keep up still works on what nobody waits for any more.
    for callers in CALLERS:
        yield (
            f"log-batch of 10 metrics, {callers} callers",
            log_batch(target, callers, data.runs, size.lasts_s),
        )
        time.sleep(5)


def memory_mib(deployment: Deployment) -> int:
    """What MLflow's processes hold, in MiB; what several share counts once."""
    # A process may end while it is asked.
    each = "pgrep -u mlflow | while read id; do cat /proc/$id/smaps_rollup 2>/dev/null; done"
    said = deployment.host(f"{each} | awk '/^Pss:/ {{sum += $2}} END {{print sum + 0}}'")
    return int(said) // 1024


def first_answer_s(deployment: Deployment, start: str, port: str) -> float:
    """Start a server, and return the seconds until it answers."""
    waits = (
        f"until curl --silent --fail --output /dev/null http://127.0.0.1:{port}/health; do sleep 0.05; done"
    )
    said = deployment.host(f"{start}\nbegan=$(date +%s%N)\n{waits}\necho $(( $(date +%s%N) - began ))")
    return int(said.splitlines()[-1]) / 1e9


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


def row(name: str, mine: float, theirs: float, unit: str, table: Table) -> None:
    """Add what was measured on the host, of which less is better."""
    table.add_row(name, f"{mine:.1f} {unit}", f"{theirs:.1f} {unit}", f"{mine / max(theirs, 0.01):.1f} times")


def main() -> None:
    """Measure, clear up, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small numbers: does it work?")
    size = QUICK if parser.parse_args().quick else Size()
    console = Console(width=None if sys.stdout.isatty() else 150)
    table = Table("", "Flowstead", "mlflow server, plain", "ratio")
    with deployed() as deployment:
        client = deployment.client_environment
        version = json.loads(deployment.host("cat /etc/mlflow/serving.json"))["version"]
        login = f"{client['MLFLOW_TRACKING_USERNAME']}:{client['MLFLOW_TRACKING_PASSWORD']}"
        header = f"Basic {base64.b64encode(login.encode()).decode()}"
        data = Data(deployment, version, size)

        def measure(target: Target) -> tuple[dict[str, Result], int]:
            found = {}
            for name, result in measured(target, data):
                found[name] = result
                console.print(f"{target.url}, {name}: {result}", style="dim", highlight=False)
            return found, memory_mib(deployment)

        ours = Target(client["MLFLOW_TRACKING_URI"], header, client["MLFLOW_TRACKING_SERVER_CERT_PATH"])
        unit = f"mlflow@{version}.service"
        my_start = first_answer_s(
            deployment, f"systemctl restart {unit}", f"$(sed -n s/^MLFLOW_PORT=//p /etc/mlflow/{version}.env)"
        )
        mine, my_memory = measure(ours)
        open_port(deployment, PLAIN_PORT)
        plain = PLAIN.format(unit=PLAIN_UNIT, version=version, port=PLAIN_PORT)
        their_start = first_answer_s(deployment, plain, str(PLAIN_PORT))
        theirs, their_memory = measure(
            Target(f"http://{deployment.provisioned['public_address']}:{PLAIN_PORT}")
        )
    for name, one in mine.items():
        other = theirs[name]
        ratio = f"{one.rate / other.rate:.1f} times" if other.rate else ""
        table.add_row(name, str(one), str(other), ratio)
    row("memory afterwards", my_memory, their_memory, "MiB", table)
    row("first answer after", my_start, their_start, "s", table)
    console.print(table)


if __name__ == "__main__":
    main()
