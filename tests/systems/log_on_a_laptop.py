"""What somebody has logged on a laptop, before there was a server: log_on_a_laptop.py URI."""

from __future__ import annotations

import sys
from typing import Any

import mlflow


class Doubled(mlflow.pyfunc.PythonModel):  # type: ignore[name-defined,misc] # MLflow's types are not here
    """A model with code of its own."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:  # noqa: ARG002 - as MLflow calls it
        """Double it."""
        return model_input * 2


def main(uri: str) -> None:
    """Log runs, artifacts, a model and a trace."""
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("on the laptop")
    for number in range(3):
        with mlflow.start_run(run_name=f"run {number}", tags={"number": str(number)}):
            mlflow.log_param("rate", number / 10)
            for step in range(3):
                mlflow.log_metric("loss", 1 / (1 + step + number), step=step)
            mlflow.log_text(f"notes of {number}\n" * 1000, "notes/ä 1 (copy).txt")
            with mlflow.start_run(run_name=f"within {number}", nested=True):
                mlflow.log_metric("inner", number)
    with mlflow.start_run(run_name="the model"):
        mlflow.pyfunc.log_model(
            name="model", python_model=Doubled(), registered_model_name="doubled", pip_requirements=["mlflow"]
        )
    mlflow.MlflowClient().set_registered_model_alias("doubled", "champion", "1")
    with mlflow.start_span("asked") as span:
        span.set_inputs({"question": "does it come along?"})
    mlflow.flush_trace_async_logging()


if __name__ == "__main__":
    main(*sys.argv[1:])
