"""The programs of the role mlflow_data on its host: what they read, and how long they say it will take."""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "roles/mlflow_data/files/host"))


@pytest.fixture(scope="module")
def host() -> Any:
    """The module that all the others build on."""
    import host  # noqa: PLC0415 - found only now

    return host


@pytest.fixture
def change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The program that changes releases, with a state of its own."""
    import change  # noqa: PLC0415 - found only now

    monkeypatch.setattr(change, "REHEARSAL", tmp_path / "rehearsal.json")
    monkeypatch.setattr(change, "BACKUP_MIB_PER_S", 10)
    return change


def test_secrets_are_read_as_systemd_reads_them(host: Any, tmp_path: Path) -> None:
    file = tmp_path / "mlflow.env"
    file.write_text('# COMMENT=1\n\nPLAIN=a=b"c\nQUOTED="a \\"b\\" \\\\ $c"\nEMPTY=\n')
    assert host.variables_in(file) == {"PLAIN": 'a=b"c', "QUOTED": 'a "b" \\ $c', "EMPTY": ""}


def test_a_missing_password_is_said_with_where_to_look(host: Any, tmp_path: Path) -> None:
    file = tmp_path / "mlflow.env"
    file.write_text("OTHER=1\n")
    with pytest.raises(host.ChangeError, match="flowstead-secrets@mlflow-env"):
        host.administrator_password(file)


def test_clients_are_held_off_for_a_migration_and_its_undoing(host: Any, change: Any) -> None:
    host.write_json(change.REHEARSAL, {"version": "3.17.2", "seconds": 40.0})
    assert change.expected_s("3.17.2", 0) == 80
    assert change.expected_s("3.17.2", 1000) == 180


@pytest.mark.parametrize("rehearsed", ["3.17.1", None])
def test_without_a_rehearsal_of_the_release_only_the_data_count(
    host: Any, change: Any, rehearsed: str | None
) -> None:
    if rehearsed:
        host.write_json(change.REHEARSAL, {"version": rehearsed, "seconds": 40.0})
    assert change.expected_s("3.17.2", 100) == 10


def test_clients_come_again_later_and_later_while_a_long_request_finishes(
    change: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change, "JOURNAL", tmp_path / "journal.json")
    monkeypatch.setattr(change, "DRAIN_NOTICE_S", 0.01)
    announced: list[float] = []
    enough = threading.Event()

    class Host:
        """A host whose release stops when clients have been told three times."""

        def gateway(self, word: str, value: str) -> None:
            if word == "announce":
                announced.append(float(value))
                if len(announced) == 3:
                    enough.set()

        def stop(self, version: str) -> None:
            assert enough.wait(30), version

    record = {"from": {"version": "3.16.1"}, "to": {"version": "3.17.2"}, "expected_s": 80}
    change.Change(Host(), record).hold_and_stop("3.16.1")
    assert announced[:3] == pytest.approx([80, 80 + 4 * 0.01, 80 + 4 * 0.02])


def test_scripts_of_newer_programs_suit_older_servers_and_rows_stay_as_they_are(tmp_path: Path) -> None:
    import data  # noqa: PLC0415 - found only now

    line = "\nSET transaction_timeout = 0;\n"
    script = tmp_path / "all.sql"
    script.write_text(f"--\nSET lock_timeout = 0;{line}COPY public.t (c) FROM stdin;{line}\\.\n")
    data.make_known_to_older(script)
    assert script.read_text() == (
        f"--\nSET lock_timeout = 0;\n--  transaction_timeout = 0;\nCOPY public.t (c) FROM stdin;{line}\\.\n"
    )


class Migrations:
    """A release whose two migrations are scripts."""

    def __init__(self, host: Any, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.base = base
        self.bin = base / "releases/3.17.2/bin"
        self.bin.mkdir(parents=True)
        monkeypatch.setattr(host.Host, "user_options", lambda _self, _passfile: {"cwd": base})
        self.host = host

    def run(self, tracking: str, login: str, *, room: bool = True, timeout_s: int = 60) -> None:
        for name, script in (("mlflow", tracking), ("python", login)):
            (self.bin / name).write_text(f"#!/bin/sh\n{script}\n")
            (self.bin / name).chmod(0o755)
        settings = {
            "home": str(self.base),
            "config_dir": "",
            "owner_passfile": "",
            "room_for_two": room,
            "migration_timeout_s": timeout_s,
            "databases": [{"uri": "tracking"}, {"uri": "login"}],
        }
        self.host.Host(settings).migrate("3.17.2", "uri")


@pytest.fixture
def migrations(host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Migrations:
    return Migrations(host, tmp_path, monkeypatch)


def meet(mine: str, other: str) -> str:
    """A script that ends only when another one runs at the same time."""
    return f"touch {mine}; for n in $(seq 300); do [ -e {other} ] && exit 0; sleep 0.1; done; exit 1"


def test_both_databases_are_migrated_at_the_same_time(migrations: Migrations) -> None:
    migrations.run(meet("one", "two"), meet("two", "one"))


def test_a_host_without_memory_for_two_migrates_one_after_the_other(migrations: Migrations) -> None:
    alone = "mkdir running && sleep 0.1 && rmdir running"
    migrations.run(alone, alone, room=False)


@pytest.mark.parametrize("room", [True, False])
def test_a_failed_migration_is_told(host: Any, migrations: Migrations, *, room: bool) -> None:
    with pytest.raises(host.ChangeError, match=r"The migration to MLflow 3\.17\.2 failed: no such table"):
        migrations.run("true", "echo no such table >&2; exit 1", room=room)


def test_the_reasons_of_both_are_told_and_none_runs_on(host: Any, migrations: Migrations) -> None:
    with pytest.raises(host.ChangeError) as failed:
        migrations.run("echo first >&2; exit 3", "sleep 0.5; echo second >&2; exit 4")
    assert "failed: first" in str(failed.value)
    assert "failed: second" in str(failed.value)


def test_a_migration_that_takes_too_long_is_ended_and_so_is_the_other(
    host: Any, migrations: Migrations, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[str]] = []

    class Popen(subprocess.Popen[str]):
        """A process that is remembered."""

        def __init__(self, *argv: Any, **options: Any) -> None:
            super().__init__(*argv, **options)
            started.append(self)

    monkeypatch.setattr(host.subprocess, "Popen", Popen)
    with pytest.raises(host.ChangeError, match="not done after 1 s"):
        migrations.run("exec sleep 600", "exec sleep 600", timeout_s=1)
    assert [process.returncode for process in started] == [-signal.SIGKILL] * 2


def test_a_change_beside_another_is_refused_and_says_nothing_of_undoing(
    change: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, report = tmp_path / "change.json", tmp_path / "report.json"
    settings.write_text(json.dumps({"config_dir": str(tmp_path)}))
    (tmp_path / "serving.json").write_text('{"version": "3.16.1", "port": 5000}')
    monkeypatch.setattr(change, "SETTINGS", settings)
    monkeypatch.setattr(change, "LOCK", tmp_path / "lock")
    # What the other one notes while all goes well.
    monkeypatch.setattr(change, "JOURNAL", tmp_path / "journal.json")
    (tmp_path / "journal.json").write_text("{}")
    monkeypatch.setattr(sys, "argv", ["change", "--report", str(report), "upgrade", "3.17.2"])
    with (tmp_path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write("upgrade 3.17.2, since 10:00:00 UTC (process 1)")
        file.flush()
        assert change.main() == 1

    told = json.loads(report.read_text())
    assert (told["outcome"], told["undone"], told["serves"]) == ("refused", True, "3.16.1")
    assert "busy with: upgrade 3.17.2, since 10:00:00 UTC" in told["why"]
    assert "run this again" in told["why"]


def test_a_backup_that_is_not_there_is_told_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import data  # noqa: PLC0415 - found only now

    place = {"bucket": "flowstead-1", "prefix": "backups", "region": "eu-west-1"}
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setattr(data, "SPOOL", tmp_path)
    backups = data.Data({"databases": [], "backups": place})
    found = [f"backups/2026112{day}T023000Z-3.17.2-nightly/manifest.json" for day in range(7)]
    with Stubber(backups.s3) as stubber:
        stubber.add_response("list_objects_v2", {"Contents": [{"Key": key} for key in found]})
        # What S3 answers whoever may not list the whole bucket.
        stubber.add_client_error("get_object", "AccessDenied", http_status_code=403)
        with pytest.raises(SystemExit) as refused:
            backups.manifest("20261101T023000Z-3.17.2-nightly")

    said = str(refused.value)
    assert "no complete backup 20261101T023000Z-3.17.2-nightly in s3://flowstead-1/backups/" in said
    assert "20261126T023000Z-3.17.2-nightly" in said
    assert "20261121T023000Z" not in said


@pytest.mark.parametrize(
    ("age", "seconds"), [("30d", 2592000), ("1d12h", 129600), ("90m", 5400), ("0m", 0), ("1d1h1m", 90060)]
)
def test_an_age_is_days_hours_and_minutes(change: Any, age: str, seconds: int) -> None:
    assert change.age_s(age) == seconds


@pytest.mark.parametrize(
    "age", ["", "30", "d", "-1d", "1.5d", "12h1d", "30 days", "1d\n", "\u0661d", "9999999d"]
)
def test_what_is_no_age_is_refused(host: Any, change: Any, age: str) -> None:
    with pytest.raises(change.RefusedError, match="is no age: give days"):
        change.age_s(age)
    assert issubclass(change.RefusedError, host.ChangeError)


RUN, MODEL, TRACE = "0" * 32, f"m-{'1' * 32}", f"tr-{'2' * 32}"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The artifacts of a deployment, in a bucket that does not exist."""
    import boto3  # noqa: PLC0415 - only here
    from artifacts import Bucket  # noqa: PLC0415 - found only now

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    return Bucket(boto3.client("s3", region_name="eu-west-1"), "s3://flowstead-1/artifacts")


