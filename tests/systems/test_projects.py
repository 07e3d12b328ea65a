"""Projects on one host: one is added and removed while the other serves, and neither reaches the other."""

from __future__ import annotations

import base64
import http.client
import re
import socket
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from asking import predicted
from deployed import PROBE, Deployment, Sandbox, ask, assert_nothing_changes, changes, run, until
from hosts import replace_host
from isolation import assert_kept_apart
from upgrading import NEWEST, OLDER_SCHEMA, Logging, version, without_loss

pytestmark = pytest.mark.timeout(2400)

OWN_NAME = "churn.example.com"
REGISTER = """
import mlflow, pathlib
mlflow.set_experiment("served")
pathlib.Path("leaving.py").write_text(
    "import mlflow\\nclass Model(mlflow.pyfunc.PythonModel):\\n"
    "    def predict(self, context, model_input, params=None):\\n"
    "        return ['stays'] * len(model_input)\\n"
    "mlflow.models.set_model(Model())\\n"
)
with mlflow.start_run():
    mlflow.pyfunc.log_model(
        name="model", python_model="leaving.py", registered_model_name="leaving",
        pip_requirements=["mlflow==" + mlflow.__version__],
    )
mlflow.MlflowClient().set_registered_model_alias("leaving", "champion", 1)
"""


def configure(deployment: Deployment, *projects: str) -> None:
    wanted: dict[str, Any] = yaml.safe_load(
        (deployment.clone / "examples/deployments/projects.yml").read_text(encoding="utf-8")
    )
    wanted["database"] = {"deletion_protection": False}
    wanted["server"]["image"] = "baked-debian-13"
    wanted["projects"] = [{"name": name} for name in ("default", *projects)]
    (deployment.clone / "deployment.yml").write_text(yaml.safe_dump(wanted), encoding="utf-8")


@pytest.fixture(scope="module")
def deployment(sandbox: Sandbox, clone: Path) -> Deployment:
    """A deployment with the default project only."""
    options = clone / "inventory/group_vars/tracking_servers.yml"
    wanted = f"tracking_server_project_names: {{churn: [{OWN_NAME}]}}"
    text = options.read_text(encoding="utf-8").replace("tracking_server_project_names: {}", wanted)
    options.write_text(text, encoding="utf-8")
    made = Deployment(sandbox, clone)
    configure(made)
    made.provision("bake", "--unless-current")
    made.provision()
    made.playbook("site.yml")
    return made


@pytest.fixture
def logging(deployment: Deployment, tmp_path: Path) -> Logging:
    """A client of the default project that can log without a pause, with its own retries and nothing else."""
    return Logging(
        deployment.client_environment, tmp_path / "record.jsonl", tmp_path / "stop", deployment.clone
    )


def release_of(deployment: Deployment, project: str, release: str) -> None:
    """Choose a project's release; an empty one: as all others."""
    chosen = deployment.clone / f"inventory/group_vars/project_{project}.yml"
    chosen.unlink(missing_ok=True)
    if release:
        names = ("mlflow_release_version", "mlflow_release_insecure_version_accepted")
        chosen.write_text(yaml.safe_dump(dict.fromkeys(names, release)), encoding="utf-8")


def log_a_run(deployment: Deployment, client: dict[str, str]) -> str:
    said = run("python", "examples/log_a_run.py", cwd=deployment.clone, env=client).stdout
    found = re.search(r"^Run:\s+([0-9a-f]{32})$", said, re.MULTILINE)
    assert found, said
    return found[1]


def get_run(client: dict[str, str], run_id: str) -> int:
    return ask(client, f"/api/2.0/mlflow/runs/get?run_id={run_id}")[0]


def test_one_is_added_while_the_other_serves(
    deployment: Deployment, logging: Logging, capsys: pytest.CaptureFixture[str]
) -> None:
    release_of(deployment, "churn", OLDER_SCHEMA)
    with without_loss(logging, capsys, "churn is added"):
        configure(deployment, "churn")
        deployment.provision()
        deployment.playbook("site.yml")
    client = deployment.client_of("churn")
    assert client["MLFLOW_TRACKING_URI"] == f"{logging.client['MLFLOW_TRACKING_URI']}/churn"
    assert version(client) == OLDER_SCHEMA
    assert version(deployment.client_environment) == NEWEST
    assert_nothing_changes(deployment)


