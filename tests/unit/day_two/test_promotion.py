"""fab promote, demote and promotions on a real MLflow server, with its own permissions."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from registered import Registered, grant

from day_two import promotions, registry

pytestmark = pytest.mark.slow
PROJECT = Path(__file__).resolve().parents[3]


def test_staging_then_production_on_evidence_and_back(iris: Registered) -> None:
    first = iris.in_production(0.91)
    version, run = iris.version(0.95)
    assert iris.promote(version, "staging").out.startswith(
        f"{iris.name}: version 2 in staging, in place of 1.\n"
    )
    said = iris.promote(version, "production", by="bob", evidence=run, require=["accuracy>=0.9"]).out
    assert f"version 2 in production, in place of 1; evidence: run {run}, accuracy>=0.9 (0.95).\n" in said
    assert f"To go back: fab demote {iris.name} 2 --from production\n" in said
    assert iris.client.get_model_version_by_alias(iris.name, "production").version == version
    assert iris.stages() == {"Staging": "", "Production": "2", "Archived": "1"}
    assert f"version 2 out of production, version {first} is back: drift" in iris.demote("2", why="drift").out
    assert iris.client.get_model_version_by_alias(iris.name, "production").version == first
    assert iris.stages() == {"Staging": "2", "Production": "1", "Archived": ""}
    told = iris.do(promotions.promotions, by="eve").out.splitlines()
    assert told[:2] == ["staging:     version 2 is there", "production:  version 1 is there"]
    assert [line.partition("UTC  ")[2].split(":")[0] for line in told[3:]] == [
        "ada",
        "ada",
        "ada",
        "bob",
        "ada",
    ]
    assert iris.read().claims == ()


def test_the_same_again_changes_nothing_and_says_so(iris: Registered) -> None:
    version, run = iris.version()
    other, _ = iris.version()
    again: list[tuple[Any, tuple[str, ...], dict[str, Any]]] = [
        (iris.promote, (version, "staging"), {}),
        (iris.promote, (version, "production"), {"evidence": run}),
        (iris.promote, (other, "staging"), {}),
        (iris.demote, (other, "staging"), {}),
    ]
    for do, words, options in again:
        assert "already" not in do(*words, **options).out
        before = iris.state()
        ended = do(*words, **options)
        assert ended.code == 0
        assert "already; nothing was changed" in ended.out
        assert iris.state() == before


def test_it_is_a_command_that_needs_what_a_client_is_given_and_nothing_else(
    iris: Registered, tmp_path: Path
) -> None:
    version, run = iris.version()

    def fab(*words: str) -> str:
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "MLFLOW_TRACKING_URI": iris.address,
            "MLFLOW_TRACKING_USERNAME": "mel",
            "MLFLOW_TRACKING_PASSWORD": "mel's password",
        }
        command = ["fab", *words]
        done = subprocess.run(
            command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    fab("promote", iris.name, version, "--to", "staging")
    required = ("--require", "accuracy>=0.9", "--require", "accuracy<1")
    said = fab("promote", iris.name, version, "--to", "production", "--evidence", run, *required)
    assert "accuracy>=0.9 (0.95), accuracy<1.0 (0.95)" in said
    fab("demote", iris.name, version, "--from", "production", "--remove", "--why", "two words")
    assert "none in its place: two words" in fab("promotions", iris.name)


def test_a_run_that_a_client_measured_the_version_with_is_evidence(iris: Registered) -> None:
    """As docs/promote_models.md says: without `model_id` nothing ties the run to the version."""
    import mlflow  # noqa: PLC0415 - it takes a second

    version, _ = iris.version(0.5)
    iris.promote(version, "staging")
    mlflow.set_tracking_uri(iris.address)
    source = iris.client.get_model_version(iris.name, version).source
    runs = []
    for tied in ({}, {"model_id": source.removeprefix("models:/")}):
        with mlflow.start_run(experiment_id=iris.experiment) as run:
            mlflow.log_metric("accuracy", 0.97, **tied)
        runs.append(run.info.run_id)
    refused = iris.promote(version, "production", evidence=runs[0], require=["accuracy>=0.9"])
    assert "neither made version 1 nor measured it" in refused.err
    assert (
        "accuracy>=0.9 (0.97)"
        in iris.promote(version, "production", evidence=runs[1], require=["accuracy>=0.9"]).out
    )


def test_the_real_metric_nan_of_the_server_meets_nothing(iris: Registered) -> None:
    version, run = iris.version()
    iris.promote(version, "staging")
    iris.client.log_metric(run, "loss", math.nan)
    refused = iris.promote(version, "production", evidence=run, require=["loss<0.5"])
    assert "loss is nan, which meets no requirement" in refused.err


@pytest.mark.parametrize(
    ("words", "options", "said", "code"),
    [
        (("99", "staging"), {}, "has no version 99 (it has: 1, 2)", 1),
        (("v2", "staging"), {}, "'v2' is not the number of a version", 2),
        (("0", "staging"), {}, "'0' is not the number of a version", 2),
        (("2", ""), {}, "--to is missing", 2),
        (("2", "prod"), {}, "--to prod: there is staging, and there is production", 2),
        (("2", "production"), {}, "Production needs evidence", 2),
        (("2", "production"), {"evidence": "RUN"}, "is not in staging (version 1 is there)", 1),
        (
            ("1", "production"),
            {"evidence": "nix"},
            "There is no run nix that ada may read",
            1,
        ),
        (("2", "staging"), {"require": ["accuracy>=0.9"]}, "Add --evidence RUN_ID", 2),
        (("1", "production"), {"evidence": "RUN", "require": ["accuracy=>0.9"]}, "is not a requirement", 2),
        (
            ("1", "production"),
            {"evidence": "RUN", "require": ["f1>0"]},
            "has no metric f1 (it has: accuracy)",
            1,
        ),
        (("1", "production"), {"evidence": "RUN", "require": ["accuracy>1"]}, "accuracy>1.0 is required", 1),
        (("2", "staging"), {"evidence": "RUN"}, "neither made version 2 nor measured it", 1),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence_and_changes_nothing(
    iris: Registered, words: tuple[str, str], options: dict[str, Any], said: str, code: int
) -> None:
    first, run = iris.version()
    _, other = iris.version()
    iris.promote(first, "staging")
    runs = {"RUN": other if "not in staging" in said else run}
    given = {name: runs.get(value, value) if name == "evidence" else value for name, value in options.items()}
    before = iris.state()
    ended = iris.promote(*words, **given)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    assert said in ended.err
    assert iris.state() == before


def test_what_is_not_there_cannot_leave(iris: Registered) -> None:
    version = iris.in_production()
    other, _ = iris.version()
    before = iris.state()
    for words, options, said in (
        ((other,), {}, f"Version 2 of {iris.name} is not in production (version 1 is there)"),
        ((version,), {}, "in production before version 1; nothing was changed. Add --remove"),
        (("99",), {}, "has no version 99"),
    ):
        ended = iris.demote(*words, **options)
        assert ended.code == 1
        assert said in ended.err
    assert iris.state() == before


def test_a_model_that_is_not_there_is_told(iris: Registered) -> None:
    iris.monkeypatch.setattr(promotions.login, "find", lambda _inventory: iris.login("ada"))
    with pytest.raises(SystemExit):
        promotions.promote.body(None, "nix", "1", to="staging")
    assert iris.capsys.readouterr().err == "error: There is no registered model nix that ada may read.\n"


def test_mlflows_permission_on_the_model_says_who_may(iris: Registered) -> None:
    version, run = iris.version()
    before = iris.state()
    refused = iris.promote(version, "staging", by="eve")
    assert refused.code == 1
    assert f"does not let eve do this with the model {iris.name}" in refused.err
    assert f"fab user.grant eve EDIT --model {iris.name}" in refused.err
    assert iris.state() == before
    assert iris.promote(version, "staging", by="ada").code == 0
    grant(iris, "ada", "DENY", resource_type="experiment", resource_id=iris.experiment)
    hidden = iris.promote(version, "production", by="ada", evidence=run)
    assert f"There is no run {run} that ada may read" in hidden.err
    assert iris.promote(version, "production", by="bob", evidence=run).code == 0


def test_who_may_not_take_an_alias_away_leaves_it_and_everybody_can_go_on(iris: Registered) -> None:
    version = iris.in_production()
    assert "(MANAGE for --remove)" in iris.demote(version, remove=True, by="ada").err
    assert iris.read().aliases["production"] == int(version)
    assert iris.read().claims == ()
    assert "(interrupted: not done)" in iris.do(promotions.promotions).out
    assert "none in its place" in iris.demote(version, remove=True, by="mel").out
    assert "production" not in iris.read().aliases


def test_a_model_with_more_versions_than_a_page_is_read_to_the_end(
    iris: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "PAGE", 2)
    for _ in range(5):
        iris.version()
    assert sorted(iris.read().versions) == [1, 2, 3, 4, 5]


def test_what_an_older_client_registered_has_the_run_that_made_it_as_evidence(iris: Registered) -> None:
    """It knows no logged models. The name has a quote in it, as those of MLflow's filters."""
    one = replace(iris, name=f"{iris.name} of ada's")
    one.client.create_registered_model(one.name)
    runs = [one.client.create_run(one.experiment) for _ in range(2)]
    for run in runs:
        one.client.set_terminated(run.info.run_id)
    source = f"{runs[0].info.artifact_uri}/model"
    one.client.create_model_version(one.name, source, runs[0].info.run_id)
    refused = one.promote("1", "staging", by="admin", evidence=runs[1].info.run_id)
    assert "neither made version 1 nor measured it" in refused.err
    assert one.promote("1", "staging", by="admin", evidence=runs[0].info.run_id).code == 0


def test_a_server_that_is_gone_is_told(iris: Registered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Registered, "login", lambda _self, by: promotions.login.Login("http://127.0.0.1:9", None, by, "")
    )
    ended = iris.promote("1", "staging")
    assert ended.err.startswith("error: The server does not answer: ")
    assert "Run the same command again" in ended.err
