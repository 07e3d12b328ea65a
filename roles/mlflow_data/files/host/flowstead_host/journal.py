"""What is written down before it is begun, so that it is known after a crash. Managed by Ansible."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowstead_host.files import write_json
from flowstead_host.settings import STATE


class Note:
    """A file that is there while something is under way, and says what."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, record: Mapping[str, Any]) -> None:
        """Write it down; after a crash it is the old record or the new one, whole."""
        write_json(self.path, record)

    def read(self) -> dict[str, Any] | None:
        """Return what is written down; None when nothing is."""
        try:
            record: dict[str, Any] = json.loads(self.path.read_text())
        except FileNotFoundError:
            return None
        return record

    def remove(self) -> None:
        """Strike it out."""
        self.path.unlink(missing_ok=True)


# A change of what serves.
JOURNAL = Note(STATE / "journal.json")
# There while copies of the databases may hold something; names the release whose libraries can empty them.
COPIES = Note(STATE / "copies.json")
# What the last rehearsal was of, and how long clients would have been held off for it.
REHEARSAL = Note(STATE / "rehearsal.json")
