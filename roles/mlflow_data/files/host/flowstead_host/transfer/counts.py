"""How much there is, and the sum of it. Managed by Ansible."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Tally:
    """How many rows a table has, and the sum of their hashes, whatever their order."""

    rows: int = 0
    total: int = 0

    def add(self, row: Iterable[bytes]) -> None:
        """Count a row."""
        digest = hashlib.blake2b(digest_size=16)
        for value in row:
            digest.update(struct.pack(">q", len(value)))
            digest.update(value)
        self.rows += 1
        self.total = (self.total + int.from_bytes(digest.digest(), "big")) % (1 << 128)

    def __str__(self) -> str:
        """Tell both."""
        return f"{self.rows} rows, {self.total:032x}"


@dataclass
class Copied:
    """What was carried: of each table its rows and their sum; and what all of them had in bytes."""

    tables: dict[str, Tally] = field(default_factory=dict)
    size: int = 0

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(tally.rows for tally in self.tables.values())

    @property
    def checksum(self) -> str:
        """One sum of all tables."""
        digest = hashlib.blake2b(digest_size=16)
        for name, tally in sorted(self.tables.items()):
            digest.update(f"{name} {tally}\n".encode())
        return digest.hexdigest()
