"""Log a parameter, a metric that changes over three steps, and a directory of artifacts.

Needs nothing but the environment that `provision.py client` prints (see examples/README.md).
"""

import csv
import tempfile
from pathlib import Path

import mlflow

EXPERIMENT = "first-steps"


def write_report(folder: Path, losses: list[float]) -> None:
    """Write the files that belong to this run into `folder`."""
    (folder / "notes.txt").write_text("The loss halves at every step.\n", encoding="utf-8")
    with (folder / "losses.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("step", "loss"), *enumerate(losses)])


def main() -> None:
    """Make one run in the experiment and print where to see it."""
    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run(run_name="halving") as run, tempfile.TemporaryDirectory() as folder:
        mlflow.log_param("learning_rate", 0.5)

        losses = [0.8, 0.4, 0.2]
        for step, loss in enumerate(losses):
            mlflow.log_metric("loss", loss, step=step)

        write_report(Path(folder), losses)
        mlflow.log_artifacts(folder, artifact_path="report")

    files = mlflow.artifacts.list_artifacts(run_id=run.info.run_id, artifact_path="report")
    print("Run:       ", run.info.run_id)
    print("Artifacts: ", ", ".join(file.path for file in files))


if __name__ == "__main__":
    main()
