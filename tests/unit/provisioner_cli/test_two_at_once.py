"""Two simultaneous runs: the second changes nothing, and what a killed one leaves is taken over."""

import contextlib
import fcntl
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from moto.ec2.models import ec2_backends

from provisioner import commands, lock, ssh_key
from provisioner.config import Deployment
from provisioner.errors import DriftError, FlowsteadError
from provisioner.lock import EXPIRES, AccountLock, LockedError, on_this_machine
from provisioner.session import Options, Session
from tests.unit.provisioner.moto_account import REGION
from tests.unit.provisioner_cli.conftest import Machine

READING = ("Describe", "Get", "List", "Head")


class KilledError(Exception):
    """The run is gone."""


def session(machine: Machine, inventory: str) -> Session:
    """Begin a run with an inventory directory of its own, as on another machine."""
    begun = Session(Options(machine.directory / "deployment.yml", machine.directory / inventory))
    begun.__dict__["aws"] = machine.account.open()
    return begun


def at(machine: Machine, when: str, operation: str, action: Callable[[], None]) -> None:
    """Do something once, when a run comes to a call."""

    def hook(now: str, name: str) -> None:
        if (now, name) == (when, operation):
            machine.account.hooks.remove(hook)
            action()

    machine.account.hooks.append(hook)


def kill() -> None:
    raise KilledError


def locks() -> dict[str, Any]:
    pairs = ec2_backends["123456789012"][REGION].key_pairs
    return {name: pair for name, pair in pairs.items() if name.endswith(".lock")}


def changes(machine: Machine) -> list[str]:
    """Give the calls that changed something, the lock's own excepted."""
    calls = [name for name in machine.account.calls if not name.startswith(READING)]
    return [name for name in calls if name != "ImportKeyPair"]


@pytest.mark.parametrize("operation", ["CreateVpc", "CreateDBInstance", "RunInstances"])
@pytest.mark.parametrize("second", ["one", "two"])
def test_a_second_run_changes_nothing_and_says_who_is_at_it(
    machine: Machine, operation: str, second: str
) -> None:
    said = []

    def run_another() -> None:
        with pytest.raises(LockedError) as refused:
            commands.apply(session(machine, second))
        said.append(str(refused.value))
        assert refused.value.exit_code == 1
        assert not (machine.directory / "two" / "ssh").exists()
        kill()

    at(machine, "before", operation, run_another)
    with contextlib.suppress(KilledError, FlowsteadError):
        commands.apply(session(machine, "one"))
    (text,) = said
    assert ("in use on this machine: apply" if second == "one" else "arn:aws:") in text
    assert "nothing was changed" in text
    assert not locks(), "a run that failed has given the lock back"


def test_a_run_that_had_planned_before_acts_on_what_is_true_now(machine: Machine) -> None:
    """The other has made everything between the first's plan and its lock."""

    def finish_another() -> None:
        ssh_key.generate(Deployment(), machine.directory / "two").save()
        key = (machine.directory / "two" / "ssh" / "flowstead.pub").read_text()
        machine.account.apply(public_key=key)
        machine.account.calls.clear()

    at(machine, "before", "ImportKeyPair", finish_another)
    with pytest.raises(DriftError, match="public key"):
        commands.apply(session(machine, "one"))
    assert changes(machine) == ["DeleteKeyPair"]
    assert not (machine.directory / "one" / "ssh").exists()
    assert len(machine.account.call("ec2", "describe_key_pairs")["KeyPairs"]) == 1


def test_destroy_waits_for_nobody_either(made: Machine) -> None:
    other = AccountLock(made.account.open(), "flowstead", "somebody")
    made.configure("database: {deletion_protection: false}\n")
    with other.held("apply"), pytest.raises(LockedError, match=r"apply, since .* delete-key-pair"):
        commands.destroy(session(made, "inventory"), confirmed=True, delete_data=False)
    assert made.account.live("server")
    assert not locks()


def test_destroy_removes_no_more_than_was_shown(made: Machine) -> None:
    """Another run finishes between what the user has confirmed and the lock."""
    made.configure("database: {deletion_protection: false}\n")
    made.run()
    gone = made.account.live("server_address")
    made.account.call("ec2", "disassociate_address", AssociationId=gone.facts["AssociationId"])
    made.account.call("ec2", "release_address", AllocationId=gone.id)
    key = (made.inventory / "ssh" / "flowstead.pub").read_text()
    at(
        made,
        "before",
        "ImportKeyPair",
        lambda: made.account.apply(public_key=key, database={"deletion_protection": False}),
    )
    with pytest.raises(FlowsteadError, match="has more now than was shown: eipalloc-"):
        commands.destroy(session(made, "inventory"), confirmed=True, delete_data=False)
    assert made.account.live("server")
    assert not locks()


