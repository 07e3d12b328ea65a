"""Have something of each kind in MLflow's database that is hard to copy: fill_mlflow.py URI."""

from __future__ import annotations

import sys

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param

ODD = "it's a \\ \"test\";\n-- of\r\n(1, 'x'),\t\x1a ü \N{SNOWMAN} \N{GRINNING FACE} \\n %s"
NUMBERS = (0.1, 1 / 3, 1e308, -2.5e-300, 5e-324, 123456789.123456789, float("nan"), float("inf"), -0.0)


def main(uri: str) -> None:
    """Log, register and trace."""
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(uri)
    for name in ("first", f"second {ODD[:40]}"):
        experiment = client.create_experiment(name, artifact_location="mlflow-artifacts:/x")
        run = client.create_run(experiment, tags={"odd": ODD, "long": "ü" * 4000}).info.run_id
        metrics = [Metric(f"m{index}", value, 1, index) for index, value in enumerate(NUMBERS)]
        client.log_batch(run, metrics=metrics, params=[Param("odd", ODD), Param("empty", "")])
        client.set_terminated(run)
    client.create_registered_model("model", tags={"odd": ODD}, description=ODD)
    client.create_model_version("model", f"mlflow-artifacts:/{run}", run)
    client.set_registered_model_alias("model", "champion", "1")
    client.delete_experiment(client.create_experiment("third"))
    mlflow.set_experiment("first")
    with mlflow.start_span("outer") as span:
        span.set_inputs({"odd": ODD})
        with mlflow.start_span("inner"):
            pass
    mlflow.flush_trace_async_logging()


if __name__ == "__main__":
    main(*sys.argv[1:])
