"""What databases are called that a change makes next to those that serve. Managed by Ansible."""

from __future__ import annotations


def fresh(name: str) -> str:
    """Return the name of the database that is filled to take another's place."""
    return f"{name}_fresh"


def old(name: str) -> str:
    """Return the name of the database that served before a switch."""
    return f"{name}_old"
