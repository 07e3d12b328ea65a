"""The programs of the role mlflow_data on its host: what they read, and how long they say it will take."""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import change
import pytest
from botocore.stub import Stubber
from flowstead_host import backups, changes, files, host, programs, steps
from flowstead_host.engines import postgresql_scripts
from flowstead_host.errors import ChangeError, RefusedError
from flowstead_host.journal import Note
from flowstead_host.settings import NAME

from day_two import guest


@pytest.fixture
def rehearsal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Note:
    """The note of the last rehearsal."""
    note = Note(tmp_path / "rehearsal.json")
    monkeypatch.setattr(changes, "REHEARSAL", note)
    monkeypatch.setattr(changes, "BACKUP_MIB_PER_S", 10)
    return note


def test_secrets_are_read_as_systemd_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.env"
    file.write_text('# COMMENT=1\n\nPLAIN=a=b"c\nQUOTED="a \\"b\\" \\\\ $c"\nEMPTY=\n')
    assert files.variables_in(file) == {"PLAIN": 'a=b"c', "QUOTED": 'a "b" \\ $c', "EMPTY": ""}


def test_a_missing_password_is_said_with_where_to_look(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.env"
    file.write_text("OTHER=1\n")
    with pytest.raises(ChangeError, match=f"flowstead-secrets@{NAME}-env"):
        files.administrator_password(file)


def test_clients_are_held_off_for_what_a_rehearsal_took_and_for_the_data(rehearsal: Note) -> None:
    rehearsal.write({"version": "3.17.2", "seconds": 40.0})
    assert changes.expected_s("3.17.2", 0) == 40
    assert changes.expected_s("3.17.2", 1000) == 140


@pytest.mark.parametrize("rehearsed", ["3.17.1", None])
def test_without_a_rehearsal_of_the_release_only_the_data_count(
    rehearsal: Note, rehearsed: str | None
) -> None:
    if rehearsed:
        rehearsal.write({"version": rehearsed, "seconds": 40.0})
    assert changes.expected_s("3.17.2", 100) == 10


def test_clients_come_again_later_and_later_while_a_long_request_finishes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(steps, "DRAIN_NOTICE_S", 0.01)
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

    record = {"from": {"version": "3.16.1"}, "to": {"version": "3.17.2"}, "steps": [], "expected_s": 80}
    steps.StopOld(changes.Change(Host(), record)).do()  # type: ignore[arg-type]
    assert announced[:2] == pytest.approx([80 + 4 * 0.01, 80 + 4 * 0.02])


def test_scripts_of_newer_programs_suit_older_servers_and_rows_stay_as_they_are(tmp_path: Path) -> None:
    line = "\nSET transaction_timeout = 0;\n"
    script = tmp_path / "all.sql"
    script.write_text(f"--\nSET lock_timeout = 0;{line}COPY public.t (c) FROM stdin;{line}\\.\n")
    postgresql_scripts.make_known_to_older(script)
    assert script.read_text() == (
        f"--\nSET lock_timeout = 0;\n--  transaction_timeout = 0;\nCOPY public.t (c) FROM stdin;{line}\\.\n"
    )


@pytest.fixture
def migrate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have a host migrate to a release whose interpreter is a script; the addresses come on its input."""
    python = tmp_path / "releases/3.17.2/bin/python"
    python.parent.mkdir(parents=True)
    monkeypatch.setattr(host.Host, "user_options", lambda _self, _passfile: {"cwd": tmp_path})

    def run(script: str, *, before: Any = lambda _host: None, timeout_s: int = 60) -> None:
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
        settings: Any = SimpleNamespace(
            home=str(tmp_path), config_dir="", owner_passfile="", migration_timeout_s=timeout_s
        )
        settings.gateway, settings.start_timeout_s = SimpleNamespace(name="", program="/nowhere"), 60
        one = host.Host(settings)
        before(one)
        try:
            one.migrate("3.17.2", {"tracking": "here", "login": "there"})
        finally:
            one.dismiss()

    return run


def test_a_migration_is_told_the_addresses_on_its_input_alone(migrate: Any, tmp_path: Path) -> None:
    migrate('cat > told; echo "$@" > argv')
    assert json.loads((tmp_path / "told").read_text()) == {"tracking": "here", "login": "there"}
    assert "here" not in (tmp_path / "argv").read_text()


def test_a_migration_loads_before_it_is_told_to_begin(migrate: Any, tmp_path: Path) -> None:
    """It is the one that was begun early that is told."""

    def before(one: host.Host) -> None:
        one.get_ready("3.17.2", (), migrates=True, starts=False)
        assert (tmp_path / "loaded").exists()
        assert not (tmp_path / "told").exists()

    migrate('mkdir loaded; echo ready; words=$(cat); echo "$words" > told', before=before)
    assert (tmp_path / "told").exists()


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a host's systemd is told, with the files there are; a release has loaded at the third look."""
    words: list[str] = []

    def command(*argv: str, what: str) -> str:
        assert what
        words.append(" ".join([*argv[1:2], *(path.name for path in tmp_path.iterdir())]))
        return "imported; waits" if words.count("show wait-3.17.2") == 3 else ""

    monkeypatch.setattr(host, "RUNTIME", tmp_path)
    monkeypatch.setattr(host, "command", command)
    monkeypatch.setattr(host, "LOOK_EACH_S", 0)
    return words


def test_a_release_that_has_loaded_waits_until_it_is_let_go_on(told: list[str]) -> None:
    one = host.Host(SimpleNamespace(config_dir="", start_timeout_s=60))  # type: ignore[arg-type]
    one.start_to_wait("3.17.2")
    assert told == ["restart wait-3.17.2", *["show wait-3.17.2"] * 3]
    one.start("3.17.2", afresh=True)
    assert told[4:] == ["start"]
    one.start("3.17.2", afresh=True)
    assert told[5:] == ["restart"]


def test_a_release_that_cannot_be_loaded_is_told_before_clients_are_held_off(told: list[str]) -> None:
    settings: Any = SimpleNamespace(config_dir="", start_timeout_s=0, secrets_file="")
    one = host.Host(settings)
    with pytest.raises(ChangeError, match=rf"(?s)not loaded within 0 s.*journalctl -u {NAME}@3\.17\.2"):
        one.start_to_wait("3.17.2")
    one.stop("3.17.2")
    assert told[-1] == "stop"


def test_what_waits_and_is_not_needed_is_ended() -> None:
    settings: Any = SimpleNamespace(config_dir="")
    one = host.Host(settings)
    program = programs.Program("sleep", "600", what="It could not sleep")
    one.waiting["client"] = program
    one.dismiss()
    assert program.process.returncode == -signal.SIGKILL
    assert one.waiting == {}


def test_what_is_asked_of_the_databases_waits_until_it_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the libraries of the release that serves: the other's may not know the data."""
    python = tmp_path / "releases/3.16.1/bin/python"
    python.parent.mkdir(parents=True)
    script = f'echo "$@" > {tmp_path}/argv; echo ready; read words && touch {tmp_path}/asked; echo "{{}}"'
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    (tmp_path / "serving.json").write_text('{"version": "3.16.1", "port": 5000}')
    monkeypatch.setattr(host, "SPOOL", tmp_path / "spool")
    settings: Any = SimpleNamespace(home=tmp_path, config_dir=tmp_path, passfile="", start_timeout_s=60)
    settings.gateway = SimpleNamespace(name="")
    one = host.Host(settings)
    one.get_ready("3.17.2", [("take", "before", "3.16.1")], migrates=False, starts=False)
    assert (tmp_path / "argv").read_text().endswith("data.py --wait take before 3.16.1\n")
    assert not (tmp_path / "asked").exists()
    assert one.data("3.16.1", "take", "before", "3.16.1", what="It failed") == {}
    assert (tmp_path / "asked").exists()
    assert one.waiting == {}


def test_a_password_that_is_not_needed_any_more_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its unit goes on to write it, whoever waits."""
    systemctl, password = tmp_path / "systemctl", tmp_path / "pgpass"
    systemctl.write_text(f"#!/bin/sh\nsleep 0.2; touch {password}\n")
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    settings: Any = SimpleNamespace(config_dir="", owner_passfile=str(password), owner_passfile_unit="unit")
    one = host.Host(settings)
    one.begin_owner()
    one.dismiss()
    assert not password.exists()
    with one.owner(keep=True):
        assert password.exists()
    with one.owner():
        assert password.exists()
    assert not password.exists()


def test_a_failed_migration_is_told(migrate: Any) -> None:
    with pytest.raises(ChangeError, match=r"The migration to MLflow 3\.17\.2 failed: no such table"):
        migrate("cat >/dev/null; echo no such table >&2; exit 1")


def test_one_that_cannot_even_be_loaded_is_told(migrate: Any) -> None:
    with pytest.raises(ChangeError, match="failed: no module named mlflow"):
        migrate(
            "echo no module named mlflow >&2; exit 1",
            before=lambda one: one.get_ready("3.17.2", (), migrates=True, starts=False),
        )


def test_a_migration_that_takes_too_long_is_ended(migrate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[str]] = []

    class Popen(subprocess.Popen[str]):
        """A process that is remembered."""

        def __init__(self, *argv: Any, **options: Any) -> None:
            super().__init__(*argv, **options)
            started.append(self)

    monkeypatch.setattr(programs.subprocess, "Popen", Popen)
    with pytest.raises(ChangeError, match="not done after 1 s"):
        migrate("exec sleep 600", timeout_s=1)
    assert [process.returncode for process in started] == [-signal.SIGKILL]


def test_a_change_beside_another_is_refused_and_says_nothing_of_undoing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = tmp_path / "report.json"
    settings = SimpleNamespace(config_dir=str(tmp_path))
    (tmp_path / "serving.json").write_text('{"version": "3.16.1", "port": 5000}')
    monkeypatch.setattr(change, "read_settings", lambda _path: settings)
    monkeypatch.setattr(change, "LOCK", tmp_path / "lock")
    # What the other one notes while all goes well.
    monkeypatch.setattr(change, "JOURNAL", Note(tmp_path / "journal.json"))
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
    place = SimpleNamespace(bucket="flowstead-1", prefix="backups", region="eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setattr(backups, "SPOOL", tmp_path)
    settings: Any = SimpleNamespace(databases=(), backups=place, owner_passfile="")
    engine: Any = None
    kept = backups.Backups(settings, engine)
    found = [f"backups/2026112{day}T023000Z-3.17.2-nightly/manifest.json" for day in range(7)]
    with Stubber(kept.s3) as stubber:
        stubber.add_response("list_objects_v2", {"Contents": [{"Key": key} for key in found]})
        # What S3 answers whoever may not list the whole bucket.
        stubber.add_client_error("get_object", "AccessDenied", http_status_code=403)
        with pytest.raises(ChangeError) as refused:
            kept.manifest("20261101T023000Z-3.17.2-nightly")

    said = str(refused.value)
    assert "no complete backup 20261101T023000Z-3.17.2-nightly in s3://flowstead-1/backups/" in said
    assert "20261126T023000Z-3.17.2-nightly" in said
    assert "20261121T023000Z" not in said


@pytest.mark.parametrize(
    ("age", "seconds"), [("30d", 2592000), ("1d12h", 129600), ("90m", 5400), ("0m", 0), ("1d1h1m", 90060)]
)
def test_an_age_is_days_hours_and_minutes(age: str, seconds: int) -> None:
    assert change.age_s(age) == seconds


@pytest.mark.parametrize(
    "age", ["", "30", "d", "-1d", "1.5d", "12h1d", "30 days", "1d\n", "\u0661d", "9999999d"]
)
def test_what_is_no_age_is_refused(age: str) -> None:
    with pytest.raises(RefusedError, match="is not an age: give days"):
        change.age_s(age)
    assert issubclass(RefusedError, ChangeError)


@pytest.fixture
def guests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], subprocess.Popen[str]]:
    """Have servers elsewhere, as `fab serve-here` has the host know of them; the journal is below, too."""
    monkeypatch.setattr(change, "GUESTS", tmp_path / "guests")

    def begin() -> subprocess.Popen[str]:
        words = ("sh", "-c", guest.HOLD, "sh", str(tmp_path), str(tmp_path / "journal.json"), "ada, port 1")
        return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    return begin


def test_data_are_not_changed_while_a_server_elsewhere_uses_them(
    guests: Callable[[], subprocess.Popen[str]], tmp_path: Path
) -> None:
    with change.no_guests():
        assert guests().communicate()[0] == "busy\n"
    with guests() as first, guests() as second:
        for one in (first, second):
            assert one.stdout
            assert one.stdout.readline() == "ready\n"
        first.communicate()
        with pytest.raises(RefusedError, match=r"serve-here` use these databases: ada, port 1\. Have them"):
            change.no_guests().__enter__()
        # As when its connection breaks.
        second.communicate()
    with change.no_guests():
        assert list((tmp_path / "guests").iterdir()) == []
    (tmp_path / "journal.json").touch()
    assert guests().communicate()[0] == "interrupted\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["upgrade", "3.17.2", "--migrate"], True),
        (["upgrade", "3.17.2"], False),
        (["restore", "of-yesterday", "3.17.2"], True),
        (["move", "3.17.2"], True),
        (["move", "3.17.2", "--rehearse"], False),
        (["backup", "nightly"], False),
    ],
)
def test_it_knows_what_changes_data(
    monkeypatch: pytest.MonkeyPatch, words: list[str], expected: bool
) -> None:
    monkeypatch.setattr(sys, "argv", ["change.py", *words])
    assert bool(change.changes_data(change.parse())) is expected
