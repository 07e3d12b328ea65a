"""Models are served in the versions that their aliases name: switched, refused, killed, and taken away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flowstead_models.serving import RETRY_S, Report, converge, status
from flowstead_models.settings import Model
from flowstead_models.state import Place
from models_host import FakeHost, KilledError

IRIS = Model("iris", "champion", 512, "")
KEY = "default.iris"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    """A host on which nothing serves, and a registry with version 1."""
    made = FakeHost(tmp_path, monkeypatch)
    made.registry.aliases["iris", "champion"] = "1"
    return made


def follow(host: FakeHost, *models: Model, retry: bool = False, now_s: float = 0) -> Report:
    return converge(host.settings(*models), host.registry, retry=retry, clock=lambda: now_s)  # type: ignore[arg-type] # a fake


def test_the_version_that_the_alias_names_serves(host: FakeHost) -> None:
    assert follow(host, IRIS).changes == ["Version 1 of iris (champion) serves."]
    assert host.served(KEY) == "1"
    assert host.enabled == set(host.active) == {"mlflow-model@default.iris.1.5200.service"}
    again = follow(host, IRIS)
    assert (again.changes, again.problems) == ([], [])


def test_the_next_version_serves_before_the_old_one_ends(host: FakeHost) -> None:
    follow(host, IRIS)
    host.registry.aliases["iris", "champion"] = "2"
    for step in range(1, 100):
        host.kill_at = step
        try:
            follow(host, IRIS)
        except KilledError:
            # Whatever it was doing: those who ask get a version that runs.
            assert host.served(KEY) in {"1", "2"}, step
            continue
        break
    else:
        raise AssertionError
    assert host.served(KEY) == "2"
    assert list(host.active) == list(host.enabled)
    assert len(host.active) == 1


def test_it_may_be_killed_anywhere_and_the_alias_moved_back_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(1, 40):
        host = FakeHost(tmp_path / str(step), monkeypatch)
        host.registry.aliases["iris", "champion"] = "1"
        follow(host, IRIS)
        host.registry.aliases["iris", "champion"] = "2"
        host.kill_at = step
        try:
            follow(host, IRIS)
        except KilledError:
            host.registry.aliases["iris", "champion"] = "1"
            host.kill_at = 0
            follow(host, IRIS)
            assert (host.served(KEY), len(host.active)) == ("1", 1), step
        else:
            return
    raise AssertionError


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("fetch", "its files cannot be downloaded: so it is"),
        ("venv", "its environment cannot be made: so it is"),
        ("install", "the packages that it was logged with cannot be installed: so it is"),
        ("load", "it cannot be loaded with 512 MiB of memory: so it is"),
        ("start", "ends by itself instead of answering"),
        ("example", "it answers its own input example with 500: so it is"),
    ],
)
def test_what_cannot_be_served_leaves_the_old_version_serving(host: FakeHost, part: str, said: str) -> None:
    follow(host, IRIS)
    host.registry.aliases["iris", "champion"] = "2"
    host.broken[part, "2"] = "so it is"

    (problem,) = follow(host, IRIS).problems

    assert problem.startswith("Version 2 of iris cannot be served: ")
    assert said in problem
    assert problem.endswith("Version 1 still serves.")
    assert host.served(KEY) == "1"
    assert len(host.active) == 1
    assert said in status(host.settings(IRIS))[0]


def test_a_python_that_is_not_there_is_named_with_what_to_do(host: FakeHost) -> None:
    host.broken["venv", "1"] = "error: No interpreter found for Python 3.13 in search path"
    (problem,) = follow(host, IRIS).problems
    assert "it was logged with Python 3.13, and there is no Python 3.13 on this host" in problem
    assert "in the model's entry to build it on that. No version of it serves." in problem


def test_what_failed_is_tried_again_later_or_when_told_to(host: FakeHost) -> None:
    host.broken["install", "1"] = "no such package"
    assert follow(host, IRIS).problems
    host.broken.clear()
    tried = len(host.asked)
    assert follow(host, IRIS, now_s=RETRY_S - 1).problems
    assert len(host.asked) == tried
    assert follow(host, IRIS, now_s=RETRY_S - 1, retry=True).changes
    assert status(host.settings(IRIS))[0].startswith("iris (champion): version 1 answers")


def test_an_entry_that_changed_is_tried_immediately(host: FakeHost) -> None:
    host.broken["load", "1"] = "killed"
    assert follow(host, IRIS).problems
    host.broken.clear()
    assert follow(host, Model("iris", "champion", 1024, "")).changes


def test_other_limits_are_those_of_another_process(host: FakeHost) -> None:
    follow(host, IRIS)
    before = set(host.active)
    assert follow(host, Model("iris", "champion", 1024, "")).changes
    assert not before & set(host.active)
    assert host.served(KEY) == "1"
    (text,) = (path.read_text() for path in host.units.glob("*.d/model.conf"))
    assert "MemoryMax=1024M" in text


def test_a_version_that_was_logged_with_what_uv_has_not_is_refused(host: FakeHost) -> None:
    host.plans["1"] = {"refused": "it was logged with packages of conda's (cudatoolkit)"}
    (problem,) = follow(host, IRIS).problems
    assert problem.endswith("packages of conda's (cudatoolkit). No version of it serves.")


def test_one_models_problem_is_none_of_the_others(host: FakeHost) -> None:
    report = follow(host, Model("away", "champion", 512, ""), IRIS)
    assert report.problems == ["MLflow has no registered model away."]
    assert host.served(KEY) == "1"


def test_the_version_before_is_kept_and_those_before_it_are_not(host: FakeHost) -> None:
    for version in ("1", "2", "3"):
        host.registry.aliases["iris", "champion"] = version
        follow(host, IRIS)
    assert Place("default", "iris").builds() == ["2", "3"]
    built = len([one for one in host.asked if "--target" in one])
    host.registry.aliases["iris", "champion"] = "2"
    follow(host, IRIS)
    assert len([one for one in host.asked if "--target" in one]) == built


def test_what_is_no_longer_wanted_goes_and_other_projects_models_stay(host: FakeHost) -> None:
    follow(host, IRIS)
    converge(host.settings(IRIS, project="churn"), host.registry, retry=False)  # type: ignore[arg-type] # a fake
    assert follow(host).changes == ["iris is served no longer."]
    assert host.gateway == {KEY: 0, "churn.iris": 5201}
    assert [one.name for one in host.home.iterdir()] == ["churn.iris"]
    assert host.served("churn.iris") == "1"


def test_the_password_is_in_no_argument_and_reaches_no_program_but_the_one_that_downloads(
    host: FakeHost,
) -> None:
    follow(host, IRIS)
    password = host.registry.password()
    assert password not in json.dumps(host.asked)
    told = [argv for argv, words in zip(host.asked, host.words, strict=True) if words]
    assert len(told) == 1
    assert "--target" in told[0]
    assert not any(password in path.read_text() for path in host.home.rglob("*") if path.is_file())
