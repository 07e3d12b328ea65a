"""From training to production on evidence, and back, by people who have nothing but a login at MLflow."""

from __future__ import annotations

import re
from pathlib import Path

import end_to_end_conftest as shared
import pytest
from deployed import Deployment, run

pytestmark = pytest.mark.timeout(1800)

first_run, deployment, client_environment = shared.first_run, shared.deployment, shared.client_environment

MODEL = "iris-on-its-way"
TRAIN = f"""
import mlflow, sklearn, sys
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
mlflow.set_experiment("on-its-way")
flowers, kinds = load_iris(return_X_y=True, as_frame=True)
with mlflow.start_run():
    model = LogisticRegression(C=float(sys.argv[1]), max_iter=500).fit(flowers, kinds)
    mlflow.sklearn.log_model(
        model, name="model", registered_model_name="{MODEL}", pip_requirements=["scikit-learn"],
        serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_CLOUDPICKLE,
    )
"""
# As in docs/promote_models.md.
MEASURE = f"""
import mlflow
from sklearn.datasets import load_iris
from sklearn.metrics import accuracy_score
flowers, labels = load_iris(return_X_y=True, as_frame=True)
staged = mlflow.pyfunc.load_model("models:/{MODEL}@staging")
mlflow.set_experiment("on-its-way")
with mlflow.start_run(run_name="acceptance") as run:
    accuracy = accuracy_score(labels, staged.predict(flowers))
    mlflow.log_metric("accuracy", accuracy, model_id=staged.model_id)
print("measured", run.info.run_id)
"""
IN_PRODUCTION = f"""
import mlflow
from sklearn.datasets import load_iris
loaded = mlflow.pyfunc.load_model("models:/{MODEL}@production")
(version,) = mlflow.MlflowClient().search_model_versions("name = '{MODEL}' and tags.stage = 'Production'")
print("in production", version.version, *loaded.predict(load_iris(as_frame=True).data.iloc[[0, 60, 120]]))
"""


def test_a_version_goes_to_staging_and_on_evidence_to_production_and_back(
    deployment: Deployment, client_environment: dict[str, str], tmp_path: Path
) -> None:
    people = {}
    for name in ("ada", "bob"):
        password = f"the password of {name}"
        run("fab", "user.add", name, cwd=deployment.clone, env=deployment.environment, text=f"{password}\n")
        people[name] = client_environment | {
            "MLFLOW_TRACKING_USERNAME": name,
            "MLFLOW_TRACKING_PASSWORD": password,
        }

    def script(text: str, *words: str) -> str:
        return run("python", "-c", text, *words, cwd=tmp_path, env=people["ada"]).stdout

    def fab(*words: str, by: str = "ada", fails: bool = False) -> str:
        done = run("fab", *words, cwd=deployment.clone, env=people[by], check=not fails)
        assert (done.returncode != 0) == fails
        return done.stderr if fails else done.stdout

    for version, strength in (("1", "0.5"), ("2", "0.0001")):
        script(TRAIN, strength)
        assert f"version {version} in staging" in fab("promote", MODEL, version, "--to", "staging")
        found = re.search(r"measured ([0-9a-f]{32})", script(MEASURE))
        assert found
        to_production = ("promote", MODEL, version, "--to", "production", "--evidence", found[1], "--require")
        if version == "1":
            assert "does not let bob" in fab(*to_production, "accuracy>=0.9", by="bob", fails=True)
            assert "in production; evidence: run" in fab(*to_production, "accuracy>=0.9")
            assert "in production 1 0 1 2" in script(IN_PRODUCTION)
    refused = fab(*to_production, "accuracy>=0.9", fails=True)
    assert re.search(r"accuracy is 0\.\d+, and accuracy>=0\.9 is required", refused)
    assert "in production 1 0 1 2" in script(IN_PRODUCTION)

    assert "version 2 in production, in place of 1" in fab(*to_production, "accuracy>=0.1")
    assert "in production 2" in script(IN_PRODUCTION)
    assert "version 1 is back: too weak" in fab(
        "demote", MODEL, "2", "--from", "production", "--why", "too weak"
    )
    assert "in production 1 0 1 2" in script(IN_PRODUCTION)
    # The operator, who has no such variables: by the inventory, as admin.
    told = run("fab", "promotions", MODEL, cwd=deployment.clone, env=deployment.environment).stdout
    assert "production:  version 1 is there" in told
    assert told.count("UTC  ada: ") == 5
