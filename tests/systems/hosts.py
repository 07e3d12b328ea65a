"""A host that is lost, and what the two commands make of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from deployed import Deployment, served, until


@contextmanager
def timed(capsys: pytest.CaptureFixture[str], what: str) -> Iterator[None]:
    """Say how many seconds something takes."""
    began = time.monotonic()
    yield
    with capsys.disabled():
        print(f"\n{what}: {time.monotonic() - began:.0f} s")


def replace_host(deployment: Deployment, capsys: pytest.CaptureFixture[str], *projects: str) -> None:
    """Take the host away; the two commands make another, and clients find it as they found the old one.

    Args:
        deployment: whose host it is.
        capsys: to say how long it took.
        projects: those that are to serve again, besides the default one.

    """
    lost = deployment.instance_id
    clients = [deployment.client_environment, *map(deployment.client_of, projects)]
    deployment.sandbox.client("ec2").terminate_instances(InstanceIds=[lost])
    with timed(capsys, "replacement of the host"):
        deployment.provision()
        deployment.playbook("site.yml")
    assert deployment.instance_id != lost
    for client in clients:
        until(lambda client=client: served(client), "served at the same URL, to the same login and CA")
