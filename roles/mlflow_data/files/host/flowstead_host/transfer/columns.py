"""Columns, and values that engines have in different ways. Managed by Ansible."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.mysql import FLOAT as SINGLE

# From so many letters on a text is long.
LONG = 500
# Bytes that a text or a blob of MySQL without a length of its own has
# (https://dev.mysql.com/doc/refman/8.4/en/storage-requirements.html#data-types-storage-reqs-strings).
MYSQL_BYTES = {"TEXT": 65535, "BLOB": 65535, "MEDIUMTEXT": 16777215, "MEDIUMBLOB": 16777215}
# The largest number of a FLOAT of MySQL's without a precision of its own.
LARGEST_SINGLE = 3.4028234663852886e38


class Column:
    """A column on both sides.

    Args:
        source: that of the one.
        target: that of the other.
        dialect: the target's.

    """

    def __init__(self, source: sa.Column[Any], target: sa.Column[Any], dialect: str) -> None:
        self.name = target.name
        kinds = (source.type, target.type)
        # MySQL has neither, but numbers and texts.
        self.is_truth = any(isinstance(kind, sa.Boolean) for kind in kinds)
        self.is_json = any(column.info.get("json") for column in (source, target))
        # MySQL keeps fewer digits of a FLOAT than others.
        self.is_single = any(isinstance(kind, SINGLE) and not kind.precision for kind in kinds)
        self.is_long = self.is_json or any(
            isinstance(kind, (sa.String, sa.LargeBinary)) and (kind.length or LONG) >= LONG for kind in kinds
        )
        self.dialect = dialect
        self.takes_nul = dialect != "postgresql"
        self.longest = target.type.length if isinstance(target.type, sa.String) else None
        self.most_bytes = MYSQL_BYTES.get(type(target.type).__name__) if dialect == "mysql" else None
        self.wants_truth = isinstance(target.type, sa.Boolean)

    def refused(self, value: Any) -> str:
        """Return why the target has no place for a value; empty: it has."""
        if isinstance(value, str):
            if not self.takes_nul and "\0" in value:
                return "has a NUL, which PostgreSQL does not take: remove it there"
            if self.longest and len(value) > self.longest:
                return f"has {len(value)} letters, and there is room for {self.longest}: shorten it there"
            if self.most_bytes and len(value) * 4 > self.most_bytes:
                value = value.encode()
        if isinstance(value, bytes) and self.most_bytes and len(value) > self.most_bytes:
            return f"has {len(value)} bytes, and there is room for {self.most_bytes}: shorten it there"
        if isinstance(value, float) and not self.takes_number(value):
            return f"is {value}, which {self.dialect} does not take: put another number there"
        if self.is_json and value is not None and self.dialect != "sqlite" and not is_json(value):
            return f"is no JSON that {self.dialect} takes (NaN and Infinity are not): correct it there"
        return ""

    def takes_number(self, value: float) -> bool:
        """Tell whether the target has a number: not each engine has what is none, or is infinite."""
        if self.dialect == "mysql":
            return math.isfinite(value) and (not self.is_single or abs(value) <= LARGEST_SINGLE)
        return self.dialect == "postgresql" or not math.isnan(value)

    def placed(self, value: Any) -> Any:
        """Return a value as the target takes it."""
        if value is None:
            return None
        if self.is_truth:
            return bool(value) if self.wants_truth else int(value)
        if self.is_json and not isinstance(value, str):
            # SQLite has a number in JSON as a number.
            return json.dumps(value)
        return value

    def plain(self, value: Any) -> bytes:
        """Return a value as it is on all engines."""
        if value is None:
            return b""
        if self.is_truth:
            value = int(value)
        elif self.is_json:
            value = canonical(value)
        elif self.is_single:
            value = struct.unpack("f", struct.pack("f", value))[0]
        if isinstance(value, (bytes, memoryview)):
            return b"b" + bytes(value)
        if isinstance(value, float):
            # A negative zero is the same number, and not on all engines another one.
            return b"f" + struct.pack(">d", value + 0.0)
        return f"{type(value).__name__[0]}{value}".encode("utf-8", "surrogatepass")


def is_json(value: Any) -> bool:
    """Tell whether a text is JSON by the standard; Python takes NaN and Infinity, too."""
    try:
        # Of a constant's name it makes no number.
        json.loads(str(value), parse_constant=int)
    except ValueError:
        return False
    return True


def canonical(value: Any) -> str:
    """Return JSON with its keys in order; a text that is none, which SQLite takes, as it is."""
    try:
        found = json.loads(str(value))
    except ValueError:
        return str(value)
    if isinstance(found, float) and found.is_integer():
        # So SQLite has it.
        found = int(found)
    return json.dumps(found, sort_keys=True)
