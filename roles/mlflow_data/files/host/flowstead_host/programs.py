"""Programs that are run, and those that are started early and told later what to do. Managed by Ansible."""

from __future__ import annotations

import contextlib
import select
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flowstead_host.errors import ChangeError

# Where the programs lie, on the host and in the role.
PROGRAMS = Path(__file__).resolve().parents[1]
# For programs that need nothing of a release; they leave no compiled files behind.
PYTHON = ("/usr/bin/python3", "-B")
# What a program that is told its work later says when it has loaded all that it needs.
READY = "ready"


def last_words(argv: Sequence[str], status: int, stdout: str, stderr: str) -> str:
    """Return why a command failed, as far as it says so."""
    return (stderr.strip() or stdout.strip())[-1500:] or f"{argv[0]} ended with status {status}"


class Program:
    """A program that runs; what it is to do may be told to it on its standard input later.

    Args:
        argv: the command.
        what: what could not be done, if it fails.
        options: for subprocess.Popen.
    """

    def __init__(self, *argv: object, what: str, **options: Any) -> None:
        self.argv = [str(word) for word in argv]
        self.what = what
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self.process: subprocess.Popen[str] = subprocess.Popen(
            self.argv, text=True, errors="replace", **pipes, **options
        )

    def wait_until_ready(self, timeout_s: float) -> None:
        """Return when it has loaded what it needs; should it not come so far, `finish` tells why."""
        output = self.process.stdout
        if output is not None and select.select([output], [], [], timeout_s)[0]:
            output.readline()

    def finish(self, words: str = "", timeout_s: float | None = None) -> str:
        """Tell it what to do and wait for its end; return what it printed."""
        try:
            stdout, stderr = self.process.communicate(words, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ChangeError(f"{self.what}: it was not done after {timeout_s} s") from None
        if self.process.returncode != 0:
            reason = last_words(self.argv, self.process.returncode, stdout, stderr)
            raise ChangeError(f"{self.what}: {reason}")
        return stdout

    def kill(self) -> None:
        """End it if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.communicate()


def command(*argv: object, what: str, words: str = "", timeout_s: float | None = None, **options: Any) -> str:
    """Run a command and return what it prints; its last words are the reason when it fails."""
    program = Program(*argv, what=what, **options)
    try:
        return program.finish(words, timeout_s)
    finally:
        if program.process.returncode is None:
            program.kill()
