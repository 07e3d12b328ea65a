"""How real things follow the account, with stand-ins for the machine's networks and servers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from sandbox import account
from sandbox.mapping import names
from sandbox.mapping.databases import Databases
from sandbox.mapping.engines import ENGINES, Engine
from sandbox.mapping.turns import Turns, do_together
from sandbox.real import images

END_S = 10


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread does; it does it or the test fails."""
    waiting = threading.Event()
    for _ in range(END_S * 100):
        if condition():
            return
        waiting.wait(0.01)
    raise AssertionError("it never came to be")


def test_one_thing_at_a_time_is_done_to_each_and_others_go_on() -> None:
    turns, done, hold, failures = Turns(), [], threading.Event(), []
    ended = threading.Event()

    def wait() -> None:
        hold.wait(END_S)
        done.append("first")

    turns.begin("a", "wait", wait, failures.append)
    turns.begin("a", "follow", lambda: (done.append("second"), ended.set()), failures.append)
    turns.begin("b", "go on", lambda: (done.append("other"), hold.set()), failures.append)
    assert ended.wait(END_S)
    assert done == ["other", "first", "second"]
    assert failures == []


def test_what_fails_is_told_and_does_not_hold_up_what_follows() -> None:
    turns, failures, ended = Turns(), [], threading.Event()
    turns.begin("a", "fail", lambda: 1 / 0, failures.append)
    turns.begin("a", "follow", ended.set, failures.append)
    assert ended.wait(END_S)
    assert [type(failure) for failure in failures] == [ZeroDivisionError]


def test_things_are_done_side_by_side_and_waited_for() -> None:
    both, done = threading.Barrier(2, timeout=END_S), []
    do_together(lambda name=name: (both.wait(), done.append(name)) for name in "ab")
    assert sorted(done) == ["a", "b"]


class Server:
    """Stands for a server of any engine; the attributes of the class say how it goes."""

    fails: ClassVar[bool] = False
    made: ClassVar[list[Server]] = []

    def __init__(self, _site: Any, identifier: str, netns: str, image: str, **facts: Any) -> None:
        self.identifier, self.netns, self.image, self.facts = identifier, netns, image, facts
        self.done: list[Any] = []
        self.made.append(self)

    def run(self) -> None:
        if self.fails:
            raise RuntimeError("no")
        self.done.append("run")

    def version(self) -> str:
        return "9.31"

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *arguments: self.done.append((name, *arguments))


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Databases:
    """The databases of a sandbox whose only engine is another than PostgreSQL."""
    monkeypatch.setattr(Server, "made", [])
    monkeypatch.setitem(ENGINES, "other", Engine("other", "Other", "otherd", "free", Server))
    monkeypatch.setattr(images, "ensure", lambda kind, *_, **__: f"image of {kind}")
    authority = SimpleNamespace(
        ca_pem_path=None, issue=lambda names, _: (f"certificate of {names[0]}", "key")
    )
    networks = SimpleNamespace(
        attach=lambda region, nic: f"{region}/{nic}", detach=lambda _: None, reconcile=lambda: None
    )
    site: Any = None
    names: Any = SimpleNamespace(follow=lambda: None)
    return Databases(site, networks, authority, names)


@pytest.fixture
def database(client: Callable[..., Any], network: SimpleNamespace, unique: str) -> Iterator[Any]:
    """moto's instance of that engine."""
    rds = client("rds")
    rds.create_db_subnet_group(
        DBSubnetGroupName=unique, DBSubnetGroupDescription="d", SubnetIds=network.subnets
    )
    rds.create_db_instance(
        DBInstanceIdentifier=unique,
        Engine="postgres",
        DBInstanceClass="db.t4g.micro",
        AllocatedStorage=20,
        MasterUsername="master",
        MasterUserPassword="password-password",
        DBSubnetGroupName=unique,
        VpcSecurityGroupIds=[network.group],
    )
    made = account.rds("us-east-1").databases[unique]
    made.engine, made.engine_version = "other", "9"
    yield made
    account.rds("us-east-1").databases.pop(unique)


def test_a_database_of_any_engine_runs_from_its_image(servers: Databases, database: Any) -> None:
    with account.lock:  # nothing changes in the account meanwhile
        servers.create(database)
        assert database.status == "creating"
    until(lambda: database.status == "available")
    (server,) = Server.made
    assert (server.identifier, server.image) == (database.db_instance_identifier, "image of otherd-9")
    assert server.facts["password"] == "password-password"
    assert server.facts["certificate"] == f"certificate of {database.address}"
    assert server.facts["memory_mib"] == 1024
    assert database.engine_version == "9.31"


def test_a_database_that_does_not_start_has_failed(
    servers: Databases, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Server, "fails", True)
    servers.create(database)
    until(lambda: database.status == "failed")


def test_a_changed_password_reaches_the_server_and_nothing_else_does(
    servers: Databases, database: Any
) -> None:
    servers.create(database)
    until(lambda: database.status == "available")
    server = Server.made[0]
    servers.follow(database, group_changed=False)
    until(lambda: database.status == "available")
    assert server.done == ["run"]
    database._master_user_password = "another-password"
    with account.lock:
        servers.follow(database, group_changed=False)
        assert database.status == "resetting-master-credentials"
    until(lambda: database.status == "available")
    assert server.done == ["run", ("set_password", "another-password")]


def test_a_deleted_database_leaves_a_last_snapshot_and_is_forgotten(
    servers: Databases, database: Any
) -> None:
    servers.create(database)
    until(lambda: database.status == "available")
    server, snapshot, forgotten = Server.made[0], SimpleNamespace(db_snapshot_identifier="last"), []
    servers.delete(database, snapshot, lambda: forgotten.append(database.status))
    until(lambda: database.status == "deleted")
    assert server.done == ["run", ("snapshot", "last"), ("remove",)]
    assert snapshot.status == "available"
    assert forgotten == ["deleting"]


def test_a_databases_name_leads_to_it_as_soon_as_it_has_an_address(
    servers: Databases, database: Any, network: SimpleNamespace
) -> None:
    def look_up() -> str | None:
        return names.resolve("us-east-1", network.vpc, f"{database.address}.".upper())

    assert look_up() is None
    servers.create(database)
    until(lambda: database.status == "available")
    assert look_up() == database.private_ip_address
