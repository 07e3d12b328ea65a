"""Train a scikit-learn classifier on iris; log its parameters, its accuracy and the model itself.

Needs nothing but the environment that `provision.py client` prints (see examples/README.md).
"""

import mlflow
import sklearn
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split

EXPERIMENT = "iris"


def main() -> None:
    """Train once, log the run, and print where its artifacts are kept."""
    iris = load_iris(as_frame=True)
    species = iris.target_names[iris.target]
    train_x, test_x, train_y, test_y = train_test_split(iris.data, species, test_size=0.3, random_state=7)
    parameters = {"C": 0.5, "max_iter": 500}

    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run(run_name="logistic-regression") as run:
        classifier = LogisticRegression(**parameters).fit(train_x, train_y)
        accuracy = accuracy_score(test_y, classifier.predict(test_x))

        mlflow.log_params(parameters)
        mlflow.log_metric("accuracy", accuracy)
        model = mlflow.sklearn.log_model(
            classifier,
            name="model",
            input_example=train_x.head(3),
            # skops, the default, is safer for models of strangers, and one more package to install.
            serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_CLOUDPICKLE,
            pip_requirements=[f"scikit-learn=={sklearn.__version__}", "cloudpickle", "pandas"],
        )

    print("Run:       ", run.info.run_id)
    print("Accuracy:  ", f"{accuracy:.3f}")
    print("Model:     ", model.model_uri)
    print("Artifacts: ", run.info.artifact_uri)


if __name__ == "__main__":
    main()
