"""What users delete goes for good when it is old enough, with its files; nothing else does."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from deployed import Deployment, ask, run
from upgrading import PROGRAM, version

pytestmark = pytest.mark.timeout(1800)

API = "/api/2.0/mlflow"
PLAYBOOK, AGE = "playbooks/collect_garbage.yml", "mlflow_data_garbage_age=0m"
# Run as a data scientist would: an experiment with a run, a logged model and a trace, and others that stay.
LOG = """
import json, sys, tempfile
from pathlib import Path
import mlflow

name = sys.argv[1]
client = mlflow.MlflowClient()

def run(experiment, text):
    made = client.create_run(experiment).info
    client.log_metric(made.run_id, "loss", 0.5)
    client.log_text(made.run_id, text, "folder/a.txt")
    client.set_terminated(made.run_id)
    return made.run_id

def model(experiment):
    made = client.create_logged_model(experiment, name="model")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "MLmodel").write_text("flavors: {}")
        client.log_model_artifacts(made.model_id, folder)
    return made.model_id

gone = client.create_experiment(name)
shared = client.create_experiment(name + " shared", artifact_location="mlflow-artifacts:/of%20all " + name)
beside = client.create_experiment(name + " beside", artifact_location="mlflow-artifacts:/of%20all " + name)
stays = client.create_experiment(name + " stays")
for experiment in (gone, shared):
    run(experiment, "gone")
    model(experiment)
    mlflow.set_experiment(experiment_id=experiment)
    with mlflow.start_span("span"):
        pass
