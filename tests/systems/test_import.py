"""Everything elsewhere first, and later on AWS: a laptop's folder `mlruns`, and an older server's SQLite."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from deployed import Deployment, Sandbox, ask, assert_nothing_changes, run
from upgrading import NEWEST, OLDER_SCHEMA

from day_two import gathered
from tests.unit.day_two import mlflow_server

pytestmark = pytest.mark.timeout(1800)

LOG = Path(__file__).with_name("log_on_a_laptop.py")
# What there is, as a client sees it, and all artifacts: the same program there and here.
TELL = """
import hashlib, json, mlflow, pathlib, tempfile
client, told = mlflow.MlflowClient(), {}
(experiment,) = [one for one in client.search_experiments() if one.name == "on the laptop"]
for run in client.search_runs([experiment.experiment_id]):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        for one in client.list_artifacts(run.info.run_id):
            client.download_artifacts(run.info.run_id, one.path, folder)
        files = {
            str(one.relative_to(path)): hashlib.sha256(one.read_bytes()).hexdigest()
            for one in sorted(path.rglob("*")) if one.is_file()
        }
    history = client.get_metric_history(run.info.run_id, "loss")
    history = [[one.step, one.value, one.timestamp] for one in history]
    told[run.info.run_id] = [
        run.info.run_name, run.info.status, run.info.start_time, run.data.params, run.data.metrics,
        run.data.tags, history, files,
    ]
version = client.get_model_version_by_alias("doubled", "champion")
told["model"] = [int(version.version), version.run_id, version.creation_timestamp]
loaded = mlflow.pyfunc.load_model("models:/doubled@champion")
told["predicted"] = float(loaded.predict(21))
(trace,) = mlflow.search_traces(locations=[experiment.experiment_id], return_type="list")
told["trace"] = [trace.info.trace_id, trace.data.spans[0].inputs]
print(json.dumps(told, sort_keys=True))
"""


def told(python: Path, laptop: Path, env: dict[str, str]) -> dict[str, Any]:
    said = run(str(python), "-c", TELL, cwd=laptop, env=env, timeout_s=300).stdout
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def deployment(sandbox: Sandbox, clone: Path) -> Deployment:
    """A deployment of two projects, in which nobody has logged anything yet."""
    wanted: dict[str, Any] = yaml.safe_load((clone / "examples/deployments/projects.yml").read_text())
    wanted["database"] = {"deletion_protection": False}
    wanted["server"]["image"] = "baked-debian-13"
    wanted["projects"] = [{"name": "default"}, {"name": "churn"}]
    (clone / "deployment.yml").write_text(yaml.safe_dump(wanted), encoding="utf-8")
    made = Deployment(sandbox, clone)
    made.provision("bake", "--unless-current")
    made.provision()
    made.playbook("site.yml")
    return made


@pytest.fixture(scope="module")
def client_environment(deployment: Deployment) -> dict[str, str]:
    """The environment of a client of the default project."""
    return deployment.client_environment


@pytest.fixture(scope="module")
def python() -> Path:
    """A release of MLflow, as `fab import` installs it."""
    return gathered.release(NEWEST)


@pytest.fixture(scope="module")
def laptop(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `mlruns` in it."""
    folder = tmp_path_factory.mktemp("laptop")
    env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "MLFLOW_ALLOW_FILE_STORE": "true"}
    run(str(python), str(LOG), f"file://{folder}/mlruns", cwd=folder, env=env, timeout_s=300)
    return folder


def fab_import(deployment: Deployment, laptop: Path, *words: str, check: bool = True) -> Any:
    given = (f"--source={laptop}", f"--artifacts={laptop}/mlruns", *words)
    env = deployment.environment
    return run("fab", "import", *given, cwd=deployment.clone, env=env, check=check, timeout_s=900)


