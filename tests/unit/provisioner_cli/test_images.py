"""What was baked is listed with age, size and use, and old ones go with their snapshots."""

import sys
from datetime import datetime
from typing import Any

import pytest
from moto.ec2.models import ec2_backends

from provisioner import code
from provisioner.session import PROJECT
from tests.unit.provisioner.moto_account import REGION, image
from tests.unit.provisioner_cli.conftest import Machine


def own(machine: Machine, number: int, date: str, **differing: Any) -> str:
    """Let the account have an image of its own; its snapshot has the same tags."""
    tags = {
        "Name": f"flowstead-{number}",
        "flowstead:system": "debian-13",
        "flowstead:code": "0.0.9 ba9876543210",
        "flowstead:releases": "3.17.2 3.16.1",
        **differing.pop("tags", {}),
    }
    made = image(number, tags["Name"], date)
    made |= {"owner_id": "123456789012", "public": False, "tags": tags, **differing}
    machine.account.publish(made)
    if made["owner_id"] == "123456789012":
        backend().amis[made["ami_id"]].ebs_snapshot.add_tags(tags)
    return str(made["ami_id"])


def backend() -> Any:
    return ec2_backends["123456789012"][REGION]


def snapshot_of(image_id: str) -> str:
    return str(backend().amis[image_id].ebs_snapshot.id)


def there(machine: Machine) -> set[str]:
    images = machine.account.call("ec2", "describe_images", Owners=["self"])["Images"]
    filters = [{"Name": "tag-key", "Values": ["flowstead:system"]}]
    snapshots = machine.account.call("ec2", "describe_snapshots", OwnerIds=["self"], Filters=filters)
    return {one["ImageId"] for one in images} | {one["SnapshotId"] for one in snapshots["Snapshots"]}


def test_none_is_said_with_the_next_step(machine: Machine) -> None:
    assert "python provision.py bake" in machine.run("images").out


def test_images_are_listed_the_newest_first(machine: Machine) -> None:
    old, new = own(machine, 20, "2026-01-01"), own(machine, 21, "2026-02-01", architecture="arm64")
    today = own(machine, 22, "2026-03-01", tags={"flowstead:code": code.current(PROJECT)})
    network = machine.account.call("ec2", "create_vpc", CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = machine.account.call("ec2", "create_subnet", VpcId=network, CidrBlock="10.0.0.0/24")["Subnet"]
    wanted = {"ImageId": old, "MinCount": 1, "MaxCount": 1, "SubnetId": subnet["SubnetId"]}
    launched = [machine.account.call("ec2", "run_instances", **wanted)["Instances"][0] for _ in range(2)]
    running, ended = (item["InstanceId"] for item in launched)
    machine.account.call("ec2", "terminate_instances", InstanceIds=[ended])
    lines = machine.run("images").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [today, new, old]
    assert "today's" in lines[1]
    assert "arm64" in lines[2]
    assert lines[3].endswith(running)
    assert "0.0.9 ba9876543210" in lines[3]
    assert "3.17.2 3.16.1" in lines[3]
    first, *_, last = machine.run("images", "--json").data["images"]
    assert first["code"] == code.current(PROJECT)
    assert last["instances"] == [running]
    assert last["size_gib"] == 15
    assert datetime.fromisoformat(last["made_at"]).tzinfo


def test_others_images_are_neither_listed_nor_removed(machine: Machine) -> None:
    own(machine, 20, "2026-01-01", owner_id="999999999999", public=True)
    plain = image(21, "my-own", "2026-01-01") | {"owner_id": "123456789012", "public": False}
    machine.account.publish(plain)
    assert machine.run("images", "--json").data == {"images": [], "orphans": []}
    assert machine.run("images", "--keep", "0", "--yes").out.startswith("Nothing to remove")


def test_the_newest_of_each_system_and_processor_stay(machine: Machine) -> None:
    old, new = own(machine, 20, "2026-01-01"), own(machine, 21, "2026-02-01")
    arm = own(machine, 22, "2026-01-01", architecture="arm64")
    other = own(machine, 23, "2026-01-01", tags={"flowstead:system": "debian-12"})
    pending = own(machine, 24, "2026-03-01", state="pending")
    failed = own(machine, 25, "2026-03-01", state="failed")
    stay = {one for id_ in (new, arm, other, pending) for one in (id_, snapshot_of(id_))}
    go = {one for id_ in (old, failed) for one in (id_, snapshot_of(id_))}
    assert there(machine) == stay | go
    result = machine.run("images", "--keep", "1", "--yes", "--json")
    assert result.code == 0, result.err
    assert set(result.data["removed"]) == {old, failed}
    assert there(machine) == stay
    assert machine.run("images", "--keep", "1", "--yes", "--json").data == {"removed": []}


def test_a_snapshot_that_a_killed_run_left_goes_too(machine: Machine) -> None:
    """Between the two calls the run was killed; a snapshot of an image that is being made is no such one."""
    lost, unfinished = own(machine, 20, "2026-01-01"), own(machine, 21, "2026-02-01", state="pending")
    snapshots = snapshot_of(lost), snapshot_of(unfinished)
    machine.account.call("ec2", "deregister_image", ImageId=lost)
    # It does not name its snapshot yet.
    backend().amis[unfinished].ebs_snapshot = backend().amis["ami-00000000000000001"].ebs_snapshot
    assert machine.run("images", "--json").data["orphans"] == [snapshots[0]]
    result = machine.run("images", "--keep", "3", "--yes")
    assert result.out == f"Removed: {snapshots[0]}.\n"
    assert there(machine) == {unfinished, snapshots[1]}


def test_it_shows_what_goes_and_asks(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    old = own(machine, 20, "2026-01-01")
    own(machine, 21, "2026-02-01")
    before = there(machine)
    alone = machine.run("images", "--keep", "1")
    assert alone.code == 2
    assert f"- {old} flowstead-20, 15 GiB" in alone.err
    assert "Add --yes if you are sure." in alone.err
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stdin, "readline", lambda: "no\n", raising=False)
    assert machine.run("images", "--keep", "1").code == 2
    assert there(machine) == before
    monkeypatch.setattr(sys.stdin, "readline", lambda: "yes\n", raising=False)
    assert machine.run("images", "--keep", "1").code == 0
    assert old not in there(machine)


@pytest.mark.parametrize("number", ["-1", "many"])
def test_a_wrong_number_ends_with_2(machine: Machine, number: str) -> None:
    assert machine.run("images", "--keep", number).code == 2
