"""Images of hosts' disks are made and cleared away one at a time: podman names one only after it made it."""

import fcntl
import os
from pathlib import Path

import pytest

from sandbox.real import disks


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
    disks.keep("host", "clone", ["ami-1", "snap-1"], {})
    disks.prune()
    assert held == {"commit": True, "tag": True, "images": True}
    assert not is_held(tmp_path)
