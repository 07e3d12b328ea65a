"""deployment.yml and the commands where the data are on a volume, and in no database service."""

import json
from pathlib import Path

import pytest

from provisioner import config
from tests.unit.provisioner_cli.conftest import files

PROJECT = Path(__file__).resolve().parents[3]
NONE = "database: {engine: none, deletion_protection: false}\n"


def test_its_keys_have_defaults(accepted):
    database = accepted("database: {engine: none}\n").database
    assert database.model_dump() == {
        "engine": "none",
        "volume_gib": 20,
        "snapshot_days": 7,
        "deletion_protection": True,
    }
    # pg_dump has nothing to do with it.
    assert accepted("server: {image: debian-12}\ndatabase: {engine: none}\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "database: {engine: none, multi_az: true}\n",
            "1: database.multi_az: is a key of postgresql; database.engine none has no such key: remove",
        ),
        (
            "database:\n  engine: none\n  volume_gb: 5\n",
            "3: database.volume_gb: is not a key Flowstead knows; did ",
        ),
        (
            "database: {engine: none, volume_gib: 0}\n",
            "1: database.volume_gib: must be at least 1, is the number 0",
        ),
        (
            "database: {engine: none, snapshot_days: '7'}\n",
            "1: database.snapshot_days: must be a whole number",
        ),
        (
            "database: {volume_gib: 5}\n",
            "1: database.volume_gib: is a key of none; database.engine postgresql has no such key: remove",
        ),
        (
            "database: {engine: nine}\n",
            "1: database.engine: must be one of postgresql, aurora-postgresql, aurora-mysql, none, is the",
        ),
    ],
)
def test_what_it_has_not_is_refused(refused, text, words):
    (line,) = refused(text)
    assert line.startswith(f"deployment.yml:{words}")


def test_one_volume_is_for_one_server(refused):
    lines = refused("server: {count: 2}\ndatabase: {engine: none}\n")
    assert any("server.count: must be 1 with database.engine none, is 2" in line for line in lines)
    assert not any("database.engine none" in line for line in refused("server: {count: 2}\n"))


def test_the_host_learns_which_volume_it_is_and_nothing_of_a_database(machine):
    machine.configure(NONE)
    planned = machine.run("plan", "--json").data
    assert "data_volume" in {one["resource"] for one in planned["changes"]}
    machine.account.apply(database={"engine": "none", "deletion_protection": False})
    outputs = machine.run("outputs", "--json").data
    (volume,) = (
        one
        for one in machine.account.call("ec2", "describe_volumes")["Volumes"]
        if one["Size"] == 20 and one["Attachments"][0]["Device"] == "/dev/sdf"
    )
    assert outputs["database"] == {"engine": "none", "volume_id": volume["VolumeId"], "device": "/dev/sdf"}
    names = {arn.rpartition("/")[2][:-7] for arn in outputs["host_secret_arns"]}
    assert names == {"admin", "server-keys"}
    lines = machine.run("outputs").out
    assert f"database.volume_id: {volume['VolumeId']}" in lines


def test_a_destroy_says_what_it_keeps(machine):
    machine.configure(NONE)
    machine.account.apply(database={"engine": "none", "deletion_protection": False})
    done = machine.run("destroy", "--yes", "--delete-data")
    assert done.code == 0, done.err
    assert "kept: final snapshot flowstead-flowstead-data-volume-final-" in done.out
    assert not files(machine)
    assert json.dumps(machine.account.policies.kept) == "{}"


def test_the_example_is_a_deployment_on_a_volume(machine):
    example = PROJECT / "examples/deployments/s3_only.yml"
    assert config.load(example).database.engine == "none"
    machine.configure(example.read_text().removeprefix("---\n"))
    made = {one["resource"] for one in machine.run("plan", "--json").data["changes"]}
    assert {"server", "data_volume", "nightly_snapshots", "artifacts"} <= made
    assert "database" not in made
