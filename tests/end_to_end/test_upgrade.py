"""Upgrades that migrate, under a client that logs without a pause: broken releases, kills, the way back."""

from __future__ import annotations

import itertools
import json
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from deployed import Deployment, ask, changes, until
from upgrading import (
    CUT_POWER,
    END,
    JOURNAL,
    KILL,
    NEWEST,
    OLDER_SCHEMA,
    Logging,
    begin_change,
    begun,
    killed_at,
    serves,
    settled,
    use,
    version,
    without_loss,
)

pytestmark = pytest.mark.timeout(3600)

# What the journal calls the steps of a migrating upgrade before it is committed.
STEPS = (
    "hold requests",
    "back up",
    "change the data",
    "switch the data",
    "start the release",
    "switch the gateway",
    "use it as a client",
)
# What a run says when it begins the steps of a migrating upgrade before the host takes over, and the seconds
# after which it is killed: the module is on the host by then.
TASKS = {
    "install | The release is what its lock names, and the app knows it": 1.5,
    "configure | What the server and a rehearsal are told and run under is in place": 0.5,
    "compare_schema | Read the release's schema and the databases'": 0.5,
    "rehearse | The release migrates copies of the databases, and serves them": 1.5,
    "rehearse | Take a snapshot of the database server": 0.0,
}


@pytest.fixture(scope="module")
def older(
    deployment: Deployment,
    client_environment: dict[str, str],
    run_ids: dict[str, str],
) -> Iterator[Deployment]:
    """A host on which the older release has always served; it ends with the newest and the earlier data."""
    said = deployment.playbook("playbooks/back_up.yml").stdout
    backup = re.search(r"Backup (\S+): (\d+) rows", said)
    assert backup
    assert int(backup[2]) > 0
    # Empty databases, as on the day when the older release was the newest.
    deployment.host(
        f"set -e; systemctl disable --now mlflow@{NEWEST}.service; rm /etc/mlflow/serving.json; "
        "systemctl start flowstead-secrets@pgpass-owner; cd /usr/local/lib/flowstead/mlflow; "
        f"/opt/mlflow/releases/{NEWEST}/bin/python -B -c '"
        "import data; one = data.Data(data.read_settings()); "
        "[one.engines.of(base).replace(base.owner_uri) for base in one.settings.databases]'; "
        "rm /run/flowstead/pgpass-owner"
    )
    deployment.playbook("site.yml", *use(OLDER_SCHEMA))
    assert version(client_environment) == OLDER_SCHEMA
    yield deployment
    if version(client_environment) != NEWEST:
        deployment.playbook("site.yml")
    deployment.playbook("playbooks/restore_backup.yml", "-e", f"mlflow_data_backup={backup[1]}")
    status, body = ask(client_environment, f"/api/2.0/mlflow/runs/get?run_id={run_ids['train_iris']}")
    assert (status, json.loads(body)["run"]["info"]["status"]) == (200, "FINISHED")


def test_a_rehearsal_that_fails_changes_nothing(
    older: Deployment,
    client_environment: dict[str, str],
    logging: Logging,
    capsys: pytest.CaptureFixture[str],
) -> None:
    older.playbook("site.yml", "--tags", "mlflow_install")
    folder = f"/opt/mlflow/releases/{NEWEST}/lib/python3*/site-packages/mlflow/store/db_migrations/versions"
    break_it = f'cd {folder}; f=$(grep -l "^revision.*dc11669786a5" *.py); cp $f /root/migration; '
    older.host(break_it + "sed -i \"s/^def upgrade.*/&\\n    raise RuntimeError('deliberately broken')/\" $f")
    with without_loss(logging, capsys, "A migration that raises"):
        done = older.playbook("site.yml", check=False)
    older.host(f'cd {folder}; mv /root/migration $(grep -l "^revision.*dc11669786a5" *.py)')
    assert done.returncode != 0
    assert "The rehearsal of MLflow" in done.stdout
    assert "deliberately broken" in done.stdout
    assert f"{OLDER_SCHEMA} still serves" in done.stdout
    assert serves(older, client_environment, OLDER_SCHEMA)


@pytest.fixture
def without_snapshots(older: Deployment) -> Iterator[Deployment]:
    """The deployment in the hands of somebody whom AWS does not let take snapshots of databases."""
    iam, name = older.sandbox.client("iam"), "no-snapshots"
    statements = [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "rds:CreateDBSnapshot", "Resource": "*"},
    ]
    iam.create_user(UserName=name)
    iam.put_user_policy(
        UserName=name,
        PolicyName=name,
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statements}),
    )
    key = iam.create_access_key(UserName=name)["AccessKey"]
    login = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    yield replace(older, sandbox=replace(older.sandbox, env=older.sandbox.env | login))
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName=name, PolicyName=name)
    iam.delete_user(UserName=name)


