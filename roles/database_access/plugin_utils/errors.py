"""The one error that a person is meant to read."""

from __future__ import annotations

import re

# libpq begins each of its tries so; the port is one that the tunnel has for a moment
TUNNEL = re.compile(r'connection to server at "[^"]*"(?: \([^)]*\))?, port \d+ failed: ')


class DatabaseAccessError(Exception):
    """The databases could not be brought to what was asked for; the message says why and what to do."""


def one_line(error: Exception) -> str:
    """Return an error's text in one line, without the near end of the tunnel, and nothing twice."""
    lines = [TUNNEL.sub("", line).strip() for line in str(error).splitlines()]
    return " ".join(" ".join(dict.fromkeys(lines)).split())
