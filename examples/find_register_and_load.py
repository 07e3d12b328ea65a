"""Find the best iris run again, register its model under a name, load it back by name and predict.

Run train_iris.py first. Needs nothing but the environment that `provision.py client` prints
(see examples/README.md).
"""

import sys

import mlflow
from mlflow import MlflowClient
from sklearn.datasets import load_iris

EXPERIMENT = "iris"
MODEL_NAME = "iris-classifier"


def main() -> None:
    """Search, register, point the alias `champion` at the new version, load by alias, predict."""
    best = mlflow.search_runs(
        experiment_names=[EXPERIMENT],
        filter_string="metrics.accuracy > 0.8 AND attributes.status = 'FINISHED'",
        order_by=["metrics.accuracy DESC", "attributes.start_time DESC"],
        max_results=1,
        output_format="list",
    )
    if not best:
        sys.exit("No finished run of the experiment 'iris' was found: run examples/train_iris.py first.")
    run = best[0]
    print("Found:     ", run.info.run_id, f"accuracy {run.data.metrics['accuracy']:.3f}")

    trained = run.outputs.model_outputs[0]
    version = mlflow.register_model(f"models:/{trained.model_id}", MODEL_NAME)
    MlflowClient().set_registered_model_alias(MODEL_NAME, "champion", version.version)
    print("Registered:", MODEL_NAME, "version", version.version, "as champion")

    classifier = mlflow.pyfunc.load_model(f"models:/{MODEL_NAME}@champion")
    flowers = load_iris(as_frame=True).data.iloc[[0, 60, 120]]
    print("Predicted: ", ", ".join(classifier.predict(flowers)))


if __name__ == "__main__":
    main()
