"""What counts as evidence, what a history says, and whose login is taken: all that needs no server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from day_two import login
from day_two.evidence import check, parse
from day_two.promotions import history
from day_two.registry import Alias, Claim, Model, Record, Version
from provisioner.errors import FlowsteadError, UsageError

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
LOGGED = Version(7, "READY", "models:/m-1", {})
OLDER = Version(7, "READY", "mlflow-artifacts:/1/r/artifacts/model", {})


def run(**changes: Any) -> dict[str, Any]:
    """A run as MLflow 3.17.2 tells it, which made m-1."""
    values = changes.pop("metrics", {"accuracy": 0.95})
    info = {"run_id": "r", "status": "FINISHED", "lifecycle_stage": "active"}
    info |= {"artifact_uri": "mlflow-artifacts:/1/r/artifacts"} | changes.pop("info", {})
    data = {"metrics": [{"key": key, "value": value, "step": 0} for key, value in values.items()]}
    outputs = {"model_outputs": [{"model_id": "m-1", "step": 0}]}
    return {"info": info, "data": data, "inputs": {}, "outputs": outputs} | changes


@pytest.mark.parametrize(
    ("text", "metric", "comparison", "number"),
    [
        ("accuracy>=0.9", "accuracy", ">=", 0.9),
        (" val/loss < 1e-3 ", "val/loss", "<", 0.001),
        ("mean abs. error<=.5", "mean abs. error", "<=", 0.5),
        ("gain>-2", "gain", ">", -2.0),
    ],
)
def test_a_requirement_is_read(text: str, metric: str, comparison: str, number: float) -> None:
    (found,) = parse([text])
    assert (found.metric, found.comparison, found.number) == (metric, comparison, number)


@pytest.mark.parametrize(
    "text",
    [
        *("", "0.9", ">=0.9", "accuracy>=", "accuracy=0.9", "accuracy==0.9", "accuracy=>0.9", "accuracy!=1"),
        *("accuracy>=90%", "accuracy>=nan", "accuracy>=inf", "accuracy>=1e999", "accuracy>=0.9,f1>=0.8"),
        *("accuracy>=0.9 or so", "accuracy>==0.9", "accuracy>=0,9", "accuracy>=\u0669", "0.8<accuracy<0.9"),
    ],
)
def test_what_is_no_requirement_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse([text])
    assert repr(text) in str(refused.value)
    assert "'accuracy>=0.9'" in str(refused.value)


def test_all_that_are_none_are_named_and_what_the_shell_took_is_said() -> None:
    with pytest.raises(UsageError) as refused:
        parse(["accuracy=>0.9", "f1>0", "loss"])
    said = str(refused.value)
    assert "accuracy=>0.9" in said
    assert "the shell takes" in said.partition("'loss'")[2]
    assert "f1" not in said


def test_a_run_that_made_the_version_and_meets_everything_is_evidence() -> None:
    values = {"accuracy": 0.95, "loss": 0}
    met = check(run(metrics=values), LOGGED, parse(["accuracy>=0.95", "loss<0.1"]))
    assert met == {"accuracy>=0.95": 0.95, "loss<0.1": 0.0}


def test_a_run_that_measured_the_version_is_evidence() -> None:
    measured = {"inputs": {"model_inputs": [{"model_id": "m-1"}]}, "outputs": {}}
    assert check(run(**measured), LOGGED, ()) == {}


def test_the_run_in_which_an_older_client_made_the_version_is_evidence() -> None:
    assert check(run(outputs={}), OLDER, parse(["accuracy>0.9"])) == {"accuracy>0.9": 0.95}


@pytest.mark.parametrize(
    "source",
    [
        "mlflow-artifacts:/1/other/artifacts/model",
        "mlflow-artifacts:/1/r/artifacts-of-another/model",
        "mlflow-artifacts:/1/r/artifacts/../../other/artifacts/model",
        "models:/m-2",
        "models:/m-1/../m-2",
        "",
    ],
)
def test_a_run_about_another_model_is_none(source: str) -> None:
    with pytest.raises(FlowsteadError, match="neither made version 7 nor measured it"):
        check(run(), Version(7, "READY", source, {}), ())


@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_a_run_about_several_models_is_none_because_its_numbers_may_be_the_others(side: str) -> None:
    models = {f"model_{side}": [{"model_id": "m-1"}, {"model_id": "m-2"}]}
    with pytest.raises(FlowsteadError, match=r"about 2 models \(m-1, m-2\)"):
        check(run(**{side: models}), LOGGED, ())


@pytest.mark.parametrize("status", ["RUNNING", "FAILED", "KILLED", "SCHEDULED"])
def test_a_run_that_has_not_finished_is_none(status: str) -> None:
    with pytest.raises(FlowsteadError, match=f"it is {status}, not FINISHED"):
        check(run(info={"status": status}), LOGGED, ())


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", 1.7976931348623157e308])
@pytest.mark.parametrize("comparison", [">=", "<=", ">", "<"])
def test_nan_and_infinity_meet_nothing(value: Any, comparison: str) -> None:
    with pytest.raises(FlowsteadError, match="meets no requirement"):
        check(run(metrics={"accuracy": value}), LOGGED, parse([f"accuracy{comparison}0.5"]))


def test_all_reasons_are_said_together() -> None:
    required = parse(["accuracy>=0.96", "accuracy<0.5", "f1>0"])
    with pytest.raises(FlowsteadError) as refused:
        check(run(info={"lifecycle_stage": "deleted", "status": "FAILED"}, outputs={}), LOGGED, required)
    for reason in (
        *("deleted", "FAILED", "nor measured it", "accuracy is 0.95, and accuracy>=0.96 is required"),
        *("accuracy<0.5 is required", "no metric f1 (it has: accuracy)", "Nothing was changed"),
    ):
        assert reason in str(refused.value)


def model(*told: str, now: int | None = None, versions: tuple[int, ...] = (3, 5, 7, 9)) -> Model:
    """A model with a history of production: "7" promotes from where it was, "-7 5" demotes."""
    records, at = [], None
    for number, text in enumerate(told, start=1):
        first, _, to = text.partition(" ")
        version, action = abs(int(first)), "demote" if first.startswith("-") else "promote"
        after = version if action == "promote" else int(to)
        record = Record(action=action, alias="production", version=version, by="ada", to=after)  # type: ignore[arg-type]
        changes = {"number": number, "instead_of": at, "at": NOON + timedelta(minutes=number)}
        records.append(record.model_copy(update=changes))
        at = after
    kept = tuple(one for one in records if one.version in versions)
    aliases = {"production": now or at or 0}
    found = {number: Version(number, "READY", "models:/m-1", {}) for number in versions}
    return Model("iris", aliases, found, (), kept, NOON)


PRODUCTION: Alias = "production"


@pytest.mark.parametrize(
    ("found", "before"),
    [
        (model("3", "5", "7"), 5),
        (model("3", "5", "7", "-7 5"), 3),
        (model("3", "5", "7", "-7 5", "-5 3"), None),
        (model("3", "5", "-5 3", "7"), 3),
        (model("3", "5", "3"), 5),
        (model("3"), None),
        (model("3", "5", "7", now=5), 3),
        (model("3", "5", now=9), 5),
        (model("3", "5", "7", versions=(3, 7, 9)), 3),
        (model("3", "5", "3", versions=(3,)), None),
    ],
    ids=[
        *("the one before", "one step further", "the first again", "not one that was demoted", "twice there"),
        *("the first", "back by hand", "another by hand", "deleted", "all others deleted"),
    ],
)
def test_the_version_before_is_found_in_the_history(found: Model, before: int | None) -> None:
    assert found.before(PRODUCTION) == before


def test_what_was_put_there_by_hand_before_the_first_promotion_is_the_version_before() -> None:
    found = model("7")
    by_hand = found.records[0].model_copy(update={"instead_of": 5})
    assert Model("iris", {"production": 7}, found.versions, (), (by_hand,), NOON).before(PRODUCTION) == 5


def test_what_was_interrupted_is_told_and_does_not_count() -> None:
    found = model("3", "5", "7", now=5)
    seventh = found.records[2]
    dropped = (*found.records[:2], seventh.model_copy(update={"is_done": False}))
    given_up = Model("iris", {"production": 5}, found.versions, (), dropped, NOON)
    claims = (Claim("flowstead.promoting.1", seventh),)
    under_way = Model("iris", {"production": 5}, found.versions, claims, found.records, NOON)
    for one, said in ((given_up, "(interrupted: not done)"), (under_way, "(not finished)")):
        assert one.before(PRODUCTION) == 3
        assert one.ladder(PRODUCTION) == [3, 5]
        assert history(one)[-1].endswith(said)


def test_a_history_says_what_is_where_and_how_it_came_there() -> None:
    found = model("5", "7", "-7 5")
    evidence = {"by": "bob", "evidence": "r", "met": {"f1>=0.9": 0.95}}
    second, third = found.records[1].model_copy(update=evidence), found.records[2]
    told = third.model_copy(update={"why": "drift\x1b[2J"})
    records = (found.records[0], second, told)
    assert history(Model("iris", {"production": 5}, found.versions, (), records, NOON)) == [
        "staging:     none is there",
        "production:  version 5 is there",
        "",
        "2026-11-26 12:01 UTC  ada: version 5 in production",
        "2026-11-26 12:02 UTC  bob: version 7 in production, in place of 5; evidence: run r, f1>=0.9 (0.95)",
        "2026-11-26 12:03 UTC  ada: version 7 out of production, version 5 is back: drift?[2J",
    ]


def test_a_version_that_was_put_there_by_hand_is_told() -> None:
    assert "version 9 is there, put there by hand: not on record" in history(model("5", now=9))[1]
    assert "by hand" not in history(model("5"))[1]


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "MLFLOW_TRACKING_URI": "https://mlflow.example.org/churn/"}


def test_the_login_is_the_one_that_mlflows_client_would_use(home: dict[str, str], tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.touch()
    given = {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "hers"}
    found = login.find("", home | given | {"MLFLOW_TRACKING_SERVER_CERT_PATH": str(ca)})
    assert found == login.Login("https://mlflow.example.org/churn", ca, "ada", "hers")
    assert "hers" not in repr(found)
    file = tmp_path / ".mlflow/credentials"
    file.parent.mkdir()
    file.write_text("[mlflow]\nmlflow_tracking_username = bob\nmlflow_tracking_password = his\n")
    assert login.find("", home).login() == ("bob", "his")
    assert login.find("", home | given).login() == ("ada", "hers")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}, "not a server's address"),
        ({"MLFLOW_TRACKING_URI": "mlflow.example.org"}, "not a server's address"),
        ({"MLFLOW_TRACKING_SERVER_CERT_PATH": "/nonexistent/ca.pem"}, "no such file"),
    ],
)
def test_an_environment_that_cannot_be_used_is_told(
    home: dict[str, str], wrong: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        login.find("", home | wrong)


def test_a_damaged_file_of_credentials_is_told_without_what_is_in_it(
    home: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow/credentials").write_text("mlflow_tracking_password = his\n")
    with pytest.raises(UsageError) as refused:
        login.find("", home)
    assert ".mlflow/credentials cannot be read" in str(refused.value)
    assert "his" not in str(refused.value)


@pytest.mark.parametrize("inventory", ["", "elsewhere"])
def test_the_admins_login_is_taken_where_no_server_is_named_or_by_its_inventory(
    inventory: str, home: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Admins:
        url, ca_file = "https://192.0.2.1", Path("/ca.pem")

        def login(self) -> tuple[str, str]:
            return "admin", "the admin's"

    monkeypatch.setattr(login.tracking, "find", lambda where: asked.append(where) or Admins())
    environment = home if inventory else {}
    assert login.find(inventory, environment).login() == ("admin", "the admin's")
    assert asked == [inventory or "inventory"]


def test_a_requirement_shows_its_number_in_full() -> None:
    (found,) = parse(["accuracy>=0.912345678"])
    assert str(found) == "accuracy>=0.912345678"
