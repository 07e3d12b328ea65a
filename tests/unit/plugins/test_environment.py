"""The task `flowstead_environment`: complete and working, or built again; never half and called complete."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

LOCK = "one==1.0 --hash=sha256:00\n"
CHECKSUM = hashlib.sha1(LOCK.encode(), usedforsecurity=False).hexdigest()


@pytest.fixture(scope="module")
def module(load: Any) -> Any:
    return load("flowstead_environment")


def environment(module: Any, tmp_path: Path, **how: Any) -> Any:
    path = tmp_path / "releases/1.0"
    path.mkdir(parents=True, exist_ok=True)
    given = {
        "python": "/usr/bin/python3",
        "uv": "/opt/uv",
        "works": ["works"],
        "check": ["check"],
        "compile": ["compile"],
    }
    return module.Environment(path=path, stamp=path / "lock.txt", **(given | how))


def well(_command: list[str]) -> tuple[int, str, str]:
    return 0, "", ""


def test_it_is_complete_only_with_the_locks_copy_and_a_program_that_works(
    module: Any, runner: Any, tmp_path: Path
) -> None:
    wanted = environment(module, tmp_path)
    assert not wanted.is_complete(runner(well), CHECKSUM)
    wanted.stamp.write_text(LOCK)
    assert wanted.is_complete(runner(well), CHECKSUM)
    assert not wanted.is_complete(runner(lambda _command: (1, "", "")), CHECKSUM)
    wanted.stamp.write_text(LOCK + "two==2.0\n")
    assert not wanted.is_complete(runner(well), CHECKSUM)


def test_an_interpreter_that_is_gone_makes_it_incomplete(module: Any, runner: Any, tmp_path: Path) -> None:
    def gone(_command: list[str]) -> tuple[int, str, str]:
        raise FileNotFoundError("python")

    wanted = environment(module, tmp_path)
    wanted.stamp.write_text(LOCK)
    assert not wanted.is_complete(runner(gone), CHECKSUM)


def test_it_is_built_checked_compiled_and_then_called_complete(
    module: Any, runner: Any, tmp_path: Path
) -> None:
    wanted = environment(module, tmp_path)
    host = runner(lambda _command: (0, "", "") if not wanted.stamp.exists() else (1, "", "too early"))
    wanted.build(host, LOCK)
    assert [" ".join(command[:3]) for command in host.commands] == [
        "/opt/uv venv --quiet",
        "/opt/uv pip sync",
        "check",
        "compile",
    ]
    assert {"--require-hashes", "--no-build"} <= set(host.commands[1])
    assert host.words[1] == LOCK
    assert wanted.is_complete(runner(well), CHECKSUM)


def test_without_uv_its_own_pip_installs(module: Any, runner: Any, tmp_path: Path) -> None:
    wanted, host = environment(module, tmp_path, uv="", check=[], compile=[]), runner(well)
    wanted.build(host, LOCK)
    make, install = host.commands
    assert make[1:4] == ["-m", "venv", "--clear"]
    assert {"--require-hashes", "--no-deps", "--only-binary=:all:"} <= set(install)


@pytest.mark.parametrize("failing", ["/opt/uv venv", "/opt/uv pip", "check", "compile"])
def test_what_failed_is_told_and_nothing_is_called_complete(
    module: Any, runner: Any, tmp_path: Path, failing: str
) -> None:
    wanted = environment(module, tmp_path)
    wanted.stamp.write_text("an older lock\n")
    host = runner(
        lambda command: (2, "out", "no") if " ".join(command[:2]).startswith(failing) else (0, "", "")
    )
    with pytest.raises(
        module.EnvironmentNotBuiltError, match=f"is not complete: {failing}.* failed. out\nno"
    ):
        wanted.build(host, LOCK)
    assert not wanted.stamp.exists()


def test_without_room_nothing_is_begun(module: Any, runner: Any, tmp_path: Path) -> None:
    wanted = environment(module, tmp_path, needs_mib=10**9, advice="Enlarge the disk.")
    wanted.stamp.write_text("an older lock\n")
    host = runner(well)
    with pytest.raises(
        module.EnvironmentNotBuiltError, match=r"takes up to 1000000000 MiB.*Enlarge the disk\."
    ):
        wanted.build(host, LOCK)
    assert host.commands == []
    assert wanted.stamp.exists()
