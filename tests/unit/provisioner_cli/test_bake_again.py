"""A bake after one that was killed, and during another one, leaves nothing twice."""

import contextlib
import fcntl
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from moto.ec2.models import ec2_backends

from provisioner.errors import FlowsteadError
from tests.unit.provisioner.moto_account import REGION
from tests.unit.provisioner_cli.oven import Oven


class KilledError(Exception):
    """The process is gone."""


_LOST_ANSWERS = ("ImportKeyPair", "CreateVpc", "CreateInternetGateway", "RunInstances", "AllocateAddress")
_LATER = (
    "StopInstances",
    "CreateImage",
    "TerminateInstances",
    "ReleaseAddress",
    "DeleteVpc",
    "DeleteKeyPair",
)


@contextlib.contextmanager
def killed(oven: Oven, when: str, operation: str) -> Iterator[None]:
    """From the call on, nothing reaches AWS any more: as if the process were gone."""
    is_dead = threading.Event()

    def kill(moment: str, name: str) -> None:
        if is_dead.is_set() or (moment, name) == (when, operation):
            is_dead.set()
            raise KilledError

    oven.account.hooks.append(kill)
    with pytest.raises(KilledError):
        yield
    oven.account.hooks.clear()


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("operation", [*_LOST_ANSWERS, *_LATER])
def test_a_bake_after_one_that_was_killed_leaves_nothing_twice(oven: Oven, operation: str, when: str) -> None:
    with killed(oven, when, operation):
        oven.bake()
    kept = len(oven.images())
    assert kept == ((operation, when) in {("CreateImage", "after")} or operation in _LATER[2:])
    for pair in oven.images():
        ec2_backends["123456789012"][REGION].amis[pair["ImageId"]].name = "flowstead-a-second-earlier"
    oven.bake()
    assert len(oven.images()) == kept + 1
    assert oven.left() == []
    assert oven.files() == {"lock"}


def test_a_second_bake_on_this_machine_is_refused(oven: Oven) -> None:
    place = oven.workspace / "flowstead-123456789012-us-east-1"
    place.mkdir(parents=True)
    with (place / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        oven.account.calls.clear()
        with pytest.raises(FlowsteadError, match="is in use on this machine"):
            oven.bake()
    assert set(oven.account.calls) == {"GetCallerIdentity"}


def test_a_bake_elsewhere_is_left_alone(oven: Oven) -> None:
    oven.hold()
    oven.account.calls.clear()
    with pytest.raises(
        FlowsteadError, match=r"Another machine is baking .* since .* \(key pair flowstead\.bake-ssh-key"
    ):
        oven.bake()
    assert not [name for name in oven.account.calls if not name.startswith(("Describe", "Get", "List"))]
    assert len(oven.left()) == 1
    assert "bake" not in oven.files()


def test_somebody_who_is_quicker_is_left_alone(oven: Oven) -> None:
    """Both looked, nobody was there; EC2 lets one of them import the key pair."""

    def hold(moment: str, name: str) -> None:
        if (moment, name) == ("before", "ImportKeyPair"):
            oven.account.hooks.clear()
            oven.hold()

    oven.account.hooks.append(hold)
    with pytest.raises(FlowsteadError, match="Another machine is baking"):
        oven.bake()
    assert len(oven.left()) == 1
    assert oven.account.calls["CreateVpc"] == 0


def test_a_bake_elsewhere_that_died_long_ago_is_cleared_away(oven: Oven) -> None:
    oven.hold(age=timedelta(hours=3))
    oven.bake()
    assert len(oven.images()) == 1
    assert oven.left() == []
