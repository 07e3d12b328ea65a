"""`provision.py destroy` as a user runs it, against an account in this process."""

import sys
import time
from pathlib import Path

from tests.unit.provisioner_cli.conftest import files

PROJECT = Path(__file__).resolve().parents[3]
SECRETS = ("database-owner", "database-application", "admin", "server-keys", "tls-ca")


def test_destroy_asks_for_the_name_and_goes_on_only_with_it(made, monkeypatch):
    made.configure("database: {deletion_protection: false}\n")
    assert made.run().code == 0
    before = files(made)
    assert made.run("destroy").code == 2
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stdin, "readline", lambda: "flowsted\n", raising=False)
    wrong = made.run("destroy")
    assert wrong.code == 2
    assert "nothing was removed" in wrong.err
    assert files(made) == before

    def think_for_a_second():
        time.sleep(1.1)
        return "flowstead\n"

    monkeypatch.setattr(sys.stdin, "readline", think_for_a_second, raising=False)
    right = made.run("destroy")
    assert right.code == 0, right.err
    # The snapshot has the name that was shown before it was made.
    (snapshot,) = made.account.call("rds", "describe_db_snapshots", SnapshotType="manual")["DBSnapshots"]
    assert f"kept: final snapshot {snapshot['DBSnapshotIdentifier']} " in right.err
    assert f"kept: final snapshot {snapshot['DBSnapshotIdentifier']} " in right.out
    assert "kept: bucket flowstead-123456789012-us-east-1" in right.out
    page = right.out.rpartition("bring kept data back: ")[2].strip()
    assert (PROJECT / page).is_file()
    assert files(made) == {}
    assert made.account.live("network") is None
    assert made.account.live("artifacts") is not None


def test_destroy_ends_with_what_it_does_not_know(made):
    tags = [{"Key": "flowstead:deployment", "Value": "flowstead"}]
    specification = [{"ResourceType": "elastic-ip", "Tags": tags}]
    address = made.account.call("ec2", "allocate_address", Domain="vpc", TagSpecifications=specification)
    made.configure("database: {deletion_protection: false}\n")
    for _ in range(2):
        result = made.run("destroy", "--yes")
        assert result.code == 1
        assert f"left: ec2/elastic-ip {address['AllocationId']}" in result.out
        assert "remove by hand" in result.err
    assert made.account.live("network") is None
    made.account.call("ec2", "release_address", AllocationId=address["AllocationId"])
    result = made.run("destroy", "--yes")
    assert result.code == 0
    assert "Nothing to remove" in result.out


def test_destroy_refuses_while_the_database_is_protected(made):
    result = made.run("destroy", "--yes")
    assert result.code == 2
    assert "database.deletion_protection is true" in result.err
    assert made.account.live("server") is not None
