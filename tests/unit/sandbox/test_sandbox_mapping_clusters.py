"""How real clusters follow the account, with stand-ins for the machine's networks and servers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from sandbox import account
from sandbox.mapping import clusters as mapping
from sandbox.mapping.clusters import Clusters
from sandbox.mapping.engines import ENGINES, Engine
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


class Server:
    """Stands for a member's server."""

    def __init__(self, _site: Any, identifier: str, netns: str, image: str, **facts: Any) -> None:
        self.identifier, self.netns, self.image, self.facts = identifier, netns, image, facts

    def version(self) -> str:
        return "17.31"

    def reboot(self) -> None:
        """Take no time."""


class Cluster:
    """Stands for a cluster's servers; the attributes of the class say how it goes."""

    fails: ClassVar[bool] = False
    made: ClassVar[list[Cluster]] = []

    def __init__(self, _site: Any, identifier: str) -> None:
        self.identifier, self.members, self.writer = identifier, {}, ""
        self.done: list[Any] = []
        self.held = threading.Event()
        self.made.append(self)

    def add(self, server: Server, password: str) -> None:
        if self.fails:
            raise RuntimeError("no")
        self.members[server.identifier] = server
        self.writer = self.writer or server.identifier
        self.done.append(("add", server.identifier, password))

    def failover(self, target: str, handed_over: Callable[[], None]) -> None:
        self.writer = target
        handed_over()
        self.held.wait(END_S)

    def remove(self, name: str) -> None:
        self.members.pop(name)
        self.writer = next(iter(self.members), "")

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *arguments: self.done.append((name, *arguments))


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Clusters:
    monkeypatch.setattr(Cluster, "made", [])
    monkeypatch.setattr(mapping, "Cluster", Cluster)
    engine = replace(ENGINES["aurora-postgresql"], server=Server)  # type: ignore[arg-type]
    monkeypatch.setattr(Engine, "is_clustered", True)
    monkeypatch.setitem(ENGINES, "aurora-postgresql", engine)
    monkeypatch.setattr(images, "ensure", lambda kind, *_, **__: f"image of {kind}")
    authority: Any = SimpleNamespace(ca_pem_path=None, issue=lambda names, _: (names, "key"))
    networks: Any = SimpleNamespace(
        attach=lambda region, nic: f"{region}/{nic}", detach=lambda _: None, reconcile=lambda: None
    )
    site: Any = None
    names: Any = SimpleNamespace(follow=lambda: None)
    return Clusters(site, networks, authority, names)


@pytest.fixture
def cluster(create_cluster: Any, add_member: Any, unique: str, real: Clusters) -> Any:
    """moto's cluster with two members, and what stands for them."""
    create_cluster(ServerlessV2ScalingConfiguration={"MinCapacity": 0.5, "MaxCapacity": 1.5})
    made = account.rds("us-east-1").clusters[unique]
    with account.lock:
        real.create(made)
        assert made.status == "creating"
    until(lambda: made.status == "available")
    for number in (1, 2):
        add_member(DBInstanceIdentifier=f"{unique}-{number}")
        member = member_of(made, number)
        member.db_subnet_group = account.rds("us-east-1").subnet_groups[unique]
        with account.lock:
            real.add(member)
            assert member.status == "creating"
        until(lambda member=member: member.status != "creating")
    return made


def member_of(cluster: Any, number: int) -> Any:
    return account.rds("us-east-1").databases[f"{cluster.db_cluster_identifier}-{number}"]


def test_members_run_under_the_names_of_their_cluster(cluster: Any) -> None:
    (shared,) = Cluster.made
    first = shared.members[f"{cluster.db_cluster_identifier}-1"]
    assert first.facts["certificate"] == [
        member_of(cluster, 1).address,
        cluster.endpoint,
        cluster.reader_endpoint,
    ]
    assert (first.image, first.facts["memory_mib"]) == ("image of postgresql-17", 3072)
    assert cluster.engine_version == "17.31"
    assert [member_of(cluster, number).is_cluster_writer for number in (1, 2)] == [True, False]


def test_a_member_that_does_not_start_has_failed_and_its_cluster_has_not(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(Cluster, "fails", True)
    cluster = request.getfixturevalue("cluster")
    assert (member_of(cluster, 1).status, cluster.status) == ("failed", "available")


def test_the_names_move_when_another_member_writes_and_the_state_ends_later(
    cluster: Any, real: Clusters
) -> None:
    real.failover(cluster, f"{cluster.db_cluster_identifier}-2")
    until(lambda: member_of(cluster, 2).is_cluster_writer)
    assert not member_of(cluster, 1).is_cluster_writer
    assert cluster.status == "failing-over"
    Cluster.made[0].held.set()
    until(lambda: cluster.status == "available")


def test_a_changed_password_reaches_the_servers_and_nothing_else_does(cluster: Any, real: Clusters) -> None:
    shared = Cluster.made[0]
    real.follow(cluster)
    until(lambda: cluster.status == "available")
    assert [what for what, *_ in shared.done] == ["add", "add", "apply_parameters"]
    cluster.master_user_secret.rotate_secret()
    with account.lock:
        real.follow(cluster)
        assert cluster.status == "resetting-master-credentials"
    until(lambda: cluster.status == "available")
    assert [what for what, *_ in shared.done][3:] == ["set_password", "apply_parameters"]


def test_a_lost_writer_leaves_another_and_an_address(cluster: Any, real: Clusters) -> None:
    gone, forgotten = member_of(cluster, 1), []
    real.remove(gone, lambda: forgotten.append(account.rds("us-east-1").databases.pop(f"{gone.resource_id}")))
    until(lambda: gone.status == "deleted")
    assert forgotten == [gone]
    assert member_of(cluster, 2).is_cluster_writer
    assert gone.real_nic.id not in account.ec2("us-east-1").enis


def test_members_stop_and_start_with_their_cluster(cluster: Any, real: Clusters) -> None:
    real.stop(cluster)
    until(lambda: cluster.status == "stopped")
    assert {member_of(cluster, number).status for number in (1, 2)} == {"stopped"}
    real.start(cluster)
    until(lambda: cluster.status == "available")
    assert {member_of(cluster, number).status for number in (1, 2)} == {"available"}


def test_a_deleted_cluster_leaves_a_last_snapshot_and_is_forgotten(cluster: Any, real: Clusters) -> None:
    snapshot, forgotten = SimpleNamespace(db_cluster_snapshot_identifier="last"), []
    real.delete(cluster, snapshot, lambda: forgotten.append(cluster.status))
    until(lambda: cluster.status == "deleted")
    assert [what for what in Cluster.made[0].done if what[0] != "add"] == [
        ("snapshot", "cluster:last"),
        ("delete",),
    ]
    assert snapshot.status == "available"
    assert forgotten == ["deleting"]
