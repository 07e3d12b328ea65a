"""fab promote and demote on a real MLflow server: killed after any request, and by two people at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from registered import Killed, Registered

from day_two import moves, registry

pytestmark = pytest.mark.slow


@pytest.fixture
def make(iris: Registered) -> Callable[[Registered], str]:
    """Register a version, quickly: one that lies among the artifacts of a run, as older clients have them."""
    run = iris.client.create_run(iris.experiment).info

    def version(one: Registered) -> str:
        found = one.client.create_model_version(one.name, f"{run.artifact_uri}/model", run.run_id)
        return str(found.version)

    return version


def settled(model: Registered) -> tuple[Any, ...]:
    """What must be the same, whatever came between."""
    now = model.read()
    told = [(one.action, one.alias, one.version, one.to, one.by, one.is_done) for one in now.records]
    return now.aliases, told, model.stages(), now.claims


@pytest.mark.parametrize("action", ["promote", "demote"])
def test_killed_after_any_request_and_run_again_it_is_as_if_nothing_had_happened(
    iris: Registered, kill: Any, make: Any, action: str
) -> None:
    def attempt(one: Registered, number: int) -> bool:
        first, second = make(one), make(one)
        one.client.set_registered_model_alias(one.name, "staging", first)
        one.client.set_model_version_tag(one.name, first, "stage", "Staging")
        do = {
            "promote": lambda: one.promote(second, "staging", by="admin"),
            "demote": lambda: one.demote(first, "staging", by="admin", remove=True),
        }[action]
        kill(number)
        try:
            ended = do()
        except Killed:
            kill(0)
            # That it is done already is as good an end.
            ended = do()
            assert ended.code == 0, ended.err
            return True
        assert ended.code == 0, ended.err
        return False

    assert not attempt(iris, 0)
    expected, tried = settled(iris), 0
    while True:
        one = replace(iris, name=f"{iris.name}-{tried}")
        one.client.create_registered_model(one.name)
        if not attempt(one, tried + 1):
            break
        tried += 1
        assert settled(one) == expected, f"killed after request {tried}"
    # The claim, the record, the alias, the stages of two versions or of one, the end of the claim.
    assert tried == {"promote": 6, "demote": 5}[action]


def test_what_somebody_left_behind_stops_others_for_ten_minutes_and_then_has_a_place_in_the_history(
    iris: Registered, kill: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = make(iris)
    assert iris.promote(at, "staging", by="bob").code == 0
    for number in range(1, 7):
        version, other = make(iris), make(iris)
        kill(number)
        with pytest.raises(Killed):
            iris.promote(version, "staging", by="ada")
        kill(0)
        left = iris.read()
        has_happened = number >= 3
        assert left.aliases["staging"] == int(version if has_happened else at)
        assert bool(left.claims) == (number < 6)
        if left.claims:
            before = iris.state()
            refused = iris.promote(other, "staging", by="bob")
            assert f"ada began to promote version {version} (staging)" in refused.err
            assert iris.state() == before
        with monkeypatch.context() as later:
            later.setattr(moves, "AT_WORK", timedelta(0))
            assert iris.promote(other, "staging", by="bob").code == 0
        now = iris.read()
        assert now.claims == ()
        assert now.aliases == {"staging": int(other)}
        assert now.before("staging") == int(version if has_happened else at)
        assert [one.is_done for one in now.records if one.version == int(version)] == [has_happened]
        assert [one.number for one in now.records] == list(range(1, len(now.records) + 1))
        assert iris.stages()["Staging"] == other
        at = other


def test_of_two_who_begin_together_none_overwrites_the_other(
    iris: Registered, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both say that they are at work before either looks."""
    versions = {by: make(iris) for by in ("ada", "bob")}
    before, both, ended = iris.state(), threading.Barrier(2), {}

    def claim(*words: Any) -> None:
        real(*words)
        both.wait(60)

    real = registry.claim
    monkeypatch.setattr(registry, "claim", claim)

    def run(by: str) -> None:
        wish = registry.Record(action="promote", alias="staging", version=int(versions[by]), by=by)
        wish = wish.model_copy(update={"to": wish.version})
        try:
            moves.move(
                iris.login(by),
                iris.name,
                wish,
                lambda model: wish.model_copy(update={"number": 1, "at": model.at}),
            )
        except Exception as error:  # noqa: BLE001 - told by the test
            ended[by] = str(error)

    threads = [threading.Thread(target=run, args=(by,)) for by in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    # One of them may have seen that the other had gone again.
    assert ended
    assert all("nothing was changed" in said for said in ended.values())
    if len(ended) == 2:
        assert iris.state() == before
    else:
        (left,) = versions.keys() - ended.keys()
        assert iris.read().aliases["staging"] == int(versions[left])
    assert iris.read().claims == ()


def test_a_version_that_another_person_moves_meanwhile_is_not_overwritten(
    iris: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody sets the alias by hand, between the look and the claim."""
    version, run = iris.version()
    other, _ = iris.version()
    iris.promote(version, "staging")
    real = registry.claim

    def claim(*words: Any) -> None:
        iris.client.set_registered_model_alias(iris.name, "staging", other)
        real(*words)

    monkeypatch.setattr(registry, "claim", claim)
    ended = iris.promote(version, "production", evidence=run)
    assert "Somebody else has changed this model in the same moment; nothing was changed" in ended.err
    assert "production" not in iris.read().aliases
    assert iris.read().claims == ()
