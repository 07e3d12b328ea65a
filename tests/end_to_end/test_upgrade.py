"""Upgrades and restores under a client that logs without a pause; broken releases; kills at every step."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from deployed import BIN, Deployment, ask, run, until

pytestmark = pytest.mark.timeout(1800)

NEWEST = "3.17.2"
# The same schema as the newest, and an older one.
SAME_SCHEMA, OLDER_SCHEMA = "3.17.1", "3.16.1"
PROGRAM = "/usr/bin/python3 -B /usr/local/lib/flowstead/mlflow/change.py"
JOURNAL = "/var/lib/mlflow-change/journal.json"
CLIENT = Path(__file__).with_name("logging_client.py")
# What the journal calls the steps of a migrating upgrade.
STEPS = (
    "hold requests",
    "back up",
    "change the data",
    "start the release",
    "switch the gateway",
    "use it as a client",
    "commit",
)


def use(version: str) -> tuple[str, ...]:
    """The arguments that ask for a release; those with published holes must be asked for twice."""
    return ("-e", f"mlflow_version={version}", "-e", f"mlflow_insecure_version_accepted={version}")


def version(client: Mapping[str, str]) -> str:
    """The version that the server says it is."""
    return ask(client, "/version")[1].decode().strip()


def running(deployment: Deployment) -> list[str]:
    """The MLflow units that run."""
    listed = deployment.host("systemctl list-units --plain --no-legend --state=running 'mlflow@*' 'mlflow-*'")
    return [line.split()[0] for line in listed.splitlines() if "timer" not in line]


@dataclass
class Logging:
    """A client that logs without a pause."""

    client: Mapping[str, str]
    record: Path
    stop: Path
    cwd: Path
    process: subprocess.Popen[bytes] | None = None
    result: dict[str, Any] = field(default_factory=dict)

    def start(self) -> None:
        """Let it begin, and wait until it has logged something."""
        self.process = subprocess.Popen(
            [BIN / "python", CLIENT, self.record, self.stop], env=dict(self.client), cwd=self.cwd
        )
        until(
            lambda: self.record.is_file() and self.record.read_text().count("\n") > 10, "a client that logs"
        )

    def end(self) -> None:
        """Let it finish what it does."""
        self.stop.touch()
        assert self.process
        assert self.process.wait(timeout=400) == 0

    def check(self) -> dict[str, Any]:
        """Read everything that was acknowledged back."""
        checked = run("python", str(CLIENT), "--check", str(self.record), cwd=self.cwd, env=self.client)
        self.result = json.loads(checked.stdout)
        return self.result


@pytest.fixture
def logging(deployment: Deployment, client_environment: dict[str, str], tmp_path: Path) -> Logging:
    """A client that can log without a pause."""
    return Logging(client_environment, tmp_path / "record.jsonl", tmp_path / "stop", deployment.clone)


@contextmanager
def without_loss(
    logging: Logging, capsys: pytest.CaptureFixture[str], what: str, *, undone: bool = False
) -> Iterator[None]:
    """Log all the while: everything that was acknowledged is there, and no call fails.

    While a change is `undone`, a call may: clients are held off for longer than they try on a slow machine.
    """
    logging.start()
    began = time.monotonic()
    try:
        yield
    finally:
        seconds = time.monotonic() - began
        logging.end()
    seen = logging.check()
    with capsys.disabled():
        print(
            f"\n{what}: {seconds:.0f} s, {seen['calls']} calls in {seen['runs']} runs, "
            f"{len(seen['failed'])} failed, {len(seen['lost'])} lost, "
            f"longest pause {seen['longest_pause_s']:.1f} s"
        )
    assert seen["lost"] == []
    assert undone or seen["failed"] == []
    assert seen["calls"] > 20


@pytest.fixture(scope="module")
def older(
    deployment: Deployment,
    client_environment: dict[str, str],
    run_ids: dict[str, str],
) -> Iterator[Deployment]:
    """A host on which the older release has always served; at the end newest and data of before are back."""
    said = deployment.playbook("playbooks/back_up.yml").stdout
    backup = re.search(r"Backup (\S+): (\d+) rows", said)
    assert backup
    assert int(backup[2]) > 0
    # Empty databases, as on the day when the older release was the newest.
    deployment.host(
        f"set -e; systemctl disable --now mlflow@{NEWEST}.service; rm /etc/mlflow/serving.json; "
        "systemctl start flowstead-secrets@pgpass-owner; cd /usr/local/lib/flowstead/mlflow; "
        f"runuser -u mlflow -- env HOME=/var/lib/mlflow /opt/mlflow/releases/{NEWEST}/bin/python -B -c '"
        "import data, json; one = data.Data(json.loads(data.SETTINGS.read_text())); "
        '[one.replace(base["owner_uri"], "") for base in one.databases]\'; '
        "rm /run/flowstead/pgpass-owner"
    )
    deployment.playbook("site.yml", *use(OLDER_SCHEMA))
    assert version(client_environment) == OLDER_SCHEMA
    yield deployment
    if version(client_environment) != NEWEST:
        deployment.playbook("site.yml")
    deployment.playbook("playbooks/restore_backup.yml", "-e", f"mlflow_backup={backup[1]}")
    status, body = ask(client_environment, f"/api/2.0/mlflow/runs/get?run_id={run_ids['train_iris']}")
    assert (status, json.loads(body)["run"]["info"]["status"]) == (200, "FINISHED")


def settled(deployment: Deployment) -> str:
    """Wait until nothing changes the host's MLflow any more; return which release serves."""
    script = (
        f"test -e {JOURNAL} || systemctl is-active --quiet mlflow-recover 'mlflow-change-*' "
        "|| cat /etc/mlflow/serving.json"
    )
    said = until(
        lambda: deployment.host(script, check=False), "an end of the change", timeout_s=600, pause_s=2
    )
    return str(json.loads(said)["version"])


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
    assert version(client_environment) == OLDER_SCHEMA
    assert running(older) == [f"mlflow@{OLDER_SCHEMA}.service"]


