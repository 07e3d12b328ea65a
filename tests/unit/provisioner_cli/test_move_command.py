"""provision.py move: a second store, the tags that say which has the data, and what is written meanwhile."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import yaml

from provisioner import playbook
from provisioner.resources.rds.db_cluster import DbCluster
from tests.unit.provisioner.moto_account import Account
from tests.unit.provisioner_cli.conftest import Machine, Result

AURORA = "database: {engine: aurora-postgresql, deletion_protection: false}\n"
SETTINGS = {
    "postgresql": "database: {deletion_protection: false}\n",
    "aurora-postgresql": AURORA,
    "aurora-mysql": "database: {engine: aurora-mysql, readers: 1, deletion_protection: false}\n",
    "none": "database: {engine: none, deletion_protection: false}\n",
}


def written(machine: Machine) -> dict[str, Any]:
    path = machine.inventory / "group_vars/all/provisioned.yml"
    return dict(yaml.safe_load(path.read_text())["flowstead"])


class Play:
    """Stands for the playbook: notes what was written for it, and ends as it is told."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.status = 0
        self.seen: list[dict[str, Any]] = []

    def __call__(self, words: Sequence[str]) -> int:
        assert words[-1].endswith("playbooks/move_data.yml")
        assert words[:2] == ["-i", str(self.machine.inventory)]
        self.seen.append(written(self.machine))
        return self.status


