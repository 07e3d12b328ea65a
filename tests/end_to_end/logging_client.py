"""Log to MLflow, call after call, until told to stop, and keep a record of every write that was acknowledged.

logging_client.py RECORD STOP: the record has a line of JSON for each call; the file STOP ends the loop. Run
with what `provision.py client` prints, and nothing else. `--check` reads everything in the record back.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from sklearn.dummy import DummyClassifier

EXPERIMENT = "logged without a pause"
MODEL_EVERY = 20
# Between two calls, as a training has something to do, too: asking as fast as can be takes a processor, and
# what is tested meanwhile twice as long.
BETWEEN_S = 0.1


def log(record_file: Path, stop: Path) -> None:
    """Make run after run, each with a parameter, metrics and an artifact, and now and then a model."""
    client = MlflowClient()
    found = client.get_experiment_by_name(EXPERIMENT)
    experiment_id = found.experiment_id if found else client.create_experiment(EXPERIMENT)
    with record_file.open("a", buffering=1) as record:

        def call(what: str, run_id: str, details: dict[str, Any], action: Callable[[], Any]) -> Any:
            began = time.time()
            line = {"what": what, "run": run_id, "began": began, **details}
            try:
                answer = action()
            except Exception as error:  # noqa: BLE001 - whatever a user's program would have died of
                record.write(json.dumps(line | {"failed": repr(error)[:500]}) + "\n")
                return None
            seconds = round(time.time() - began, 3)
            time.sleep(BETWEEN_S)
            record.write(
                json.dumps(line | {"seconds": seconds} | ({"made": answer} if what == "run" else {})) + "\n"
            )
            return answer

        number = 0
        while not stop.exists():
            number += 1
            run_id = call("run", "", {}, lambda: client.create_run(experiment_id).info.run_id)
            if not run_id:
                continue
            value = f"value {number}"
            call(
                "param", run_id, {"value": value}, lambda v=value, r=run_id: client.log_param(r, "number", v)
            )
            for step in range(3):
                details = {"step": step, "value": number + step / 10}
                call(
                    "metric",
                    run_id,
                    details,
                    lambda d=details, r=run_id: client.log_metric(r, "m", d["value"], step=d["step"]),
                )
            text = f"artifact of run {number}\n" * 100
            call("artifact", run_id, {"value": text}, lambda t=text, r=run_id: client.log_text(r, t, "a.txt"))
            if number % MODEL_EVERY == 1:
                call("model", run_id, {}, lambda r=run_id: log_model(r))
            call("end", run_id, {}, lambda r=run_id: client.set_terminated(r))


def log_model(run_id: str) -> None:
    """Log a model into a run that exists."""
    model = DummyClassifier(strategy="constant", constant=1).fit([[0.0]], [1])
    with mlflow.start_run(run_id=run_id):
        mlflow.sklearn.log_model(
            model, name="model", pip_requirements=["scikit-learn"], serialization_format="cloudpickle"
        )


def check(record_file: Path) -> dict[str, Any]:
    """Read back everything that was acknowledged; say what is missing or other than it was."""
    client = MlflowClient()
    lines = [json.loads(line) for line in record_file.read_text().splitlines()]
    acknowledged = [line for line in lines if "failed" not in line]
    by_run: dict[str, list[dict[str, Any]]] = {}
    for line in acknowledged:
        by_run.setdefault(line.get("made") or line["run"], []).append(line)
    with ThreadPoolExecutor(6) as pool:
        lost = [
            line
            for some in pool.map(partial(missing, client), by_run.keys(), by_run.values())
            for line in some
        ]
    pauses = [line["seconds"] for line in acknowledged]
    return {
        "calls": len(lines),
        "failed": [line for line in lines if "failed" in line],
        "lost": lost,
        "runs": len(by_run),
        "longest_pause_s": max(pauses, default=0.0),
    }


def missing(client: MlflowClient, run_id: str, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of what was acknowledged of one run, what is not there as it was sent."""
    run = client.get_run(run_id)
    metrics = {(one.step, one.value) for one in client.get_metric_history(run_id, "m")}
    lost = []
    for line in lines:
        match line["what"]:
            case "param":
                there = run.data.params.get("number") == line["value"]
            case "metric":
                there = (line["step"], line["value"]) in metrics
            case "artifact":
                there = artifact(client, run_id) == line["value"]
            case "model":
                model_id = run.outputs.model_outputs[0].model_id
                there = mlflow.sklearn.load_model(f"models:/{model_id}").predict([[0.0]])[0] == 1
            case "end":
                there = run.info.status == "FINISHED"
            case _:
                there = True
        if not there:
            lost.append(line)
    return lost


def artifact(client: MlflowClient, run_id: str) -> str:
    """The text of a run's artifact."""
    with tempfile.TemporaryDirectory() as folder:
        return Path(client.download_artifacts(run_id, "a.txt", folder)).read_text()


if __name__ == "__main__":
    if sys.argv[1] == "--check":
        print(json.dumps(check(Path(sys.argv[2]))))
    else:
        log(Path(sys.argv[1]), Path(sys.argv[2]))
