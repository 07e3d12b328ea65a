"""provision.py move, killed between any two calls, given up, and destroyed in the middle."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from moto.rds.models import rds_backends

from tests.unit.provisioner.moto_account import REGION
from tests.unit.provisioner_cli.conftest import Machine
from tests.unit.provisioner_cli.test_move_command import (
    SETTINGS,
    Play,
    known,
    play,
    succeed,
    tags,
    writing,
    written,
)

__all__ = ["known", "play"]

pytestmark = pytest.mark.slow

OLD = "flowstead-flowstead"
LOCK = {"ImportKeyPair", "DeleteKeyPair"}
"""The calls of the lock in the account, which the next run from this directory takes over."""
ENGINES = ("postgresql", "aurora-postgresql", "aurora-mysql", "none")


class KilledError(BaseException):
    """The process is gone."""


@contextmanager
def dying(machine: Machine) -> Iterator[threading.Event]:
    """Have nothing reach AWS any more after the first call of a run that changes something."""
    is_dead = threading.Event()

    def hook(moment: str, name: str) -> None:
        if (
            moment == "after"
            and not name.startswith(("Describe", "Get", "List", "Head"))
            and name not in LOCK
        ):
            is_dead.set()
        if is_dead.is_set():
            raise KilledError

    machine.account.hooks.append(hook)
    yield is_dead
    machine.account.hooks.clear()


def begin(machine: Machine, engine: str) -> str:
    """Have the data in a store of this engine; tells its id."""
    if engine != "postgresql":
        machine.configure(SETTINGS[engine])
        succeed(machine.run("move", "--yes"))
        succeed(machine.run("--remove", OLD))
        # The next one of its name may go within the second that a last snapshot is named by.
        for one in machine.account.call("rds", "describe_db_snapshots", SnapshotType="manual")["DBSnapshots"]:
            name = one["DBSnapshotIdentifier"]
            machine.account.call("rds", "delete_db_snapshot", DBSnapshotIdentifier=name)
    return store_of(machine)


def store_of(machine: Machine) -> str:
    """Tell which store the inventory says that the data are in."""
    database = written(machine)["database"]
    return str(database.get("identifier") or database["volume_id"])


def has_moved(machine: Machine, old: str) -> bool:
    """Tell whether all that is noted in the account says that this store's data are out of date."""
    noted = tags(machine)
    new = noted[old].get("flowstead:moved-to", "")
    return noted.get(new) == {}


PAIRS = [
    pytest.param(one, other, marks=[] if one == "postgresql" and other == "none" else pytest.mark.slow)
    for one, other in itertools.permutations(ENGINES, 2)
]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_killed_after_each_call_in_turn_it_goes_on_and_makes_nothing_twice(
    made: Machine, play: Play, source: str, target: str
) -> None:
    """Whatever runs in between is refused, or finds the data where they are."""
    old = begin(made, source)
    made.account.calls.clear()
    play.seen.clear()
    made.configure(SETTINGS[target])
    kills = 0
    with dying(made) as is_dead:
        while kills < 50:
            is_dead.clear()
            try:
                assert made.run("move", "--yes").code == 0
                break
            except KilledError:
                kills += 1
            assert store_of(made) == old
            is_dead.clear()
            made_so_far = writing(made)
            planned = made.run("plan")
            assert writing(made) == made_so_far
            if has_moved(made, old):
                assert planned.code in {0, 3}
                assert f"({old}) is no longer wanted, and stays: it holds data" in planned.out
            else:
                assert (planned.code, planned.out) == (2, "")
                assert "provision.py move" in planned.err
    assert 3 < kills < 50
    new = store_of(made)
    assert new != old
    assert has_moved(made, old)
    assert len(tags(made)) == 2
    assert {one["database"]["engine"] for one in play.seen} == {source}
    succeed(made.run())
    succeed(made.run("--remove", old))
    assert tags(made) == {new: {}}
    assert made.run("plan").out.startswith("Nothing to do")


