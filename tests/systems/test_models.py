"""Registered models that answer over REST: made ready, switched, refused, and taken away."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import end_to_end_conftest as shared
import pytest
from asking import asking, predicted
from deployed import Deployment, assert_nothing_changes, changes, run, served, until

pytestmark = pytest.mark.timeout(1800)

first_run, deployment, client_environment = shared.first_run, shared.deployment, shared.client_environment

MODEL = "iris-served"
# The host has another Python than this machine.
ENTRY = f'[{{name: {MODEL}, alias: champion, python: "3.13"}}]'
# Version 1 is scikit-learn's; 2 has code of its own, in a file beside it; 3 cannot be loaded.
REGISTER = f"""
import mlflow, pathlib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
mlflow.set_experiment("served")
flowers, kinds = load_iris(return_X_y=True)
with mlflow.start_run():
    model = LogisticRegression(max_iter=500).fit(flowers, kinds)
    mlflow.sklearn.log_model(
        model, name="model", registered_model_name="{MODEL}", pip_requirements=["scikit-learn"],
        input_example=flowers[:2], serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_CLOUDPICKLE,
    )
    pathlib.Path("answering.py").write_text("ANSWER = 'two'")
    for name, body in (
        ("two", "def predict(self, context, model_input, params=None):\\n        import answering\\n"
                "        return [answering.ANSWER] * len(model_input)"),
        ("broken", "def load_context(self, context):\\n"
                "        raise RuntimeError('the weights are not there')\\n"
                "    def predict(self, context, model_input, params=None):\\n        return []"),
    ):
        pathlib.Path(f"{{name}}.py").write_text(
            "import mlflow\\nclass Model(mlflow.pyfunc.PythonModel):\\n    " + body
            + "\\nmlflow.models.set_model(Model())\\n"
        )
        mlflow.pyfunc.log_model(
            name=name, python_model=f"{{name}}.py", code_paths=["answering.py"],
            registered_model_name="{MODEL}", pip_requirements=["mlflow==" + mlflow.__version__],
        )
