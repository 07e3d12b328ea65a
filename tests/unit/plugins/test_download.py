"""The task `flowstead_download`: fetched once, and again when somebody has changed it."""

from __future__ import annotations

import getpass
import grp
import subprocess
from pathlib import Path
from typing import Any

import pytest

USER = getpass.getuser()


@pytest.fixture(scope="module")
def download(load: Any) -> Any:
    return load("flowstead_download")


class Source:
    """What is fetched, and how often."""

    def __init__(self, content: bytes = b"certificates\n") -> None:
        self.content = content
        self.fetched = 0

    def __call__(self) -> bytes:
        self.fetched += 1
        return self.content


def have(download: Any, path: Path, source: Source, *, refresh: bool = False, check: bool = False) -> bool:
    return bool(download.have(path, source, refresh=refresh, check=check, owner=USER))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "etc/company/ca.pem"


def test_it_is_fetched_once(download: Any, path: Path) -> None:
    source = Source()
    assert have(download, path, source)
    assert path.read_bytes() == b"certificates\n"
    assert not have(download, path, source)
    assert source.fetched == 1


@pytest.mark.parametrize("spoilt", ["ca.pem", "ca.pem.sha1"])
@pytest.mark.parametrize("how", ["content", "mode", "gone"])
def test_what_somebody_has_changed_is_fetched_again(download: Any, path: Path, spoilt: str, how: str) -> None:
    source = Source()
    have(download, path, source)
    other = path.with_name(spoilt)
    if how == "content":
        other.write_bytes(b"\xff\n")
    elif how == "mode":
        other.chmod(0o666)
    else:
        other.unlink()
    assert have(download, path, source, check=True)
    assert source.fetched == 1
    assert have(download, path, source)
    assert path.read_bytes() == b"certificates\n"
    assert not have(download, path, source)


def test_a_refresh_changes_only_what_is_newer(download: Any, path: Path) -> None:
    source = Source()
    have(download, path, source)
    assert not have(download, path, source, refresh=True)
    source.content = b"newer\n"
    assert have(download, path, source, refresh=True)
    assert path.read_bytes() == b"newer\n"


def test_a_failure_leaves_what_is_there(download: Any, path: Path) -> None:
    have(download, path, Source())

    def away() -> bytes:
        raise download.DownloadError("away")

    with pytest.raises(download.DownloadError):
        download.have(path, away, refresh=True, check=False, owner=USER)
    assert path.read_bytes() == b"certificates\n"


@pytest.mark.parametrize("spoilt", ["", "content", "mode", "gone"])
def test_no_module_is_sent_for_what_is_as_it_was_fetched(
    load: Any, download: Any, path: Path, monkeypatch: pytest.MonkeyPatch, spoilt: str
) -> None:
    plugin = load("flowstead_download", "action")
    monkeypatch.setattr(
        plugin, "AS_FETCHED", f"644 {USER} {grp.getgrgid(path.parents[2].stat().st_gid).gr_name}"
    )
    have(download, path, Source())
    if spoilt == "content":
        path.write_text("other\n")
    elif spoilt == "mode":
        path.chmod(0o666)
    elif spoilt == "gone":
        path.unlink()

    def execute(command: str, **_how: Any) -> dict[str, Any]:
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)  # noqa: S602 - as Ansible does
        return {"rc": done.returncode, "stdout": done.stdout, "stderr": done.stderr}

    action = object.__new__(plugin.ActionModule)
    action._low_level_execute_command = execute
    assert action._is_as_fetched(str(path)) is (not spoilt)
