#!/usr/bin/env python3
"""Use MLflow as a client would, through this host's gateway: log a run, read it back, delete all of it.

Managed by Ansible. Run with a release's own Python as MLflow's user. It loads everything first, says "ready",
and waits: on standard input come as JSON `password`, and `pass`, which opens a gateway that holds other
clients off. At an end without them it does nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import ssl
import sys
import tempfile
from pathlib import Path
from typing import Any

import mlflow
from flowstead_host.settings import CHECKS
from mlflow import MlflowClient
from mlflow.tracking.request_header.abstract_request_header_provider import RequestHeaderProvider
from mlflow.tracking.request_header.registry import _request_header_provider_registry


def resolve_locally(name: str) -> None:
    """Reach the gateway on this host, whatever the name's address is: that may be out of reach here."""
    ask = socket.getaddrinfo

    def answer(host: Any, *rest: Any, **more: Any) -> Any:
        return ask("127.0.0.1" if host == name else host, *rest, **more)

    socket.getaddrinfo = answer


def show_pass(token: str) -> None:
    """Send the pass with every request."""

    class Pass(RequestHeaderProvider):
        """The header with the pass."""

        def in_context(self) -> bool:
            """Tell whether there is one."""
            return bool(token)

        def request_headers(self) -> dict[str, str]:
            """Return it."""
            return {"X-Flowstead-Pass": token}

    registry: Any = _request_header_provider_registry
    registry.register(Pass)


def use() -> None:
    """Log a run and see that it comes back, in an experiment that is in nobody's list before and after."""
    client = MlflowClient()
    experiment = client.get_experiment_by_name(CHECKS)
    if experiment and experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(CHECKS)
    try:
        log_and_read(client, experiment_id)
    finally:
        client.delete_experiment(experiment_id)


def log_and_read(client: MlflowClient, experiment_id: str) -> None:
    """Log parameters, metrics and an artifact, and see that they come back."""
    run_id = client.create_run(experiment_id).info.run_id
    client.log_param(run_id, "question", "does it answer?")
    for step in range(3):
        client.log_metric(run_id, "step", float(step), step=step)
    client.log_text(run_id, "it does", "answer.txt")
    client.set_terminated(run_id)

    run = client.get_run(run_id)
    history = [metric.value for metric in client.get_metric_history(run_id, "step")]
    with tempfile.TemporaryDirectory() as folder:
        text = Path(client.download_artifacts(run_id, "answer.txt", folder)).read_text()
    found = client.search_runs([experiment_id], f"attributes.run_id = '{run_id}'")
    seen = (run.data.params, history, text, [one.info.run_id for one in found])
    wanted = ({"question": "does it answer?"}, [0.0, 1.0, 2.0], "it does", [run_id])
    if seen != wanted:
        raise SystemExit(f"MLflow {mlflow.__version__} gave back {seen} instead of {wanted}")


def main() -> None:
    """Use the server that the arguments name."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--gateway", required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--ca-file", required=True)
    parser.add_argument("--username", required=True)
    arguments = parser.parse_args()
    print("ready", flush=True)
    words = sys.stdin.read()
    if not words:
        return
    told = json.loads(words)
    os.environ |= {
        "MLFLOW_TRACKING_URI": arguments.url,
        "MLFLOW_TRACKING_USERNAME": arguments.username,
        "MLFLOW_TRACKING_PASSWORD": told["password"],
        # Nothing that is asked here may fail: no second tries.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    }
    # MLflow's client trusts certifi's authorities by itself, not those that the host was taught to trust.
    system = ssl.get_default_verify_paths()
    trusted = arguments.ca_file or system.cafile or system.capath
    if trusted:
        os.environ["MLFLOW_TRACKING_SERVER_CERT_PATH"] = trusted
    resolve_locally(arguments.gateway)
    show_pass(told["pass"])
    use()


if __name__ == "__main__":
    main()