mlflow.MlflowClient().set_registered_model_alias("{MODEL}", "champion", 1)
"""


def serve(deployment: Deployment, entries: str) -> None:
    options = deployment.clone / "inventory/group_vars/tracking_servers.yml"
    text = options.read_text(encoding="utf-8")
    options.write_text(
        re.sub(r"(?m)^mlflow_models: .*$", f"mlflow_models: {entries}", text), encoding="utf-8"
    )


def alias(client: dict[str, str], version: str, tmp_path: Path) -> None:
    program = f"mlflow.MlflowClient().set_registered_model_alias('{MODEL}', 'champion', {version})"
    run("python", "-c", f"import mlflow; {program}", cwd=tmp_path, env=client)


def asked_with_curl(client: dict[str, str]) -> dict[str, Any]:
    """Ask as docs/serve_models.md does; the password comes on standard input."""
    said = run(
        *("curl", "--silent", "--show-error", "--fail", "--config", "-"),
        *("--cacert", client["MLFLOW_TRACKING_SERVER_CERT_PATH"]),
        *("--json", '{"inputs": [[5.1, 3.5, 1.4, 0.2]]}'),
        f"{client['MLFLOW_TRACKING_URI']}/models/{MODEL}/invocations",
        cwd=Path(),
        env=client,
        text=f'user = "{client["MLFLOW_TRACKING_USERNAME"]}:{client["MLFLOW_TRACKING_PASSWORD"]}"\n',
    ).stdout
    return dict(json.loads(said))


def test_models_that_are_not_there_are_refused_before_anything_changes(
    deployment: Deployment, client_environment: dict[str, str], tmp_path: Path
) -> None:
    run("python", "-c", REGISTER, cwd=tmp_path, env=client_environment)
    for entries, why in (
        ("[{name: nowhere, alias: champion}]", "MLflow has no registered model nowhere"),
        (
            f"[{{name: {MODEL}, alias: hero}}]",
            f"No version of {MODEL} has the alias hero (aliases it has: champion)",
        ),
        (
            f"[{{name: {MODEL}, alias: champion, memory_mib: 4000}}]",
            "Set server.instance_type in deployment.yml to",
        ),
    ):
        serve(deployment, entries)
        done = deployment.playbook("site.yml", check=False)
        assert done.returncode != 0
        assert why in " ".join(done.stdout.split())
        assert "changed=0" in done.stdout


def test_a_model_answers_those_who_may_read_it(
    deployment: Deployment, client_environment: dict[str, str]
) -> None:
    serve(deployment, ENTRY)
    began = time.monotonic()
    assert changes(deployment.playbook("site.yml").stdout)
    print(f"site.yml with a first model: {time.monotonic() - began:.0f} s")
    assert predicted(client_environment, MODEL) == (200, [0])

    def fab(*words: str, text: str | None = None) -> None:
        run("fab", *words, cwd=deployment.clone, env=deployment.environment, text=text)

    fab("user.add", "eve", text="the password of eve\n")
    eve = {"MLFLOW_TRACKING_USERNAME": "eve", "MLFLOW_TRACKING_PASSWORD": "the password of eve"}
    assert predicted(client_environment | eve, MODEL)[0] == 200
    fab("user.grant", "eve", "DENY", "--model", MODEL)
    until(lambda: predicted(client_environment | eve, MODEL)[0] == 403, "refused what eve may not read")
    wrong = client_environment | {"MLFLOW_TRACKING_PASSWORD": "a wrong password"}
    assert predicted(wrong, MODEL)[0] == 401
    assert predicted(client_environment, "nowhere")[0] == 404
    assert asked_with_curl(client_environment) == {"predictions": [0]}
    assert_nothing_changes(deployment)
    status = run("fab", "status", cwd=deployment.clone, env=deployment.environment).stdout
    assert f"{MODEL} (champion): version 1 answers" in status


def test_its_process_has_no_secret_and_sees_nothing_else(deployment: Deployment) -> None:
    said = deployment.host(
        f"pid=$(systemctl show --value --property=MainPID 'mlflow-model@default.{MODEL}.1.*'); "
        "tr '\\0' '\\n' < /proc/$pid/environ; stat --format 'user %u' /proc/$pid; "
        "nsenter --mount --target $pid ls /var/lib/mlflow-models /var/lib/mlflow-models/default.*"
    )
    assert "__pyfunc_model_path__" in said
    assert not re.search("PASSWORD|SECRET", said)
    # A user that systemd makes up (systemd.exec(5), DynamicUser=).
    found = re.search(r"^user (\d+)$", said, re.MULTILINE)
    assert found
    assert 61184 <= int(found[1]) <= 65519


def test_the_alias_moves_five_times_and_no_request_fails(
    deployment: Deployment,
    client_environment: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected = {"1": [0], "2": ["two"]}
    with asking(client_environment, MODEL) as asked:
        for version in ("2", "1", "2", "1", "2"):
            alias(client_environment, version, tmp_path)
            began = time.monotonic()
            # Its timer would do it within half a minute.
            deployment.host("systemctl start flowstead-models@mlflow.service", timeout_s=600)
            until(
                lambda version=version: predicted(client_environment, MODEL) == (200, expected[version]),
                f"version {version} serves",
            )
            with capsys.disabled():
                print(f"\nversion {version} serves after {time.monotonic() - began:.1f} s")
    with capsys.disabled():
        print(f"\n{dict(asked.answers)}")
    assert asked.failed == []
    assert len(asked.answers) == 2


def test_a_version_that_cannot_be_loaded_leaves_the_old_one_serving(
    deployment: Deployment, client_environment: dict[str, str], tmp_path: Path
) -> None:
    alias(client_environment, "3", tmp_path)
    done = deployment.playbook("site.yml", check=False)
    assert done.returncode != 0
    why = "the weights are not there. Version 2 still serves"
    assert why in " ".join(done.stdout.split())
    assert predicted(client_environment, MODEL) == (200, ["two"])
    status = run("fab", "status", cwd=deployment.clone, env=deployment.environment).stdout
    assert "version 2 answers" in status
    assert "the weights are not there" in status
    assert why in deployment.host("journalctl --output=cat -u flowstead-models@mlflow")
    alias(client_environment, "2", tmp_path)


def test_after_a_boot_it_answers_again(deployment: Deployment, client_environment: dict[str, str]) -> None:
    deployment.host("systemctl reboot", check=False)
    until(lambda: not served(client_environment), "a host that is down")
    until(lambda: predicted(client_environment, MODEL) == (200, ["two"]), "a prediction after the boot")


def test_taken_off_the_list_nothing_is_left(
    deployment: Deployment, client_environment: dict[str, str]
) -> None:
    until(lambda: served(client_environment), "served after the boot")
    serve(deployment, "[]")
    deployment.playbook("site.yml")
    assert predicted(client_environment, MODEL)[0] == 404
    left = deployment.host(
        "systemctl list-units --all --plain --no-legend 'mlflow-model@*' 'flowstead-models@*'; "
        "ls /etc/systemd/system /etc/systemd/system/*.wants /etc/nginx/mlflow-models /var/lib | grep model; "
        "ss --listening --tcp --numeric --no-header | grep -E ':5[23][0-9][0-9] '",
        check=False,
    )
    assert left.replace("/etc/nginx/mlflow-models:", "").strip() == ""
    assert_nothing_changes(deployment)
