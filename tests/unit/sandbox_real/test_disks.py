"""Images of hosts' disks are made and cleared away one at a time: podman names one only after it made it."""

import fcntl
import os
from pathlib import Path

import pytest

from sandbox.real import disks, images
from sandbox.real.commands import CommandError


def is_held(directory: Path) -> bool:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def test_nobody_clears_away_while_an_image_has_no_name_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: dict[str, bool] = {}

    def podman(*words: str, **_: object) -> str:
        held[words[1]] = is_held(tmp_path)
        return "[]"

    monkeypatch.setattr(disks, "STORAGE", tmp_path)
    monkeypatch.setattr(disks, "run", podman)
    monkeypatch.setattr(images, "run", podman)
    disks.keep("host", "clone", ["ami-1", "snap-1"], {})
    disks.prune()
    assert held == {"commit": True, "tag": True, "images": True}
    assert not is_held(tmp_path)


def test_an_image_that_goes_while_podman_looks_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    said = [
        CommandError(["podman"], 125, "Error: locating image with ID: image not known"),
        CommandError(["podman"], 125, "Error: locating image with ID: image not known"),
        "a:1 abc\n",
        CommandError(["podman"], 125, "Error: no space left on device"),
    ]

    def podman(*_: str) -> str:
        answer = said.pop(0)
        if isinstance(answer, CommandError):
            raise answer
        return answer

    monkeypatch.setattr(images, "run", podman)
    monkeypatch.setattr(images, "_LOOK_PAUSE_S", 0)
    assert images.listed("{{.ID}}") == "a:1 abc\n"
    with pytest.raises(CommandError, match="no space left"):
        images.listed("{{.ID}}")
