"""The one error that a person is meant to read."""

from __future__ import annotations


class DatabaseAccessError(Exception):
    """The databases could not be brought to what was asked for; the message says why and what to do."""


def one_line(error: Exception) -> str:
    """Return an error's text in one line."""
    return " ".join(str(error).split())
