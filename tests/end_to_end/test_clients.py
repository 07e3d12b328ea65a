"""Real MLflow clients over the network, with nothing but what `provision.py client` prints."""

from __future__ import annotations

import json
import re
import ssl
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from deployed import Deployment, compared, run

pytestmark = pytest.mark.timeout(1800)

TRACKING = {"MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"}


def test_a_client_is_given_a_url_a_user_a_password_and_a_ca_and_no_key(
    client_environment: dict[str, str],
) -> None:
    given = {name for name in client_environment if name.startswith("MLFLOW_")}
    assert given == TRACKING | {"MLFLOW_TRACKING_SERVER_CERT_PATH"}
    assert not [name for name in client_environment if name.startswith("AWS_")]
    assert client_environment["MLFLOW_TRACKING_URI"].startswith("https://")


def test_client_json_names_the_same(deployment: Deployment, client_environment: dict[str, str]) -> None:
    client = json.loads(deployment.provision("client", "--json").stdout)
    assert set(client) == {"tracking_uri", "username", "password_command", "ca_file"}
    assert client["tracking_uri"] == client_environment["MLFLOW_TRACKING_URI"]
    password = run(
        "bash", "-c", client["password_command"], cwd=deployment.clone, env=deployment.environment
    ).stdout
    assert password.strip() == client_environment["MLFLOW_TRACKING_PASSWORD"]


def test_a_plain_script_logs_a_metric_over_three_steps_and_a_directory(
    example_output: dict[str, str],
    run_ids: dict[str, str],
    client_environment: dict[str, str],
    tmp_path: Path,
) -> None:
    assert "report/losses.csv, report/notes.txt" in example_output["log_a_run"]
    program = f"""
import mlflow
client = mlflow.MlflowClient()
run = client.get_run("{run_ids["log_a_run"]}")
assert run.data.params == {{"learning_rate": "0.5"}}, run.data.params
history = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "loss")]
assert sorted(history) == [(0, 0.8), (1, 0.4), (2, 0.2)], history
text = mlflow.artifacts.load_text(run.info.artifact_uri + "/report/notes.txt")
assert text == "The loss halves at every step.\\n", text
"""
    run("python", "-c", program, cwd=tmp_path, env=client_environment)


def test_a_training_is_logged_and_its_artifacts_go_through_the_server(example_output: dict[str, str]) -> None:
    assert "Accuracy:   0.9" in example_output["train_iris"]
    assert "Artifacts:  mlflow-artifacts:/" in example_output["train_iris"]


def test_the_run_is_found_its_model_registered_loaded_by_name_and_asked(
    example_output: dict[str, str],
) -> None:
    output = example_output["find_register_and_load"]
    assert re.search(r"Registered: iris-classifier version \d+ as champion", output)
    assert "Predicted:  setosa, versicolor, virginica" in output


def test_what_was_autologged_is_compared_by_query(example_output: dict[str, str]) -> None:
    assert compared(example_output["compare_runs"]) == ["1.0", "0.01", "0.0001"]


def test_artifacts_lie_in_the_bucket_in_their_folder_and_nowhere_else(
    deployment: Deployment, run_ids: dict[str, str]
) -> None:
    facts = deployment.provisioned
    listed = deployment.sandbox.client("s3").list_objects_v2(Bucket=facts["bucket"])
    keys = [entry["Key"] for entry in listed["Contents"]]
    assert any(run_ids["log_a_run"] in key and key.endswith("report/losses.csv") for key in keys)
    folders = tuple(f"{facts['projects'][0][f'{what}_prefix']}/" for what in ("artifacts", "backups"))
    assert [key for key in keys if not key.startswith(folders)] == []


def test_an_artifact_of_many_megabytes_comes_back_whole(
    client_environment: dict[str, str], tmp_path: Path
) -> None:
    program = """
import hashlib, mlflow, os, pathlib
sent = pathlib.Path("large.bin")
with sent.open("wb") as file:
    for _ in range(150):
        file.write(os.urandom(1 << 20))
mlflow.set_experiment("large-artifacts")
with mlflow.start_run() as run:
    mlflow.log_artifact(str(sent))
back = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="large.bin", dst_path="back")
digest = lambda path: hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
assert digest(back) == digest(sent)
"""
    run("python", "-c", program, cwd=tmp_path, env=client_environment)


def test_a_client_that_wants_to_use_the_bucket_itself_goes_through_the_server(
    client_environment: dict[str, str], tmp_path: Path
) -> None:
    program = """
import mlflow, os, pathlib
sent = pathlib.Path("parts.bin")
sent.write_bytes(os.urandom(100_000))
mlflow.set_experiment("large-artifacts")
with mlflow.start_run() as run:
    mlflow.log_artifact(str(sent))
back = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="parts.bin", dst_path="back")
assert pathlib.Path(back).read_bytes() == sent.read_bytes()
"""
    wanted = {
        "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true",
        "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "true",
        "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": "1",
        "MLFLOW_MULTIPART_DOWNLOAD_MINIMUM_FILE_SIZE": "1",
        # It fails at once, or it falls back.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    }
    run("python", "-c", program, cwd=tmp_path, env=client_environment | wanted)


def test_an_artifact_that_is_not_there_is_not_asked_for_again(
    deployment: Deployment, client_environment: dict[str, str], run_ids: dict[str, str], tmp_path: Path
) -> None:
    program = f"""
import mlflow
uri = mlflow.MlflowClient().get_run("{run_ids["log_a_run"]}").info.artifact_uri
print(mlflow.artifacts.load_text(uri + "/none.txt"))
"""
    done = run("python", "-c", program, cwd=tmp_path, env=client_environment, check=False)
    assert done.returncode != 0
    assert "404" in done.stderr
    assert "No such artifact" in done.stderr
    assert deployment.provisioned["bucket"] not in done.stderr


@pytest.mark.parametrize("missing", ["MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_SERVER_CERT_PATH"])
def test_a_client_without_password_or_ca_gets_nothing(
    missing: str, deployment: Deployment, client_environment: dict[str, str]
) -> None:
    environment = {name: value for name, value in client_environment.items() if name != missing}
    environment["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    program = "import mlflow; print(mlflow.search_experiments())"
    done = run("python", "-c", program, cwd=deployment.clone, env=environment, check=False)
    assert done.returncode != 0
    assert (
        "there is no login" if missing.endswith("PASSWORD") else "CERTIFICATE_VERIFY_FAILED"
    ) in done.stderr


def test_nothing_listens_where_the_network_lets_nobody_in(deployment: Deployment) -> None:
    listening = deployment.host("ss --listening --tcp --numeric --no-header").splitlines()
    found = {
        line.split()[3].rpartition(":")[2] for line in listening if not line.split()[3].startswith("127.")
    }
    assert {"443", "22"} <= found
    assert "80" not in found


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_tls_is_refused(version: ssl.TLSVersion, client_environment: dict[str, str]) -> None:
    context = ssl.create_default_context(cafile=client_environment["MLFLOW_TRACKING_SERVER_CERT_PATH"])
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with_context = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    with pytest.raises(urllib.error.URLError):
        with_context.open(client_environment["MLFLOW_TRACKING_URI"], timeout=10)