def test_broken_files_are_named_one_by_one_and_nothing_is_done(
    deployment: Deployment, laptop: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    subprocess.run(["cp", "-r", str(laptop), str(broken)], check=True)
    metrics = sorted(broken.glob("mlruns/*/*/metrics/loss"))
    metrics[0].write_text("1 2 3 4\n")
    metrics[1].with_name("inner").write_bytes(b"\xff\xfe")
    (metrics[2].parents[1] / "meta.yaml").unlink()
    refused = fab_import(deployment, broken, "--yes", check=False)
    assert refused.returncode != 0
    for path in (metrics[0], metrics[1].with_name("inner"), metrics[2].parents[1] / "meta.yaml"):
        assert f"{path}: " in refused.stderr
    assert "3 files in" in refused.stderr


def test_artifacts_elsewhere_are_named_and_nothing_is_done(
    deployment: Deployment, laptop: Path, tmp_path: Path
) -> None:
    words = (f"--source={laptop}", f"--artifacts={tmp_path}", "--yes")
    refused = run("fab", "import", *words, cwd=deployment.clone, env=deployment.environment, check=False)
    assert refused.returncode == 2
    assert "addresses of artifacts are not below --artifacts" in refused.stderr
    assert f"file://{laptop}/mlruns/" in refused.stderr


def test_what_was_logged_on_a_laptop_is_on_the_server(
    deployment: Deployment,
    laptop: Path,
    python: Path,
    client_environment: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    own = {"PATH": "/usr/bin:/bin", "HOME": str(laptop), "MLFLOW_ALLOW_FILE_STORE": "true"}
    before = told(python, laptop, own | {"MLFLOW_TRACKING_URI": f"file://{laptop}/mlruns"})
    done = fab_import(deployment, laptop, "--yes")
    with capsys.disabled():
        print(done.stdout)
    assert "7 runs" in done.stdout
    assert "Experiments get other numbers" in done.stdout
    after = told(python, laptop, client_environment)
    assert after == before
    # Once more: it is there, and would give way.
    again = fab_import(deployment, laptop, "--yes", check=False)
    assert again.returncode == 2
    assert "has experiments or models of its own (on the laptop, doubled)" in again.stderr
    assert told(python, laptop, client_environment) == before


def test_it_goes_on_from_there(deployment: Deployment, client_environment: dict[str, str]) -> None:
    script = """
import mlflow
mlflow.set_experiment("on the laptop")
with mlflow.start_run() as run:
    mlflow.log_metric("loss", 0.5)
    mlflow.log_text("more", "more.txt")
experiment = mlflow.set_experiment("on the server").experiment_id
print("counted on", int(experiment) > int(run.info.experiment_id), run.info.artifact_uri.split(":")[0])
"""
    said = run("python", "-c", script, env=client_environment, cwd=deployment.clone).stdout
    assert "counted on True mlflow-artifacts" in said
    listed = run("fab", "backups", cwd=deployment.clone, env=deployment.environment).stdout
    assert "-import\n" in listed


@dataclass(frozen=True)
class OldServer:
    """A server that somebody has set up by hand.

    Args:
        folder: where it was started: mlflow.db and artifacts are there.
        client: the environment of a client.

    """

    folder: Path
    client: dict[str, str]


@pytest.fixture(scope="module")
def old_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OldServer]:
    """One of an older release, with SQLite, a folder, and users, that serves."""
    folder = tmp_path_factory.mktemp("server")
    with mlflow_server.serving(folder, OLDER_SCHEMA) as url:
        env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "MLFLOW_TRACKING_URI": url}
        env |= {"MLFLOW_TRACKING_USERNAME": mlflow_server.ADMIN}
        env |= {"MLFLOW_TRACKING_PASSWORD": mlflow_server.PASSWORD}
        run(str(gathered.release(OLDER_SCHEMA)), str(LOG), url, cwd=folder, env=env, timeout_s=300)
        yield OldServer(folder, env)


def test_what_an_older_server_has_is_in_a_project_of_its_own(
    deployment: Deployment, old_server: OldServer, python: Path, client_environment: dict[str, str]
) -> None:
    words = (f"--source=sqlite:///{old_server.folder}/mlflow.db", "--project=churn")
    words += (f"--artifacts={old_server.folder}/artifacts", "--yes")
    other = told(python, old_server.folder, client_environment)
    before = told(gathered.release(OLDER_SCHEMA), old_server.folder, old_server.client)
    said = run("fab", "import", *words, cwd=deployment.clone, env=deployment.environment).stdout
    assert "7 runs" in said
    assert "other numbers" not in said
    assert told(python, old_server.folder, deployment.client_of("churn")) == before
    # It still serves, with what it had; and so does the other project.
    assert told(gathered.release(OLDER_SCHEMA), old_server.folder, old_server.client) == before
    assert told(python, old_server.folder, client_environment) == other


def test_its_users_may_do_what_they_might_there(deployment: Deployment, old_server: OldServer) -> None:
    make = """
import mlflow
from mlflow.server import get_app_client
users = get_app_client("basic-auth", mlflow.get_tracking_uri())
experiment = mlflow.get_experiment_by_name("on the laptop").experiment_id
for name, permission in (("ada", "EDIT"), ("eve", "READ")):
    users.create_user(name, f"the old password of {name}")
    users.grant_user_permission(name, "experiment", experiment, permission)
users.create_user("root", "the old password of root")
users.update_user_admin("root", True)
print("experiment", experiment)
"""
    python = str(gathered.release(OLDER_SCHEMA))
    printed = run(python, "-c", make, cwd=old_server.folder, env=old_server.client).stdout
    experiment = printed.split()[-1]
    bring = ("fab", "user.bring", f"--source=sqlite:///{old_server.folder}/auth.db", "--project=churn")
    said = run(*bring, cwd=deployment.clone, env=deployment.environment).stdout
    assert "admin is a user already" in said
    new = dict(re.findall(r"(\w+) is a user\. Password: (\S+)", said))
    assert set(new) == {"ada", "eve", "root"}
    client = deployment.client_of("churn")

    def logs(name: str) -> int:
        login = {"MLFLOW_TRACKING_USERNAME": name, "MLFLOW_TRACKING_PASSWORD": new[name]}
        body = {"experiment_id": experiment}
        return ask(client | login, "/api/2.0/mlflow/runs/create", method="POST", body=body)[0]

    assert [logs(name) for name in ("ada", "eve", "root")] == [200, 403, 200]
    again = run(*bring, cwd=deployment.clone, env=deployment.environment).stdout
    assert "Password" not in again
    assert "ada is a user already, and stays as is" in again
    assert [logs(name) for name in ("ada", "eve", "root")] == [200, 403, 200]


def test_nothing_of_it_changes_what_the_two_commands_make(deployment: Deployment) -> None:
    assert_nothing_changes(deployment)