mlflow.flush_trace_async_logging()
kept = {"beside": run(beside, "kept"), "lives": run(stays, "kept"), "registered": run(stays, "kept")}
kept["model"] = model(stays)
deleted = run(stays, "gone")
client.create_registered_model(name)
client.create_model_version(name, f"runs:/{kept['registered']}/folder", kept["registered"])
client.delete_run(deleted)
client.delete_run(kept["registered"])
client.delete_experiment(gone)
client.delete_experiment(shared)
print(json.dumps({"kept": kept, "deleted": deleted, "gone": gone, "shared": shared}))
"""


@dataclass(frozen=True)
class Team:
    """People who log and delete, and what they have in the bucket."""

    deployment: Deployment
    client: Mapping[str, str]
    name: str = field(default_factory=lambda: f"garbage-{secrets.token_hex(4)}")

    def log(self, tmp_path: Path) -> dict[str, Any]:
        said = run("python", "-c", LOG, self.name, cwd=tmp_path, env=self.client).stdout
        return dict(json.loads(said.splitlines()[-1]))

    def files(self) -> set[str]:
        """The keys of all artifacts."""
        facts = self.deployment.provisioned
        pages = self.deployment.sandbox.client("s3").get_paginator("list_objects_v2")
        listed = pages.paginate(Bucket=facts["bucket"], Prefix=f"{facts['projects'][0]['artifacts_prefix']}/")
        return {one["Key"] for page in listed for one in page.get("Contents", [])}

    def post(self, path: str, **body: str) -> dict[str, Any]:
        status, said = ask(self.client, f"{API}/{path}", method="POST", body=body)
        return {"status": status, **json.loads(said)}

    def takes(self, name: str) -> str:
        """Make an experiment; return its identifier, or an empty text if the name is taken."""
        return str(self.post("experiments/create", name=name).get("experiment_id", ""))

    def fab(self, *words: str, check: bool = True) -> Any:
        return run(
            "fab", "gc", *words, cwd=self.deployment.clone, env=self.deployment.environment, check=check
        )


@pytest.fixture(scope="module")
def team(deployment: Deployment, client_environment: dict[str, str]) -> Team:
    return Team(deployment, client_environment)


def counts(said: str) -> list[str]:
    """What a sentence says of how much there is."""
    # Ansible breaks lines.
    found = re.search(r"ago or earlier: ([^.]+ bytes)", " ".join(said.split()))
    assert found, said
    return found[1].split(", ")


def owner(key: str) -> str:
    """The run, logged model or trace whose file it is."""
    return key.partition("/artifacts/")[0].rpartition("/")[2]


NOTHING = ["0 experiments", "0 runs", "0 logged models", "0 traces", "0 files", "0 bytes"]


def test_what_was_deleted_goes_with_its_files_when_it_is_old_enough(team: Team, tmp_path: Path) -> None:
    team.fab("--older-than", "0m")
    before = team.files()
    made = team.log(tmp_path)
    logged = team.files() - before
    staying = {key for key in logged if owner(key) in made["kept"].values()}

    # Too young for the age that nobody changed; the dry run and bad input change nothing.
    assert counts(team.fab().stdout) == NOTHING
    planned = counts(team.fab("--older-than", "0m", "--dry-run").stdout)
    assert planned[:4] == ["2 experiments", "3 runs", "2 logged models", "2 traces"]
    # A client may send a trace's spans as a file.
    assert planned[4] == f"{len(logged - staying)} files"
    assert len(logged - staying) in {5, 6, 7}
    assert counts(team.deployment.playbook(PLAYBOOK, "-e", AGE, "--check").stdout) == planned
    refused = team.fab("--older-than", "a while", check=False)
    assert refused.returncode == 1
    assert "'a while' is not an age: give days, hours and minutes, such as 30d" in refused.stderr
    bad = team.deployment.playbook(PLAYBOOK, "-e", "mlflow_data_garbage_age=30", check=False)
    assert bad.returncode != 0
    assert "mlflow_data_garbage_age is 30: give days" in bad.stdout
    assert team.files() - before == logged
    assert not team.takes(team.name)

    done = team.deployment.playbook(PLAYBOOK, "-e", AGE).stdout
    assert counts(done) == planned
    assert f"version 1 of the registered model {team.name} is made of it" in " ".join(done.split())
    assert re.search(r"changed=1\s", done)
    assert team.takes(team.name)
    assert team.files() - before == staying
    assert {owner(key) for key in staying} == set(made["kept"].values())
    for kept in ("beside", "lives", "registered"):
        assert ask(team.client, f"{API}/runs/get?run_id={made['kept'][kept]}")[0] == 200
    assert ask(team.client, f"{API}/runs/get?run_id={made['deleted']}")[0] == 404
    for experiment in (made["gone"], made["shared"]):
        assert ask(team.client, f"{API}/experiments/get?experiment_id={experiment}")[0] == 404

    assert counts(team.fab("--older-than", "0m").stdout) == NOTHING


@pytest.fixture
def deleted(team: Team, tmp_path: Path) -> tuple[str, set[str]]:
    """The name of a deleted experiment, and its file."""
    name, before = f"{team.name}-{secrets.token_hex(4)}", team.files()
    made = team.takes(name)
    program = (
        "import mlflow, sys; client = mlflow.MlflowClient(); "
        "run = client.create_run(sys.argv[1]); client.log_text(run.info.run_id, 'x', 'a.txt')"
    )
    run("python", "-c", program, made, cwd=tmp_path, env=team.client)
    team.post("experiments/delete", experiment_id=made)
    files = team.files() - before
    assert len(files) == 1
    return name, files


def test_one_that_is_killed_before_the_files_are_gone_is_finished_by_the_next(
    team: Team, deleted: tuple[str, set[str]]
) -> None:
    """Without its credentials it ends where a kill would: the rows are gone, and the files are not."""
    name, files = deleted
    team.deployment.host("mv /etc/mlflow/aws.conf /root/")
    failed = team.fab("--older-than", "0m", check=False)
    team.deployment.host("mv /root/aws.conf /etc/mlflow/")
    assert failed.returncode == 1
    assert "could not be removed: NoCredentialsError" in failed.stderr
    assert team.takes(name)
    assert files <= team.files()
    assert counts(team.fab("--older-than", "0m").stdout)[4] == "1 file"
    assert not files & team.files()


# A restoring transaction that commits when something waits for it; meanwhile, what was deleted is removed.
RESTORE = """
export PGPASSFILE=/run/flowstead/pgpass
uri=$(sed -n 's/^MLFLOW_BACKEND_STORE_URI=postgresql+psycopg2/postgresql/p' /etc/mlflow/@VERSION@.env)
sql() { psql --no-psqlrc --quiet --tuples-only --no-align "$uri" "$@"; }
some() {
    for n in $(seq 300); do
        [ "$(sql --command "SELECT count(*) > 0 FROM $1")" = t ] && return
        sleep 0.1
    done
    return 1
}
waiting="pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = current_user"
{
    echo "BEGIN; UPDATE experiments SET lifecycle_stage = 'active' WHERE name = '@NAME@';"
    echo "UPDATE runs SET lifecycle_stage = 'active', deleted_time = NULL FROM experiments"
    echo "WHERE runs.experiment_id = experiments.experiment_id AND experiments.name = '@NAME@';"
    some "$waiting" && echo "COMMIT;"
} | sql &
some "pg_locks WHERE mode = 'RowExclusiveLock' AND relation = 'runs'::regclass"
@PROGRAM@ garbage --older-than=0m
wait
"""


def test_what_somebody_restores_meanwhile_stays(team: Team, deleted: tuple[str, set[str]]) -> None:
    name, files = deleted
    script = RESTORE.replace("@NAME@", name).replace("@PROGRAM@", PROGRAM)
    said = team.deployment.host(script.replace("@VERSION@", version(team.client)))
    assert json.loads(said)["counts"]["experiments"] == 0
    status, answer = ask(team.client, f"{API}/experiments/get-by-name?experiment_name={name}")
    assert (status, json.loads(answer)["experiment"]["lifecycle_stage"]) == (200, "active")
    assert files <= team.files()
