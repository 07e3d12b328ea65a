"""The programs of the mlflow role on its host: what they read, and how long they say it will take."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "roles/mlflow/files/host"))


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
    file.write_text('PLAIN=a=b"c\nQUOTED="a \\"b\\" \\\\ $c"\nEMPTY=\n')
    assert host.secrets_in(file) == {"PLAIN": 'a=b"c', "QUOTED": 'a "b" \\ $c', "EMPTY": ""}


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
