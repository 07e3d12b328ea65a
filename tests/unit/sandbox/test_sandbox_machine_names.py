"""Names that the machine is to know: /etc/hosts is shared with whoever else writes there."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.real import machine_names

OWN = "127.0.0.1 localhost\n10.1.2.3 printer # not flowstead's"
MARK = "# flowstead sandbox demo 0a1b"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A machine's file whose last line has no end."""
    made = tmp_path / "hosts"
    made.write_text(OWN, encoding="utf-8")
    return made


def test_a_sandboxs_names_replace_those_it_had_and_leave_all_others(file: Path) -> None:
    machine_names.show("demo", "0a1b", {"old.example": "198.18.0.9"}, file)
    machine_names.show("another-demo", "0a1b", {"other.example": "198.18.1.10"}, file)
    machine_names.show("demo", "ffff", {"clone.example": "198.18.2.10"}, file)
    machine_names.show("demo", "0a1b", {"b.example": "198.18.0.11", "a.example": "198.18.0.10"}, file)
    assert file.read_text(encoding="utf-8") == (
        f"{OWN}\n"
        "198.18.1.10 other.example # flowstead sandbox another-demo 0a1b\n"
        "198.18.2.10 clone.example # flowstead sandbox demo ffff\n"
        f"198.18.0.10 a.example {MARK}\n"
        f"198.18.0.11 b.example {MARK}\n"
    )


def test_what_a_killed_sandbox_left_goes_with_the_next_of_its_name(file: Path) -> None:
    file.write_text(f"198.18.0.9 left.example {MARK}  \n{OWN}", encoding="utf-8")
    machine_names.show("demo", "0a1b", {}, file)
    assert file.read_text(encoding="utf-8") == OWN


def test_a_file_without_names_of_ours_is_not_written(file: Path) -> None:
    file.chmod(0o400)
    before = file.stat().st_mtime_ns
    machine_names.show("demo", "0a1b", {}, file)
    assert file.stat().st_mtime_ns == before


def test_it_is_written_in_place(file: Path) -> None:
    """In a container the file is a mount of its own."""
    before = file.stat().st_ino
    machine_names.show("demo", "0a1b", {"a.example": "198.18.0.10"}, file)
    assert file.stat().st_ino == before


def test_hosts_are_not_told_what_the_internet_sees(file: Path) -> None:
    machine_names.show("demo", "0a1b", {"a.example": "198.18.0.10"}, file)
    assert machine_names.of_others(file) == f"{OWN}\n"
