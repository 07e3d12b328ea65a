"""What goes from a bucket by itself: lifecycle rules."""

from dataclasses import dataclass
from typing import Any

PROJECT_RULES = "flowstead-of-"
"""What the names of projects' rules begin with: those of projects that are no longer wanted go."""


@dataclass(frozen=True)
class Expiry:
    """A lifecycle rule: what goes from a folder by itself.

    Args:
        rule: its name in S3; rules of other names are the user's.
        shown: what the setting is called in a plan.
        prefix: the folder.
        noncurrent_days: days that overwritten and deleted objects are kept.
        days: days that any object is kept; None: for good.

    """

    rule: str
    shown: str
    prefix: str
    noncurrent_days: int
    days: int | None = None

    def as_data(self) -> dict[str, Any]:
        """Write it as S3 takes it."""
        return {
            "ID": self.rule,
            "Status": "Enabled",
            "Filter": {"Prefix": f"{self.prefix}/"},
            "NoncurrentVersionExpiration": {"NoncurrentDays": self.noncurrent_days},
            "Expiration": {"Days": self.days} if self.days else {"ExpiredObjectDeleteMarker": True},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        }


def deletes(rule: dict[str, Any]) -> bool:
    """Tell whether a lifecycle rule deletes objects or old versions, and does not only move or tidy."""
    expiration = rule.get("Expiration", {})
    return bool({"Days", "Date"} & set(expiration) or rule.get("NoncurrentVersionExpiration"))


def shown(rule: dict[str, Any] | None) -> str:
    """Say a lifecycle rule in one line."""
    if rule is None:
        return "none"
    days = rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays", "none")
    expiration = rule.get("Expiration", {}).get("Days")
    current = f", all after {expiration}" if expiration else ""
    return f"{prefix_of(rule) or '/'}: {days}{current}" + ("" if rule["Status"] == "Enabled" else ", off")


def prefix_of(rule: dict[str, Any]) -> str:
    """Give the folder that a rule is about, as S3 has it in one of two places."""
    return str(rule.get("Filter", {}).get("Prefix", "") or rule.get("Prefix", ""))


def is_same_rule(rule: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Compare two lifecycle rules; AWS gives a filter back in more than one way."""
    keys = ("Status", "NoncurrentVersionExpiration", "Expiration", "AbortIncompleteMultipartUpload")
    return prefix_of(rule) == prefix_of(wanted) and all(rule.get(key) == wanted[key] for key in keys)
