"""Tell what MLflow has at an address, then use it: ask_mlflow.py URI. Prints JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import ViewType


def main(uri: str) -> None:
    """Ask for everything, then make an experiment and a run."""
    client = MlflowClient(uri)
    everything: dict[str, Any] = {}
    for experiment in client.search_experiments(ViewType.ALL, order_by=["experiment_id"]):
        identity = experiment.experiment_id
        runs = client.search_runs([identity], run_view_type=ViewType.ALL, order_by=["attributes.start_time"])
        metrics = [
            [[metric.step, repr(metric.value)] for metric in client.get_metric_history(run.info.run_id, key)]
            for run in runs
            for key in sorted(run.data.metrics)
        ]
        traces = client.search_traces(experiment_ids=[identity], include_spans=True)
        everything[f"experiment {identity}"] = [
            *(experiment.name, experiment.lifecycle_stage, experiment.tags, metrics),
            [run.to_dictionary() for run in runs],
            [[span.name, span.inputs] for trace in traces for span in trace.data.spans],
        ]
    for model in client.search_registered_models():
        versions = client.search_model_versions(f"name = '{model.name}'")
        everything[f"model {model.name}"] = [model.tags, model.description, model.aliases]
        everything[f"versions of {model.name}"] = [[one.version, one.source, one.run_id] for one in versions]
    made = client.create_experiment("made after it was carried")
    run = client.create_run(made)
    client.log_metric(run.info.run_id, "m", 1.5)
    assert client.get_run(run.info.run_id).data.metrics == {"m": 1.5}
    print(json.dumps({"everything": everything, "made": made}, default=str, sort_keys=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