def half_moved(machine: Machine, play: Play, source: str, target: str) -> str:
    """Begin a move that does not get to its end; tells the id of the store that has the data."""
    old = begin(machine, source)
    machine.configure(SETTINGS[target])
    play.status = 2
    assert machine.run("move", "--yes").code == 1
    return old


@pytest.mark.parametrize("target", ["aurora-postgresql", "none"])
def test_a_destroy_in_the_middle_takes_both_when_the_one_with_the_data_is_named(
    made: Machine, play: Play, target: str
) -> None:
    old = half_moved(made, play, "postgresql", target)
    before = writing(made)
    refused = made.run("destroy", "--yes")
    assert refused.code == 2
    assert f"error: database database ({old}) holds data, is no longer wanted" in refused.err
    assert f"python provision.py destroy --remove {old}" in refused.err
    assert writing(made) == before
    named = [old]
    if target == "none":
        named += ["flowstead/flowstead/database-owner", "flowstead/flowstead/database-application"]
    options = [word for one in named for word in ("--remove", one)]
    succeed(made.run("destroy", "--yes", "--delete-data", *options))
    assert tags(made) == {}
    assert (
        made.account.call("ec2", "describe_vpcs", Filters=[{"Name": "is-default", "Values": ["false"]}])[
            "Vpcs"
        ]
        == []
    )
    kept = made.account.call("rds", "describe_db_snapshots", SnapshotType="manual")["DBSnapshots"]
    assert [one["DBInstanceIdentifier"] for one in kept] == [old]


def test_a_destroy_in_the_middle_keeps_a_volume_with_data_that_is_not_named(
    made: Machine, play: Play
) -> None:
    old = half_moved(made, play, "none", "postgresql")
    said = succeed(made.run("destroy", "--yes", "--delete-data"))
    assert f"volume data_volume ({old}) is no longer wanted, and stays: it holds data" in said.out
    assert set(tags(made)) == {old}


def test_the_store_that_has_the_data_is_not_removed_while_they_are_moved(made: Machine, play: Play) -> None:
    old = half_moved(made, play, "postgresql", "aurora-postgresql")
    before = writing(made)
    refused = made.run("--remove", old)
    assert refused.code == 2
    assert f"a move of the data from database database ({old})" in refused.err
    assert writing(made) == before
    shown = made.run("move", "--yes")
    assert "--remove" not in shown.err


def test_meanwhile_outputs_tell_which_store_serves_and_which_is_filled(made: Machine, play: Play) -> None:
    half_moved(made, play, "aurora-postgresql", "none")
    told = succeed(made.run("outputs", "--json")).data
    assert {key: told[key] for key in ("database", "moving_to", "projects")} == {
        key: written(made)[key] for key in ("database", "moving_to", "projects")
    }
    assert (told["database"]["engine"], told["moving_to"]["engine"]) == ("aurora-postgresql", "none")


def test_a_store_whose_source_is_gone_is_one_like_any_other(made: Machine, play: Play) -> None:
    """Somebody removed the old one by hand; what is noted of it must not speak of the next of its name."""
    half_moved(made, play, "postgresql", "aurora-postgresql")
    of_old = {"DBInstanceIdentifier": OLD}
    made.account.call("rds", "modify_db_instance", **of_old, DeletionProtection=False)
    made.account.call("rds", "delete_db_instance", **of_old, SkipFinalSnapshot=True)
    assert "tag flowstead:moving-from: flowstead-flowstead -> " in made.run("plan").out
    succeed(made.run())
    assert tags(made) == {f"{OLD}-aurora": {}}
    made.configure(SETTINGS["postgresql"])
    assert f"the data are in database cluster database_aurora ({OLD}-aurora)" in made.run().err


def test_data_are_not_moved_from_where_nothing_runs(
    made: Machine, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.configure(SETTINGS["aurora-mysql"])
    database = rds_backends["123456789012"][REGION].databases[OLD]
    monkeypatch.setattr(database, "status", "stopped")
    refused = made.run("move", "--yes")
    assert refused.code == 2
    assert f"database database ({OLD}) has the data, and is stopped" in refused.err
    assert writing(made) == []
    assert play.seen == []