@pytest.mark.parametrize(
    ("age", "own", "takes_over"),
    [
        (timedelta(), "another", False),
        (EXPIRES - timedelta(minutes=1), "another", False),
        (EXPIRES, "another", True),
        (timedelta(), "this", True),
    ],
)
def test_a_killed_holder_is_taken_over(
    machine: Machine, age: timedelta, own: str, *, takes_over: bool
) -> None:
    """At once by its own directory, whose lock the kernel has given back; later by any."""
    dead = AccountLock(machine.account.open(), "flowstead", own)
    assert dead._take("apply")
    (pair,) = locks().values()
    pair.create_time = datetime.now(UTC) - age
    lock = AccountLock(machine.account.open(), "flowstead", "this")
    if not takes_over:
        with pytest.raises(LockedError), lock.held("apply"):
            pass
        assert list(locks().values()) == [pair]
        return
    with lock.held("apply"):
        (taken,) = locks().values()
        assert taken.id != pair.id
        # The one that was taken for dead comes back and gives back what it has no more.
        dead._delete(pair.id)
        assert list(locks().values()) == [taken]
    assert not locks()


def test_a_run_that_goes_on_keeps_the_lock(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes, as long as it makes calls; it gives the time with some of them."""
    other, mine = (AccountLock(machine.account.open(), "flowstead", name) for name in ("other", "mine"))
    with mine.held("apply"):
        (pair,) = locks().values()
        pair.create_time = datetime.now(UTC) - EXPIRES
        mine.aws.call("ec2", "describe_vpcs")
        assert machine.account.calls["CreateTags"] == 0, "no call has another one before it as a rule"
        monkeypatch.setattr(lock, "RENEWS", timedelta())
        mine.aws.call("ec2", "describe_vpcs")
        monkeypatch.undo()
        with pytest.raises(LockedError, match=r"mine|apply"):
            other.check()
        written = machine.account.call("ec2", "describe_key_pairs")["KeyPairs"][0]["Tags"]
        (alive,) = [tag for tag in written if tag["Key"] == "flowstead:lock-alive"]
        stale = datetime.fromisoformat(alive["Value"]) - EXPIRES
        alive["Value"] = stale.isoformat()
        machine.account.call("ec2", "create_tags", Resources=[pair.id], Tags=[alive])
        other.check()


def test_a_run_that_was_taken_over_makes_no_further_call(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its machine slept meanwhile."""
    monkeypatch.setattr(lock, "RENEWS", timedelta())

    def take_over() -> None:
        (pair,) = locks().values()
        pair.id = "key-0another"
        machine.account.calls.clear()

    at(machine, "before", "CreateDBInstance", take_over)
    with pytest.raises(LockedError, match="Another run has taken over flowstead") as stopped:
        commands.apply(session(machine, "one"))
    assert "things failed" not in str(stopped.value)
    # Those that were past the look when it was taken.
    assert len(changes(machine)) < 5
    assert [pair.id for pair in locks().values()] == ["key-0another"], "theirs stays"


def test_a_lost_answer_does_not_lock_the_run_out(machine: Machine) -> None:
    lost = iter([True])
    machine.account.loses = lambda name: name == "ImportKeyPair" and next(lost, False)
    lock = AccountLock(machine.account.open(), "flowstead", "this")
    with lock.held("apply"):
        assert len(locks()) == 1
    assert not locks()


@pytest.mark.parametrize("ending", [KeyboardInterrupt, FlowsteadError])
def test_the_lock_is_given_back_however_a_run_ends(machine: Machine, ending: type[BaseException]) -> None:
    lock = AccountLock(machine.account.open(), "flowstead", "this")
    with pytest.raises(ending), lock.held("apply"):
        raise ending("the end")
    assert not locks()


def test_a_private_key_is_never_overwritten(tmp_path: Path) -> None:
    first, second = (ssh_key.generate(Deployment(), tmp_path) for _ in range(2))
    first.save()
    with pytest.raises(FlowsteadError, match="no key is ever overwritten"):
        second.save()
    assert ssh_key.read_pair(tmp_path / "ssh" / "flowstead").public == first.public


def test_plan_and_status_need_no_lock(made: Machine) -> None:
    with (made.inventory / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert made.run("plan").code == 0
        assert made.run("status").code == 0


def test_a_copy_of_an_inventory_takes_over_nothing(tmp_path: Path) -> None:
    """Users copy it to another machine for its key, while a run goes on here."""
    names = []
    for inventory in ("first", "copy", "first"):
        with on_this_machine(tmp_path / inventory / ".lock", "apply") as own:
            names.append(own)
        if inventory == "first" and not (tmp_path / "copy").exists():
            shutil.copytree(tmp_path / "first", tmp_path / "copy")
    first, copy, again = names
    assert first == again != copy