@pytest.mark.parametrize(
    ("address", "owner", "folder"),
    [
        (f"mlflow-artifacts:/7/{RUN}/artifacts", RUN, f"artifacts/7/{RUN}/artifacts/"),
        (f"mlflow-artifacts:/7/models/{MODEL}/artifacts", MODEL, f"artifacts/7/models/{MODEL}/artifacts/"),
        # The server decodes what is in the path of a request.
        (f"mlflow-artifacts:/of%20all//{RUN}/artifacts", RUN, f"artifacts/of all/{RUN}/artifacts/"),
        (f"s3://flowstead-1/artifacts/own/{RUN}/artifacts", RUN, f"artifacts/own/{RUN}/artifacts/"),
    ],
)
def test_files_are_where_the_server_puts_them(bucket: Any, address: str, owner: str, folder: str) -> None:
    assert bucket.folder(address, owner) == folder


@pytest.mark.parametrize(
    "address",
    [
        None,
        "",
        "mlflow-artifacts:/7",
        f"mlflow-artifacts:/7/{RUN[:-1]}1/artifacts",
        f"mlflow-artifacts:/../backups/{RUN}",
        f"mlflow-artifacts:/%2e%2e/backups/{RUN}",
        f"mlflow-artifacts://elsewhere.example/7/{RUN}/artifacts",
        f"s3://flowstead-1/backups/{RUN}/artifacts",
        f"s3://flowstead-1/artifacts-of-others/{RUN}/artifacts",
        f"s3://flowstead-2/artifacts/7/{RUN}/artifacts",
        f"file:///var/lib/mlflow/{RUN}/artifacts",
        f"/artifacts/7/{RUN}/artifacts",
    ],
)
def test_a_folder_that_is_elsewhere_or_not_surely_a_runs_own_is_left_alone(
    bucket: Any, address: str | None
) -> None:
    assert bucket.folder(address, RUN) == ""