def test_data_are_put_back_when_the_new_release_fails_after_its_migration(
    older: Deployment,
    client_environment: dict[str, str],
    logging: Logging,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A release that answers well on the copies and directly, and 500 to who comes through the gateway."""
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
            done = older.playbook("site.yml", check=False)
    finally:
        older.host(f"cp /root/handlers.py {module}")
    assert done.returncode != 0
    assert "deliberately broken" not in logging.record.read_text()
    assert "The data were put back as they were, from the backup" in " ".join(done.stdout.split())
    assert f"{OLDER_SCHEMA} still serves" in done.stdout
    assert version(client_environment) == OLDER_SCHEMA
    assert running(older) == [f"mlflow@{OLDER_SCHEMA}.service"]


def test_a_change_that_is_killed_is_undone_or_finished(
    older: Deployment,
    client_environment: dict[str, str],
    logging: Logging,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """At each step in turn the program on the host gets `kill -9`; the host itself puts everything right."""
    older.playbook("site.yml", "--tags", "mlflow_install,mlflow_configure")
    seconds = {}
    with without_loss(logging, capsys, "A host's program killed at each step", undone=True):
        for number, step in enumerate(STEPS):
            unit = f"mlflow-change-test{number}"
            began = time.monotonic()
            older.host(
                f"systemd-run --quiet --collect --property=OnFailure=mlflow-recover.service --unit={unit} "
                f"{PROGRAM} upgrade {NEWEST} --migrate; for i in $(seq 2000); do "
                f'grep -q \'"step": "{step}"\' {JOURNAL} 2>/dev/null && break; sleep 0.02; done; '
                f"systemctl kill --signal=SIGKILL {unit}"
            )
            serves = settled(older)
            seconds[step] = round(time.monotonic() - began)
            assert serves == (NEWEST if step == "commit" else OLDER_SCHEMA), step
            assert version(client_environment) == serves, step
            assert running(older) == [f"mlflow@{serves}.service"], step
    with capsys.disabled():
        print("Seconds until all was well: " + ", ".join(f"{step} {took}" for step, took in seconds.items()))


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
    named = re.search(r"playbooks/restore_backup.yml -e mlflow_backup=(\S+)", said)
    assert refused.returncode != 0
    assert "MLflow has no way down" in said
    assert f"{NEWEST} still serves" in said
    assert named
    assert version(client_environment) == NEWEST

    other = older.playbook("playbooks/restore_backup.yml", "-e", f"mlflow_backup={named[1]}", check=False)
    assert other.returncode != 0
    assert f"Set mlflow_version to {OLDER_SCHEMA}" in " ".join(other.stdout.split())

    done = older.playbook(
        "playbooks/restore_backup.yml", *use(OLDER_SCHEMA), "-e", f"mlflow_backup={named[1]}"
    )
    assert version(client_environment) == OLDER_SCHEMA
    assert running(older) == [f"mlflow@{OLDER_SCHEMA}.service"]
    # What had been logged after that backup is in the one that the restore took first, and nowhere else.
    run_id = json.loads(logging.record.read_text().splitlines()[0])["made"]
    assert ask(client_environment, f"/api/2.0/mlflow/runs/get?run_id={run_id}")[0] == 404
    assert re.search(r"Backup of the data before: \S+-before-restore", " ".join(done.stdout.split()))


def test_a_migrating_upgrade_loses_nothing_even_when_its_controller_is_killed(
    older: Deployment,
    client_environment: dict[str, str],
    logging: Logging,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And while it is under way, a second run refuses."""
    command = [BIN / "ansible-playbook", "site.yml"]
    with without_loss(logging, capsys, f"{OLDER_SCHEMA} to {NEWEST}, its controller killed on the way"):
        first = subprocess.Popen(
            command,
            cwd=older.clone,
            env=dict(older.environment),
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        until(lambda: older.host(f"cat {JOURNAL}", check=False), "a change under way", timeout_s=400)
        second = older.playbook("site.yml", check=False)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        assert settled(older) == NEWEST
    assert second.returncode != 0
    assert "is busy with: upgrade" in " ".join(second.stdout.split())
    assert version(client_environment) == NEWEST
    assert running(older) == [f"mlflow@{NEWEST}.service"]
    again = older.playbook("site.yml").stdout
    assert re.search(r"changed=0\s", again.split("PLAY RECAP")[1].replace("localhost", ""))


@contextmanager
def asking(client: Mapping[str, str]) -> Iterator[list[tuple[int, bytes]]]:
    """Ask again and again, on a new connection each time and without a second try; yields the answers."""
    answers: list[tuple[int, bytes]] = []
    stop = threading.Event()

    def ask_on() -> None:
        while not stop.is_set():
            answers.append(ask(client))
            time.sleep(0.1)

    thread = threading.Thread(target=ask_on)
    thread.start()
    try:
        yield answers
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("upgrade", [(NEWEST, SAME_SCHEMA), (SAME_SCHEMA, NEWEST)], ids=["down", "up"])
def test_with_the_same_schema_no_request_fails_up_or_down(
    older: Deployment,
    client_environment: dict[str, str],
    logging: Logging,
    capsys: pytest.CaptureFixture[str],
    upgrade: tuple[str, str],
) -> None:
    there, then = upgrade
    assert version(client_environment) == there
    with asking(client_environment) as answers, without_loss(logging, capsys, f"{there} to {then}"):
        older.playbook("site.yml", *use(then))
    assert [answer for answer in answers if answer[0] != 200] == []
    assert len(answers) > 20
    assert version(client_environment) == then
    assert running(older) == [f"mlflow@{then}.service"]


def test_a_release_with_a_wrong_package_never_gets_near_the_old_one(
    older: Deployment, client_environment: dict[str, str], tmp_path: Path
) -> None:
    """One hash of its lock is not the one of what the index has."""
    lock = (older.clone / f"roles/mlflow/files/locks/{SAME_SCHEMA}.txt").read_text()
    name = re.search(r"^mlflow-skinny==.*?(?=^\S)", lock, re.MULTILINE | re.DOTALL)
    assert name
    broken = tmp_path / "broken.txt"
    broken.write_text(lock.replace(name[0], re.sub(r"sha256:\w{4}", "sha256:0000", name[0])))
    older.host(f"rm -rf /opt/mlflow/releases/{SAME_SCHEMA}*")
    done = older.playbook(
        "site.yml", "--tags", "mlflow", *use(SAME_SCHEMA), "-e", f"mlflow_lock_file={broken}", check=False
    )
    assert done.returncode != 0
    assert "ash mismatch" in done.stdout
    assert version(client_environment) == NEWEST
    assert running(older) == [f"mlflow@{NEWEST}.service"]


def test_a_run_recovers_and_removes_the_releases_that_are_not_kept(
    older: Deployment, client_environment: dict[str, str]
) -> None:
    """The host was cut off in the middle of a change, and its own recovery has been switched off."""
    serving = json.loads(older.host("cat /etc/mlflow/serving.json"))
    journal = json.dumps({"step": "start the release", "from": serving, "to": serving, "data": ""})
    older.host(
        f"systemctl disable --quiet mlflow-recover; systemctl stop mlflow@{NEWEST}; "
        f"echo '{journal}' > {JOURNAL}"
    )
    said = older.playbook("site.yml", "--tags", "mlflow", "-e", "mlflow_keep_releases=1").stdout
    assert "had been broken off at the step" in " ".join(said.split())
    assert older.host(f"test -e {JOURNAL} || systemctl is-enabled mlflow-recover").strip() == "enabled"
    assert version(client_environment) == NEWEST
    there = {name for name in older.host("ls /opt/mlflow/releases").split() if not name.endswith(".lock")}
    assert there == {NEWEST, serving["before"][0]}


def test_the_unit_is_hardened(deployment: Deployment, client_environment: dict[str, str]) -> None:
    assert version(client_environment) == NEWEST
    said = deployment.host(f"systemd-analyze security --no-pager mlflow@{NEWEST}.service")
    exposure = float(said.rstrip().splitlines()[-1].split(":")[1].split()[0])
    assert exposure <= 2.0
