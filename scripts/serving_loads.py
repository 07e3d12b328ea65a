"""The loads that `make bench-serving` puts on a server: log-batch, searches, one large file, spans."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import ssl
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SCRIPT = Path(__file__).with_name("load.lua")
# Longer than any answer took: nothing may be counted as failed because this client has no patience.
PATIENCE_S = 150
SEARCHERS = 4
# A file that takes longer has failed.
LONGEST_S = 900
SPANS_A_REQUEST = 100
SENDERS = 10


@dataclass(frozen=True)
class Target:
    """A server: its address, the Authorization header that it wants, the CA that it is known by (a file)."""

    url: str
    login: str = ""
    ca_file: str = ""


@dataclass(frozen=True)
class Result:
    """What was measured: a number of which more is better, and the cell of the table."""

    rate: float
    text: str

    def __str__(self) -> str:
        """Write it as a cell."""
        return self.text


def crowd(
    target: Target, callers: int, lasts_s: int, asked: Mapping[str, str], *, seconds: bool = False
) -> Result:
    """Ask in a closed loop, each caller by one connection.

    Args:
        target: the server.
        callers: how many ask.
        lasts_s: for how long.
        asked: what load.lua is told: RUNS, or PATH_ASKED and BODY.
        seconds: tell how long one answer takes rather than how many a second there are.

    """
    environment = {"PATH": os.environ["PATH"], **asked}
    if target.login:
        environment["LOGIN"] = target.login
    command = ["wrk", "--threads", "1", "--connections", str(callers), "--duration", f"{lasts_s}s"]
    command += ["--timeout", f"{PATIENCE_S}s", "--script", str(SCRIPT), target.url]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    good, failed = found["requests"] - found["refused"], found["failed"]
    rate = good / found["seconds"]
    if not good:
        return Result(0, f"no answer within {lasts_s} s, {failed} failed")
    share = failed / max(found["requests"] + failed - found["refused"], 1)
    said = f"{callers / rate:.2f} s" if seconds else f"{rate:.0f}/s"
    return Result(rate, f"{said}, p99 {found['p99_s']:.2f} s, {failed} failed ({share:.1%})")


def log_batch(target: Target, callers: int, runs: str, lasts_s: int) -> Result:
    """Log ten metrics a request."""
    return crowd(target, callers, lasts_s, {"RUNS": runs})


def search(target: Target, experiment: str, lasts_s: int) -> Result:
    """Look for the best hundred of an experiment's runs, as the UI does."""
    body = {"experiment_ids": [experiment], "order_by": ["metrics.m1 DESC"], "max_results": 100}
    asked = {"PATH_ASKED": "/api/2.0/mlflow/runs/search", "BODY": json.dumps(body)}
    return crowd(target, SEARCHERS, lasts_s, asked, seconds=True)


def transfer(target: Target, mib: int) -> tuple[Result, Result]:
    """Upload a file, and download it again."""
    url = f"{target.url}/api/2.0/mlflow-artifacts/artifacts/bench/{secrets.token_hex(4)}"
    # Nothing secret in arguments.
    settings = f'header = "Authorization: {target.login}"\n' if target.login else ""
    settings += f'cacert = "{target.ca_file}"\n' if target.ca_file else ""
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(mib * 2**20)
        up = _curl(url, mib, settings, "--upload-file", file.name)
    return up, _curl(url, mib, settings)


def _curl(url: str, mib: int, settings: str, *options: str) -> Result:
    written = "%{http_code} %{time_starttransfer} %{time_total}"
    command = [
        "curl",
        "--silent",
        "--max-time",
        str(LONGEST_S),
        "--config",
        "-",
        "--output",
        os.devnull,
        "--write-out",
        written,
    ]
    done = subprocess.run(
        [*command, *options, url], input=settings, capture_output=True, text=True, check=False
    )
    status, first_s, total_s = done.stdout.split()
    if status != "200":
        return Result(0, f"failed: {status}")
    rate = mib / float(total_s)
    return Result(
        rate, f"{rate:.0f} MiB/s" + ("" if options else f", first byte after {float(first_s):.1f} s")
    )


def spans(target: Target, experiment: str, per_s: int, lasts_s: int) -> Result:
    """Send spans at a rate, as OpenTelemetry's exporters do."""
    seconds: list[float] = []
    failed: list[str] = []
    pause_s = SPANS_A_REQUEST * SENDERS / per_s
    began = time.monotonic()

    def send(number: int) -> None:
        due = began + number * pause_s / SENDERS
        while due < began + lasts_s:
            time.sleep(max(due - time.monotonic(), 0))
            asked = time.monotonic()
            status = _post(target, experiment, some_spans())
            seconds.append(time.monotonic() - asked)
            if status != 200:  # noqa: PLR2004 - HTTP's own
                failed.append(str(status))
            due += pause_s

    senders = [threading.Thread(target=send, args=(number,)) for number in range(SENDERS)]
    for one in senders:
        one.start()
    for one in senders:
        one.join()
    taken = (len(seconds) - len(failed)) * SPANS_A_REQUEST / (time.monotonic() - began)
    p99 = statistics.quantiles(seconds, n=100)[-1]
    return Result(taken, f"{taken:.0f} spans/s, p99 {p99:.2f} s, {len(failed)} failed")


def some_spans() -> bytes:
    """Make a trace, as a call of a language model is told."""
    message = ExportTraceServiceRequest()
    scope = message.resource_spans.add().scope_spans.add()
    trace, root, now = secrets.token_bytes(16), secrets.token_bytes(8), time.time_ns()
    for number in range(SPANS_A_REQUEST):
        span = scope.spans.add(
            trace_id=trace, span_id=secrets.token_bytes(8) if number else root, name="call"
        )
        span.parent_span_id = root if number else b""
        span.start_time_unix_nano, span.end_time_unix_nano = now + number, now + 10**6 + number
        for name in ("gen_ai.request.model", "input", "output"):
            span.attributes.add(key=name).value.string_value = "x" * 200
    return bytes(message.SerializeToString())


def _post(target: Target, experiment: str, body: bytes) -> int:
    address = urlsplit(target.url)
    connection = http.client.HTTPConnection(address.netloc, timeout=PATIENCE_S)
    if address.scheme == "https":
        context = ssl.create_default_context(cafile=target.ca_file or None)
        connection = http.client.HTTPSConnection(address.netloc, timeout=PATIENCE_S, context=context)
    headers = {"Content-Type": "application/x-protobuf", "x-mlflow-experiment-id": experiment}
    if target.login:
        headers["Authorization"] = target.login
    try:
        connection.request("POST", "/v1/traces", body, headers)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()