def test_data_are_put_back_when_the_new_release_fails_after_its_migration(
    older: Deployment,
    without_snapshots: Deployment,
    client_environment: dict[str, str],
    logging: Logging,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A release that answers well on the copies and directly, and 500 through the gateway."""
    older.playbook("site.yml", "--tags", "mlflow_install")
    module = f"/opt/mlflow/releases/{NEWEST}/lib/python3*/site-packages/mlflow/server/handlers.py"
    break_it = (
        f"cp {module} /root/handlers.py; cat >> {module} <<'END'\n"
        "def _broken():\n"
        "    raise RuntimeError('deliberately broken')\n"
        "HANDLERS[CreateRun] = _broken\n"
        "END\n"
    )
    older.host(break_it)
    try:
        with without_loss(logging, capsys, "A release that breaks after its migration", undone=True):
            done = without_snapshots.playbook("site.yml", check=False)
    finally:
        older.host(f"cp /root/handlers.py {module}")
    assert done.returncode != 0
    assert "No snapshot: these AWS credentials may not take one" in " ".join(done.stdout.split())
    assert "deliberately broken" not in logging.record.read_text()
    assert "The data are as they were before." in " ".join(done.stdout.split())
    assert f"{OLDER_SCHEMA} still serves" in done.stdout
    assert serves(older, client_environment, OLDER_SCHEMA)


def test_a_change_that_is_killed_is_undone(
    older: Deployment,
    client_environment: dict[str, str],
    logging: Logging,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """At each step in turn the program on the host gets `kill -9` or `kill`; the host puts everything right.

    At one the host loses its power as well, and at one the database restarts.
    """
    older.playbook("site.yml", "--tags", "mlflow_install,mlflow_configure")
    seconds = {}
    with without_loss(logging, capsys, "A host's program killed at each step", undone=True):
        for step, way in zip(STEPS, itertools.cycle((KILL, END))):
            began = time.monotonic()
            begin_change(older, NEWEST, "--migrate", step=step, then=way)
            assert settled(older) == OLDER_SCHEMA, step
            seconds[step] = round(time.monotonic() - began)
            assert serves(older, client_environment, OLDER_SCHEMA), step

        began = time.monotonic()
        begin_change(older, NEWEST, "--migrate", step="change the data", then=CUT_POWER)
        assert settled(older) == OLDER_SCHEMA
        seconds["power cut"] = round(time.monotonic() - began)
        until(lambda: serves(older, client_environment, OLDER_SCHEMA), "serving after a power cut")

        # Whether its migration survives that is the release's own affair: it is finished, or undone.
        began = time.monotonic()
        begin_change(older, NEWEST, "--migrate", step="change the data")
        older.sandbox.client("rds").reboot_db_instance(
            DBInstanceIdentifier=older.provisioned["database"]["identifier"]
        )
        left = settled(older)
        seconds["database restarted"] = round(time.monotonic() - began)
        until(lambda: serves(older, client_environment, left), "serving after the database restarted")
    with capsys.disabled():
        print("Seconds until all was well: " + ", ".join(f"{step} {took}" for step, took in seconds.items()))
        print(f"After the database had restarted, {left} served.")


def test_there_is_no_way_down_but_a_restored_backup(
    older: Deployment,
    client_environment: dict[str, str],
    logging: Logging,
) -> None:
    if version(client_environment) != NEWEST:
        older.playbook("site.yml")
    logging.start()
    logging.end()
    refused = older.playbook("site.yml", *use(OLDER_SCHEMA), check=False)
    said = " ".join(refused.stdout.split())
    named = re.search(r"playbooks/restore_backup.yml -e mlflow_data_backup=(\S+)", said)
    assert refused.returncode != 0
    assert "MLflow has no way down" in said
    assert f"{NEWEST} still serves" in said
    assert named
    assert version(client_environment) == NEWEST

    other = older.playbook(
        "playbooks/restore_backup.yml", "-e", f"mlflow_data_backup={named[1]}", check=False
    )
    assert other.returncode != 0
    assert f"Set mlflow_release_version to {OLDER_SCHEMA}" in " ".join(other.stdout.split())

    done = older.playbook(
        "playbooks/restore_backup.yml", *use(OLDER_SCHEMA), "-e", f"mlflow_data_backup={named[1]}"
    )
    assert serves(older, client_environment, OLDER_SCHEMA)
    # What had been logged after that backup is in the one that the restore took first, and nowhere else.
    run_id = json.loads(logging.record.read_text().splitlines()[0])["made"]
    assert ask(client_environment, f"/api/2.0/mlflow/runs/get?run_id={run_id}")[0] == 404
    assert re.search(r"Backup of the data before: \S+-before-restore", " ".join(done.stdout.split()))


def snapshots(deployment: Deployment) -> set[str]:
    """The names of the snapshots of databases that there are."""
    listed = deployment.sandbox.client("rds").describe_db_snapshots()["DBSnapshots"]
    return {one["DBSnapshotIdentifier"] for one in listed}


def test_a_migrating_upgrade_loses_nothing_even_when_its_controller_is_killed_at_each_step(
    older: Deployment,
    client_environment: dict[str, str],
    logging: Logging,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Before the host takes over nothing has changed, then it goes on alone; a second run refuses."""
    older.host(f"rm -rf /opt/mlflow/releases/{NEWEST}* /etc/mlflow/{NEWEST}.env")
    before = snapshots(older)
    with without_loss(logging, capsys, f"{OLDER_SCHEMA} to {NEWEST}, its controller killed at each step"):
        for task, seconds in TASKS.items():
            killed_at(older, task, seconds)
            until(lambda: serves(older, client_environment, OLDER_SCHEMA), f"serving after {task}", 300)
        with begun(older, "site.yml") as first:
            until(lambda: older.host(f"cat {JOURNAL}", check=False), "a change under way", timeout_s=400)
            second = older.playbook("site.yml", check=False)
        assert first.returncode == -signal.SIGKILL
        assert settled(older) == NEWEST
    assert second.returncode != 0
    assert "is busy with: upgrade" in " ".join(second.stdout.split())
    assert serves(older, client_environment, NEWEST)
    assert changes(older.playbook("site.yml").stdout) == []
    assert any(f"-before-{NEWEST.replace('.', '-')}-" in name for name in snapshots(older) - before)
