"""moto is not made for threads: whoever asks it or reads its objects waits for the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from types import SimpleNamespace
from typing import Any

import pytest

from sandbox import account
from sandbox.mapping import names
from sandbox.mapping.databases import Databases
from sandbox.mapping.hosts import Hosts
from sandbox.mapping.infrastructure import Infrastructure
from sandbox.mapping.metadata import Metadata
from sandbox.mapping.topology import interfaces
from sandbox.web import HttpRequest

BACKENDS = ("ec2", "rds", "iam", "sts", "s3", "secrets")


@pytest.fixture
def unguarded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names the backends that were taken by a thread that does not hold the account's lock."""
    found: list[str] = []

    def watched(name: str, take: Callable[..., Any]) -> Callable[..., Any]:
        def watch(*arguments: str) -> Any:
            if not account.lock._is_owned():
                found.append(f"{name} by {threading.current_thread().name}")
            return take(*arguments)

        return watch

    for name in BACKENDS:
        monkeypatch.setattr(account, name, watched(name, getattr(account, name)))
    return found


def test_calls_from_many_threads_reach_moto_one_at_a_time(
    cloud: SimpleNamespace, client: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    moto, inside, together = cloud.front._moto, [], []

    def slow(environ: Any, start_response: Any) -> Any:
        inside.append(threading.get_ident())
        together.append(len(inside))
        time.sleep(0.02)
        try:
            return moto(environ, start_response)
        finally:
            inside.remove(threading.get_ident())

    monkeypatch.setattr(cloud.front, "_moto", slow)
    asking = [client("ec2").describe_vpcs, client("iam").list_roles, client("s3").list_buckets] * 4
    with ThreadPoolExecutor(len(asking)) as pool:
        for future in [pool.submit(ask) for ask in asking]:
            future.result()
    assert len(together) == len(asking)
    assert max(together) == 1


def test_a_call_takes_no_backend_without_the_lock(
    client: Callable[..., Any], network: SimpleNamespace, unique: str, unguarded: list[str]
) -> None:
    client("ec2").describe_network_interfaces()
    client("s3").create_bucket(Bucket=unique)
    client("secretsmanager").create_secret(Name=unique, SecretString="x")
    client("iam").list_instance_profiles()
    client("rds").describe_db_instances()
    client("ec2").delete_subnet(SubnetId=network.subnets[0])
    assert unguarded == []


def test_what_runs_beside_the_calls_takes_no_backend_without_the_lock(
    network: SimpleNamespace, unguarded: list[str]
) -> None:

    nothing: Any = None
    request = HttpRequest("GET", "/latest/", Message(), b"", "10.80.0.9", nothing, origin=network.vpc)

    def find(_: str) -> Any:
        return next(iter(interfaces(account.ec2("us-east-1"), network.vpc)), None)

    readers: dict[str, Callable[[], Any]] = {
        "DNS": lambda: names.resolve("us-east-1", network.vpc, "db.example.us-east-1.rds.amazonaws.com"),
        "hosts": Hosts(nothing, nothing, nothing).status,
        "databases": Databases(nothing, nothing, nothing, nothing).status,
        "metadata": lambda: Metadata(find)(request),
        "log": lambda: Infrastructure.describe_source(nothing, request),
    }
    # While somebody else is in the account, none of them gets anywhere.
    with ThreadPoolExecutor(len(readers)) as pool:
        with account.lock:
            futures = {name: pool.submit(read) for name, read in readers.items()}
            time.sleep(0.1)
            assert [name for name, future in futures.items() if future.done()] == []
        for future in futures.values():
            future.result(timeout=10)
    assert unguarded == []
