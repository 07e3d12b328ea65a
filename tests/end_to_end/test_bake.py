"""Images with everything installed: baked in the project itself, so that what follows can start from them.

`make` runs this for one system at a time (-k debian-13) before the scenarios and tests that need its image.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployed import BIN, PROJECT, Deployment, Sandbox, run, until

from sandbox.real.systems import SYSTEMS

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module", params=SYSTEMS)
def bakery(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """An empty account of the project's own, and a deployment.yml of which nothing was ever made."""
    name = f"bake-{request.param}"
    # The local AWS goes with these tests, also when they are killed: the pipe closes then. The image stays.
    down = f"cat; exec {sys.executable} -m sandbox down --name {name}"
    reaper = subprocess.Popen(
        ["sh", "-c", down],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    config = tmp_path_factory.mktemp(name) / "deployment.yml"
    # A database that pg_dump of either system can back up.
    own = f"server: {{image: {request.param}}}\ndatabase: {{engine_version: '15'}}\n"
    config.write_text(f"name: {name}\n{own}", encoding="utf-8")
    yield Deployment(Sandbox.up(PROJECT, name), PROJECT, str(config))
    assert reaper.stdin
    reaper.stdin.close()
    reaper.wait(timeout=300)


def begun(bakery: Deployment) -> subprocess.Popen[str]:
    """Begin a bake, in a process group of its own as in a terminal."""
    return subprocess.Popen(
        [BIN / "python", "provision.py", "--config", bakery.config, "bake"],
        cwd=PROJECT,
        env=bakery.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def left(bakery: Deployment) -> dict[str, int]:
    """What there is in the account of what a bake makes for a while."""
    ec2 = bakery.sandbox.client("ec2")
    tagged = [{"Name": "tag-key", "Values": ["flowstead:deployment"]}]
    reservations = ec2.describe_instances(Filters=tagged)["Reservations"]
    return {
        "hosts": sum(
            instance["State"]["Name"] != "terminated"
            for reservation in reservations
            for instance in reservation["Instances"]
        ),
        "networks": len(ec2.describe_vpcs(Filters=tagged)["Vpcs"]),
        "addresses": len(ec2.describe_addresses(Filters=tagged)["Addresses"]),
        "key pairs": len(ec2.describe_key_pairs(Filters=tagged)["KeyPairs"]),
    }


def test_interrupted_it_removes_what_it_made_and_says_so(bakery: Deployment) -> None:
    process = begun(bakery)
    until(lambda: bakery.sandbox.count("RunInstances") or process.poll() is not None, "a host being made")
    os.kill(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 130, said
    assert "the temporary host is removed" in said
    assert left(bakery) == dict.fromkeys(left(bakery), 0)


def test_killed_it_is_cleared_up_by_the_next_and_two_at_a_time_are_refused(bakery: Deployment) -> None:
    before = bakery.sandbox.count("RunInstances")
    killed = begun(bakery)
    until(
        lambda: bakery.sandbox.count("RunInstances") > before or killed.poll() is not None,
        "a host being made",
    )
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert left(bakery)["hosts"] == 1

    begin = len(bakery.sandbox.calls())
    first = begun(bakery)
    try:
        until(
            lambda: bakery.sandbox.count("RunInstances") > before + 1 or first.poll() is not None,
            "the next host being made",
        )
        second = run(
            *("python", "provision.py", "--config", bakery.config, "bake"),
            cwd=PROJECT,
            env=bakery.environment,
            check=False,
        )
        said, _ = first.communicate(timeout=1500)
    finally:
        if first.poll() is None:
            os.killpg(first.pid, signal.SIGTERM)
            first.communicate()
    assert second.returncode != 0
    assert len(second.stderr.strip().splitlines()) <= 2, second.stderr
    assert first.returncode == 0, said[-6000:]
    assert left(bakery) == dict.fromkeys(left(bakery), 0)

    # It needs no secret, no database, no bucket, no role and no deployment.
    services = {call["service"] for call in bakery.sandbox.calls()[begin:] if call["source"] == "controller"}
    assert services == {"ec2", "resourcegroupstaggingapi", "sts"}


def test_the_image_says_what_is_in_it_and_older_ones_go_with_their_snapshots(bakery: Deployment) -> None:
    ec2, own = bakery.sandbox.client("ec2"), Path(bakery.config).read_text(encoding="utf-8")
    system = re.search(r"image: ([a-z0-9-]+)", own)
    assert system
    bakery.provision("images", "--keep", "1", "--yes")
    ours = [{"Name": "tag:flowstead:system", "Values": [system[1]]}]
    (image,) = ec2.describe_images(Owners=["self"], Filters=ours)["Images"]
    (snapshot,) = ec2.describe_snapshots(OwnerIds=["self"], Filters=ours)["Snapshots"]
    tags = {tag["Key"]: tag["Value"] for tag in image["Tags"]}
    assert tags["flowstead:releases"] == "3.17.2"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", tags["flowstead:packages"])
    assert tags["flowstead:base-image"].startswith("ami-")
    assert "flowstead:deployment" not in tags
    assert image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"] == snapshot["SnapshotId"]
    assert tags.items() <= {tag["Key"]: tag["Value"] for tag in snapshot["Tags"]}.items()
    # One that holds what today's roles install is not baked again.
    before = bakery.sandbox.count("CreateImage")
    assert image["ImageId"] in bakery.provision("bake", "--unless-current").stdout
    assert bakery.sandbox.count("CreateImage") == before
