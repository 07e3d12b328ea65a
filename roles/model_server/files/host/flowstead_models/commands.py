"""Programs that are run, and what they say when they fail. Managed by Ansible."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from flowstead_models.errors import ModelError

# Of what a program says, the end: there the reason stands.
LAST_CHARACTERS = 600


def command(
    argv: Sequence[object], what: str, *, words: str = "", timeout_s: float | None = None, lines: int = 3
) -> str:
    """Run a command and return what it prints.

    Args:
        argv: the command.
        what: what could not be done, if it fails.
        words: what it is told on its standard input; secrets, too.
        timeout_s: when it is ended.
        lines: how many of its last lines are the reason, if it fails.

    Raises:
        ModelError: it failed.
    """
    told = [str(word) for word in argv]
    try:
        done = subprocess.run(
            told,
            input=words,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelError(f"{what}: it was not done after {timeout_s} s") from None
    except OSError as error:
        raise ModelError(f"{what}: {told[0]} could not be run ({error.strerror})") from error
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip() or f"{told[0]} ended with status {done.returncode}"
        last = " ".join(" ".join(said.splitlines()[-lines:]).split())
        raise ModelError(f"{what}: {last[-LAST_CHARACTERS:]}")
    return done.stdout


def systemctl(*words: str) -> None:
    """Tell systemd something.

    Raises:
        ModelError: it did not do it.
    """
    command(["systemctl", "--quiet", *words], f"systemctl {' '.join(words)} failed")


def property_of(unit: str, name: str) -> str:
    """Return a property of a unit."""
    return command(["systemctl", "show", f"--property={name}", "--value", unit], f"{unit} is unknown").strip()
