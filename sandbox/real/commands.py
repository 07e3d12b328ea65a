"""Run the machine's programs, and say clearly what went wrong when one fails."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence


class RealError(Exception):
    """Something real could not be made, changed or removed; the message says what and why."""


class CommandError(RealError):
    """A program of the machine failed.

    Attributes:
        arguments: the program and its arguments.
        status: its exit status.
        output: what it wrote to standard error, or to standard output when that is empty.
    """

    def __init__(self, arguments: Sequence[str], status: int, output: str) -> None:
        self.arguments = tuple(arguments)
        self.status = status
        self.output = output.strip()
        shown = " ".join(arguments[:12]) + (" ..." if len(arguments) > 12 else "")  # noqa: PLR2004 - for reading
        super().__init__(f"`{shown}` failed with status {status}: {self.output or 'it said nothing'}")


def run(*arguments: str, text_input: str | None = None, timeout_s: float = 120.0) -> str:
    """Run a program and return its standard output.

    Args:
        arguments: the program and its arguments; never a shell, never a secret.
        text_input: text for its standard input; the way for anything secret.
        timeout_s: seconds after which it is killed.

    Raises:
        CommandError: it is not installed, took too long or ended with another status than 0.
    """
    try:
        done = subprocess.run(
            arguments,
            input=text_input,
            stdin=subprocess.DEVNULL if text_input is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError as error:
        raise CommandError(arguments, 127, f"{arguments[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(arguments, 124, f"no answer within {timeout_s:.0f} s") from error
    if done.returncode != 0:
        raise CommandError(arguments, done.returncode, done.stderr or done.stdout)
    return done.stdout


def attempt(*arguments: str, timeout_s: float = 120.0) -> bool:
    """Run a program whose failure means "was not there", and return whether it succeeded."""
    try:
        run(*arguments, timeout_s=timeout_s)
    except CommandError:
        return False
    return True
