"""Train the same classifier several times with autologging, and find the best of the runs with a query.

Needs nothing but the environment that `provision.py client` prints (see examples/README.md). To compare the
runs in the browser: open the experiment `compared`, choose its runs, and press Compare.
"""

import mlflow
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

EXPERIMENT = "compared"


def main() -> None:
    """Train with three strengths of regularization; print the runs, the best one first."""
    flowers, species = load_iris(return_X_y=True)
    mlflow.set_experiment(EXPERIMENT)
    # Parameters, metrics and tags are logged without another line.
    mlflow.sklearn.autolog(log_models=False)
    for strength in (0.0001, 0.01, 1.0):
        with mlflow.start_run(run_name=f"C={strength}"):
            LogisticRegression(C=strength, max_iter=500).fit(flowers, species)

    found = mlflow.search_runs(
        experiment_names=[EXPERIMENT],
        filter_string="metrics.training_accuracy_score > 0.5 AND params.max_iter = '500'",
        order_by=["metrics.training_accuracy_score DESC", "attributes.start_time DESC"],
        output_format="list",
    )
    for run in found:
        print(f"accuracy {run.data.metrics['training_accuracy_score']:.3f} with C={run.data.params['C']}")


if __name__ == "__main__":
    main()
