"""Where a sandbox keeps its files, and whether its daemon lives."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.errors import SandboxError
from sandbox.real import clones

_NAME = re.compile(r"[a-z][a-z0-9-]{0,29}")
CLONE = Path(__file__).resolve().parent.parent


def _started(pid: int) -> str:
    """Read when a process started: with the boot's id, that tells it from a later one with its number."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    # A zombie has ended; its number only waits to be read. Field 22 of proc_pid_stat(5), counted after the
    # name.
    return "" if fields[0] == "Z" else f"{boot}:{fields[19]}"


@dataclass(frozen=True)
class Files:
    """The files of one sandbox."""

    name: str
    root: Path = CLONE / ".sandbox"

    def __post_init__(self) -> None:
        """Refuse names that cannot be a directory's and a container's."""
        if not _NAME.fullmatch(self.name) or self.name == "ca":
            raise SandboxError(
                f"{self.name!r} cannot be the name of a sandbox",
                next_step="use up to 30 lower-case letters, digits and dashes, a letter first",
            )

    @property
    def directory(self) -> Path:
        """The directory of this sandbox."""
        return self.root / self.name

    @property
    def authority(self) -> Path:
        """The directory of the certificate authority that all sandboxes of this clone share."""
        return self.root / "ca"

    @property
    def clone(self) -> str:
        """A short name of this clone, to tell its things from another clone's."""
        return clones.short(self.root.parent)

    @property
    def calls(self) -> Path:
        """The call log."""
        return self.directory / "calls.jsonl"

    @property
    def log(self) -> Path:
        """What the daemon says."""
        return self.directory / "daemon.log"

    @property
    def socket(self) -> Path:
        """The control socket."""
        return self.directory / "control.sock"

    @property
    def _daemon(self) -> Path:
        return self.directory / "daemon.json"

    @property
    def _failure(self) -> Path:
        return self.directory / "failure.txt"

    def write_daemon(self, facts: dict[str, Any]) -> None:
        """Write down what the shell needs to know, readable by nobody else: the operator's key is in it.

        Args:
            facts: endpoint, key and addresses.
        """
        record = {**facts, "pid": os.getpid(), "started": _started(os.getpid())}
        temporary = self._daemon.with_suffix(".new")
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(record), encoding="utf-8")
        temporary.replace(self._daemon)

    def read_daemon(self) -> dict[str, Any] | None:
        """Read what a living daemon wrote.

        Returns:
            The facts, or nothing if no daemon of this name lives.
        """
        try:
            facts: dict[str, Any] = json.loads(self._daemon.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return facts if facts.get("started") and facts["started"] == _started(int(facts["pid"])) else None

    def write_failure(self, message: str) -> None:
        """Leave a sentence for the shell that waits."""
        self._failure.write_text(message, encoding="utf-8")

    def read_failure(self) -> str:
        """Read the sentence that a daemon left when it could not start."""
        return self._failure.read_text(encoding="utf-8") if self._failure.exists() else ""

    def forget(self) -> None:
        """Remove the files of a sandbox that is gone."""
        if self.directory.exists():
            # Certificates' keys and databases' files lie below; what podman holds is not here.
            for path in sorted(self.directory.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
            self.directory.rmdir()

    def stop_daemon(self, timeout_s: float = 120.0) -> bool:
        """Tell the daemon to clear up and end, and wait for it.

        Args:
            timeout_s: after this long it is killed.

        Returns:
            Whether there was one.
        """
        facts = self.read_daemon()
        if facts is None:
            return False
        pid, deadline = int(facts["pid"]), time.monotonic() + timeout_s
        os.kill(pid, signal.SIGTERM)
        while _started(pid) == facts["started"]:
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                break
            time.sleep(0.1)
        return True


def names(root: Path = CLONE / ".sandbox") -> list[str]:
    """Name the sandboxes that have files in this clone.

    Args:
        root: where they are.

    Returns:
        The names, sorted.
    """
    if not root.exists():
        return []
    return sorted(
        path.name
        for path in root.iterdir()
        if path.is_dir() and _NAME.fullmatch(path.name) and path.name != "ca"
    )