@pytest.fixture(autouse=True)
def known(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each run open AWS by the account, which counts its calls."""
    monkeypatch.setattr("provisioner.aws.Aws", lambda *_, **__: account.open())


@pytest.fixture
def play(made: Machine, monkeypatch: pytest.MonkeyPatch) -> Play:
    one = Play(made)
    monkeypatch.setattr(playbook.Runner, "run", lambda _, words: one(words))
    return one


def tags(machine: Machine) -> dict[str, dict[str, str]]:
    """Give what is written on each store about a move, by its id."""
    call = machine.account.call
    rds = [
        *call("rds", "describe_db_clusters")["DBClusters"],
        *call("rds", "describe_db_instances")["DBInstances"],
    ]
    found = {
        one.get("DBInstanceIdentifier") or one["DBClusterIdentifier"]: one["TagList"]
        for one in rds
        if not (one.get("DBClusterIdentifier") and one.get("DBInstanceIdentifier"))
    }
    found |= {one["VolumeId"]: one.get("Tags", []) for one in call("ec2", "describe_volumes")["Volumes"]}
    mine = {id_: {tag["Key"]: tag["Value"] for tag in items} for id_, items in found.items()}
    return {
        id_: {key: value for key, value in items.items() if key.startswith("flowstead:mov")}
        for id_, items in mine.items()
        if items.get("flowstead:resource", "").startswith(("database", "data_volume"))
    }


def writing(machine: Machine) -> list[str]:
    reading = ("Describe", "Get", "List", "Head")
    return [one for one in machine.account.calls if not one.startswith(reading)]


def succeed(result: Result) -> Result:
    assert result.code == 0, result.err
    return result


def test_another_engine_is_refused_with_the_command_that_moves_the_data(made: Machine) -> None:
    made.configure(AURORA)
    made.account.calls.clear()
    for words in ((), ("plan",), ("status",)):
        refused = made.run(*words)
        assert refused.code == 2
        assert "2: database.engine: the data are in database database (flowstead-flowstead)." in refused.err
        assert "To move them: python provision.py move." in refused.err
    assert writing(made) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "way",
    [
        ("aurora-postgresql", "aurora-mysql", "none", "postgresql"),
        pytest.param(("none", "aurora-mysql", "aurora-postgresql", "none"), marks=pytest.mark.slow),
        pytest.param(("aurora-mysql", "postgresql", "none", "aurora-postgresql"), marks=pytest.mark.slow),
    ],
)
def test_data_are_moved_from_engine_to_engine(made: Machine, play: Play, way: Sequence[str]) -> None:
    before = "postgresql"
    for engine in way:
        old = written(made)["database"]
        made.configure(SETTINGS[engine])
        said = succeed(made.run("move", "--yes"))
        during, after = play.seen[-1], written(made)
        assert during["database"] == old
        assert during["moving_to"]["engine"] == engine
        assert all(one["database_logins"] for one in during["projects"]) or {before, engine} == {"none"}
        assert (after["database"], after["moving_to"]) == (during["moving_to"], None)
        old_id = old.get("identifier") or old["volume_id"]
        new_id = after["database"].get("identifier") or after["database"]["volume_id"]
        assert tags(made) == {old_id: {"flowstead:moved-to": new_id}, new_id: {}}
        assert f"--remove {old_id}" in said.out

        # What the other had to itself may go now; with the old store, nothing is left of it.
        planned = made.run("plan")
        assert f"({old_id}) is no longer wanted, and stays: it holds data" in planned.out
        succeed(made.run())
        assert made.run("plan").code == 0
        assert succeed(made.run("move", "--yes")).out.startswith(
            "Nothing to move: flowstead has its data in "
        )
        succeed(made.run("--remove", old_id))
        assert tags(made) == {new_id: {}}
        assert made.run("plan").out.startswith("Nothing to do")
        before = engine
    assert len(play.seen) == len(way)
    succeed(made.run("destroy", "--yes", "--delete-data"))
    assert tags(made) == {}


def test_a_move_that_fails_is_taken_up_by_the_next(made: Machine, play: Play) -> None:
    old = written(made)
    made.configure(AURORA)
    play.status = 4
    failed = made.run("move", "--yes")
    assert failed.code == 1
    assert "playbooks/move_data.yml ended with status 4" in failed.err
    assert written(made)["database"] == old["database"]
    assert tags(made)["flowstead-flowstead-aurora"] == {"flowstead:moving-from": "flowstead-flowstead"}
    refused = made.run()
    assert refused.code == 2
    assert "to flowstead-flowstead-aurora has begun. To go on: python provision.py move." in refused.err
    play.status = 0
    made.account.calls.clear()
    succeed(made.run("move", "--yes"))
    assert not [one for one in writing(made) if one.startswith("CreateDB")]
    assert play.seen[0] == play.seen[1]
    assert written(made)["database"]["engine"] == "aurora-postgresql"


def test_a_move_killed_between_its_last_two_steps_is_finished(
    made: Machine, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.configure(AURORA)
    with monkeypatch.context() as killed:

        def die(*_: Any) -> None:
            raise KeyboardInterrupt

        killed.setattr(DbCluster, "retag", die)
        assert made.run("move", "--yes").code == 130
    assert tags(made) == {
        "flowstead-flowstead": {"flowstead:moved-to": "flowstead-flowstead-aurora"},
        "flowstead-flowstead-aurora": {"flowstead:moving-from": "flowstead-flowstead"},
    }
    assert made.run().code == 2
    succeed(made.run("move", "--yes"))
    assert tags(made)["flowstead-flowstead-aurora"] == {}
    assert made.run("plan").code == 0
    assert len(play.seen) == 2


def test_a_move_is_given_up_by_setting_the_engine_back(made: Machine, play: Play) -> None:
    old = written(made)
    made.configure(AURORA)
    play.status = 2
    assert made.run("move", "--yes").code == 1
    made.configure("")
    succeed(made.run())
    assert written(made) == old
    succeed(made.run("--remove", "flowstead-flowstead-aurora"))
    assert tags(made) == {"flowstead-flowstead": {}}
    assert made.run("plan").out.startswith("Nothing to do")


def test_what_is_out_of_date_does_not_serve_again_by_mistake(made: Machine, play: Play) -> None:
    made.configure(AURORA)
    succeed(made.run("move", "--yes"))
    made.configure("")
    for words in ((), ("move", "--yes")):
        refused = made.run(*words)
        assert refused.code == 2
        assert "the data were moved from flowstead-flowstead to flowstead-flowstead-aurora" in refused.err
    assert len(play.seen) == 1


NOT_BEGUN: dict[str, tuple[str, Callable[[Machine], Result], str]] = {
    "nobody to ask": (AURORA, lambda m: m.run("move"), "move asks before it begins"),
    "another engine named": (
        AURORA,
        lambda m: m.run("move", "--to", "aurora-mysql", "--yes"),
        "--to aurora-mysql: deployment.yml asks for database.engine: aurora-postgresql",
    ),
    "a setting that is none": (
        "database: {engine: aurora-postgresql, max_acu: 0.2}\n",
        lambda m: m.run("move", "--yes"),
        "2: database.max_acu",
    ),
    "projects on one volume": (
        "projects: [{name: default}, {name: churn}]\ndatabase: {engine: none}\n",
        lambda m: m.run("move", "--yes"),
        "database.engine none",
    ),
}


@pytest.mark.parametrize("name", NOT_BEGUN)
def test_what_cannot_be_moved_is_refused_before_anything_is_made(
    made: Machine, play: Play, name: str
) -> None:
    text, run, said = NOT_BEGUN[name]
    made.configure(text)
    made.account.calls.clear()
    refused = run(made)
    assert refused.code == 2
    assert said in refused.err
    assert writing(made) == []
    assert play.seen == []


def test_there_must_be_data_to_move(machine: Machine) -> None:
    machine.configure(AURORA)
    refused = machine.run("move", "--yes")
    assert refused.code == 2
    assert "There are no data to move. Run: python provision.py" in refused.err.replace("\n  next:", "")


def test_a_plan_of_the_move_is_shown_first(made: Machine, play: Play) -> None:
    made.configure(AURORA)
    said = succeed(made.run("move", "--yes")).err
    assert "+ database cluster database_aurora" in said
    assert "Then the data of database database (flowstead-flowstead) are copied and compared" in said
    assert not any(line.startswith("-") for line in said.splitlines())
    assert play.seen