def test_of_an_experiment_only_the_folders_that_are_named_are_listed_and_that_once(bucket: Any) -> None:
    mine = [f"artifacts/7/{RUN}/artifacts/", f"artifacts/7/traces/{TRACE}/artifacts/"]
    keys = {f"{mine[0]}a.txt": 1, f"{mine[0]}b/c.txt": 2, f"{mine[1]}traces.json": 3}
    others = {
        f"artifacts/7/{RUN}/other": 4,
        f"artifacts/7/{RUN}x/artifacts/a.txt": 5,
        "artifacts/7/own.txt": 6,
    }
    listed = [{"Key": key, "Size": size} for key, size in (keys | others).items()]
    with Stubber(bucket.s3) as stubber:
        asked = {"Bucket": "flowstead-1", "Prefix": "artifacts/7/"}
        stubber.add_response("list_objects_v2", {"Contents": listed}, asked)
        assert dict(bucket.files(mine)) == keys
    with Stubber(bucket.s3) as stubber:
        stubber.add_response("list_objects_v2", {}, {"Bucket": "flowstead-1", "Prefix": mine[0]})
        assert dict(bucket.files(mine[:1])) == {}
    assert dict(bucket.files([])) == {}


def test_a_file_that_cannot_be_deleted_is_told(bucket: Any) -> None:
    """S3 answers 200 to DeleteObjects nevertheless."""
    key = f"artifacts/7/{RUN}/artifacts/a.txt"
    error = {"Key": key, "Code": "AccessDenied", "Message": "Access Denied"}
    keys = [str(number) for number in range(1000)]
    with Stubber(bucket.s3) as stubber:
        for some, errors in ((keys, []), ([key], [error])):
            asked = {"Objects": [{"Key": one} for one in some], "Quiet": True}
            stubber.add_response(
                "delete_objects", {"Errors": errors}, {"Bucket": "flowstead-1", "Delete": asked}
            )
        with pytest.raises(SystemExit, match=f"s3://flowstead-1/{key} could not be deleted: AccessDenied"):
            bucket.remove([*keys, key])
        stubber.assert_no_pending_responses()