def test_each_has_runs_users_and_artifacts_of_its_own(deployment: Deployment) -> None:
    default, churn = deployment.client_environment, deployment.client_of("churn")
    run_id, other_id = log_a_run(deployment, churn), log_a_run(deployment, default)
    assert (get_run(churn, run_id), get_run(default, run_id)) == (200, 404)
    assert (get_run(churn, other_id), get_run(default, other_id)) == (404, 200)
    stranger = churn | {"MLFLOW_TRACKING_PASSWORD": default["MLFLOW_TRACKING_PASSWORD"]}
    assert ask(stranger, PROBE)[0] == 401
    assert ask(churn, PROBE)[0] == 200
    listed = deployment.sandbox.client("s3").list_objects_v2(
        Bucket=deployment.provisioned["bucket"], Prefix="churn/artifacts/"
    )
    assert any(run_id in one["Key"] for one in listed["Contents"])


def ask_by_name(client: dict[str, str], name: str, path: str) -> tuple[int, bytes]:
    """Ask the server by a name that leads to its address, as DNS would have it."""
    context = ssl.create_default_context(cafile=client["MLFLOW_TRACKING_SERVER_CERT_PATH"])
    address = str(urlsplit(client["MLFLOW_TRACKING_URI"]).hostname)
    login = f"{client['MLFLOW_TRACKING_USERNAME']}:{client['MLFLOW_TRACKING_PASSWORD']}"
    headers = {"Host": name, "Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
    connection = http.client.HTTPConnection(address)
    with (
        socket.create_connection((address, 443), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        connection.sock = secure
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_one_answers_at_a_name_of_its_own(deployment: Deployment) -> None:
    churn = deployment.client_of("churn")
    assert ask_by_name(churn, OWN_NAME, "/version") == (200, OLDER_SCHEMA.encode())
    assert ask_by_name(churn, OWN_NAME, PROBE)[0] == 200
    assert ask_by_name(deployment.client_environment, OWN_NAME, PROBE)[0] == 401
    page = ask_by_name(churn, OWN_NAME, "/")[1]
    assert ask(churn, "/")[1] == page
    (script,) = set(re.findall(rb'src="([^"]*/main\.[^"]*\.js)"', page))
    # The page's files are found from where it is.
    assert not script.startswith(b"/")
    assert ask(churn, f"/{script.decode()}")[0] == 200


def test_fab_lists_both(deployment: Deployment) -> None:
    said = run("fab", "status", cwd=deployment.clone, env=deployment.environment).stdout
    url = deployment.provisioned["url"]
    for line in (f"default: {url}: answers", f"churn: {url}/churn: answers"):
        assert line in said
    assert f"mlflow-churn@{OLDER_SCHEMA}.service" in said
    assert "connections to the database of churn" in said


@pytest.mark.parametrize(("own", "other"), [("churn", "default"), ("default", "churn")])
def test_code_in_one_server_reaches_nothing_of_the_other(
    deployment: Deployment, capsys: pytest.CaptureFixture[str], own: str, other: str
) -> None:
    assert_kept_apart(deployment, capsys, own, other)


def test_a_run_for_the_host_alone_leaves_the_other_project_as_it_is(deployment: Deployment) -> None:
    said = deployment.playbook("site.yml", "--limit", deployment.instance_id).stdout
    assert changes(said) == []
    deployment.host(f"systemctl restart mlflow-churn@{OLDER_SCHEMA} && systemctl reload nginx")
    until(lambda: version(deployment.client_of("churn")) == OLDER_SCHEMA, "an answer of churn's server")


def test_one_is_upgraded_while_the_other_serves(
    deployment: Deployment, logging: Logging, capsys: pytest.CaptureFixture[str]
) -> None:
    client = deployment.client_of("churn")
    run_id = log_a_run(deployment, client)
    release_of(deployment, "churn", "")
    with without_loss(logging, capsys, f"churn goes from {OLDER_SCHEMA} to {NEWEST}"):
        deployment.playbook("site.yml", "--limit", "*.churn")
    assert version(client) == NEWEST
    assert get_run(client, run_id) == 200
    # Its rehearsal has left databases without the server's rights, which the next run gives them.
    deployment.playbook("site.yml")
    assert_nothing_changes(deployment)


def test_one_is_backed_up_and_restored_by_itself(deployment: Deployment) -> None:
    default, churn = deployment.client_environment, deployment.client_of("churn")
    before, of_default = log_a_run(deployment, churn), log_a_run(deployment, default)
    said = deployment.playbook("playbooks/back_up.yml", "-e", "project=churn").stdout
    (name,) = set(re.findall(r"Backup (\S+-manual):", said))
    after = log_a_run(deployment, churn)
    restore = ("playbooks/restore_backup.yml", "-e", "project=churn", "-e", f"mlflow_data_backup={name}")
    deployment.playbook(*restore)
    assert (get_run(churn, before), get_run(churn, after), get_run(default, of_default)) == (200, 404, 200)


def test_a_lost_host_is_replaced_with_both(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    clients = {name: deployment.client_of(name) for name in ("default", "churn")}
    runs = {name: log_a_run(deployment, client) for name, client in clients.items()}
    replace_host(deployment, capsys, "churn")
    assert [get_run(clients[name], run_id) for name, run_id in runs.items()] == [200, 200]


def test_a_model_of_one_answers_below_its_address_and_its_users_only(deployment: Deployment) -> None:
    clients = {name: deployment.client_of(name) for name in ("default", "churn")}
    run("python", "-c", REGISTER, cwd=deployment.clone / ".cache", env=clients["churn"])
    options = deployment.clone / "inventory/group_vars/tracking_servers.yml"
    before = options.read_text(encoding="utf-8")
    entry = '{name: leaving, alias: champion, project: churn, memory_mib: 400, python: "3.13"}'
    options.write_text(
        re.sub(r"(?m)^mlflow_models: .*$", f"mlflow_models: [{entry}]", before), encoding="utf-8"
    )
    deployment.playbook("site.yml")
    assert predicted(clients["churn"], "leaving") == (200, ["stays"])
    # Not for the users of the other, at either address.
    address = {"MLFLOW_TRACKING_URI": clients["churn"]["MLFLOW_TRACKING_URI"]}
    assert predicted(clients["default"] | address, "leaving")[0] == 401
    assert predicted(clients["default"], "leaving")[0] == 403
    assert_nothing_changes(deployment)
    options.write_text(before, encoding="utf-8")


def test_one_is_removed_while_the_other_serves_and_its_data_stay(
    deployment: Deployment, logging: Logging, capsys: pytest.CaptureFixture[str]
) -> None:
    client = deployment.client_of("churn")
    run_id = log_a_run(deployment, client)
    with without_loss(logging, capsys, "churn is removed"):
        configure(deployment)
        said = deployment.provision().stdout
        deployment.playbook("site.yml")
    assert "flowstead/teams/churn-admin) is no longer wanted, and stays: it holds data" in said
    # The default project's server does not know the login.
    assert ask(client, PROBE)[0] == 401
    left = "find / -xdev -name '*mlflow-churn*' -not -path '/var/log/*' -not -path '/proc/*'"
    assert deployment.host(f"{left}; systemctl list-units --all --plain --no-legend '*mlflow-churn*'") == ""
    assert_nothing_changes(deployment)
    configure(deployment, "churn")
    deployment.provision()
    deployment.playbook("site.yml")
    assert client == deployment.client_of("churn")
    assert get_run(client, run_id) == 200


def test_destroy_leaves_nothing_of_any_project(deployment: Deployment) -> None:
    deployment.provision("destroy", "--yes", "--delete-data")
    sandbox = deployment.sandbox
    assert sandbox.client("s3").list_buckets()["Buckets"] == []
    roles = [one["RoleName"] for one in sandbox.client("iam").list_roles()["Roles"]]
    assert [one for one in roles if one.startswith("flowstead-teams-")] == []
    secrets = sandbox.client("secretsmanager").list_secrets()["SecretList"]
    assert [one["Name"] for one in secrets if one["Name"].startswith("flowstead/teams/")] == []
