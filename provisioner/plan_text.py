"""What a plan says: lines for people, data for scripts."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from provisioner.engine.plan import Plan
    from provisioner.session import Session

_SIGNS = {"create": "+", "update": "~", "delete": "-", "wait": "…", "none": "="}
_WORDS = {"create": "make", "update": "change", "delete": "delete", "wait": "wait for"}


def changes(session: Session, found: Plan) -> list[str]:
    """Say what will be done, and where; a tag that several resources lack is reported once."""
    lines = [f"{session.deployment.name} in {session.where}:"]
    said = Counter(str(one) for change in found.changes for one in change.differences)
    shared = [text for text, times in said.items() if times > 1 and text.startswith("tag ")]
    lines += [f"{_SIGNS['update']} {said[text]} resources: {text}" for text in shared]
    for change in found.changes:
        own = [text for text in map(str, change.differences) if text not in shared]
        if change.action == "none" or (change.differences and not own):
            continue
        live = f" ({change.live.id})" if change.live else ""
        lines.append(f"{_SIGNS[change.action]} {change.resource}{live}")
        lines += [f"    {text}" for text in own]
    return [*lines, *notes(found), f"{count(found)}."]


def nothing_to_do(session: Session, found: Plan) -> list[str]:
    """Say that all is as wanted."""
    name = session.deployment.name
    text = f"Nothing to do: {name} in {session.where}, is as {session.options.config.name} says"
    return [f"{text} ({len(found.changes)} resources).", *notes(found)]


def table(found: Plan) -> list[str]:
    """Say of each resource how it is."""
    rows = []
    for change in found.changes:
        state = (change.live.status or "there") if change.live else "missing"
        text = "; ".join(str(one) for one in change.differences) or state
        rows.append(
            (_SIGNS[change.action], str(change.resource), change.live.id if change.live else "", text)
        )
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip()
        for row in rows
    ]
    return [*lines, *notes(found)]


def notes(found: Plan) -> list[str]:
    """Say what the user may want to know although nothing will be done about it."""
    return [f"note: {notice}" for notice in found.notices]


def count(found: Plan) -> str:
    """Say how much there is to do."""
    counts = Counter(change.action for change in found.changes if change.action != "none")
    return ", ".join(f"{number} to {_WORDS[action]}" for action, number in counts.items()) or "Nothing to do"


def kept(found: Plan) -> list[str]:
    """Say what a destroy leaves in the account: data on purpose, and what it does not know."""
    return [f"kept: {text}" for text in found.kept] + [f"left: {one}" for one in found.unknown]


def data(session: Session, found: Plan) -> dict[str, Any]:
    """Give all of it to a script."""
    changes = [
        {
            "resource": change.resource.name,
            "kind": change.resource.kind,
            "action": change.action,
            "id": change.live.id if change.live else None,
            "status": change.live.status if change.live else "missing",
            "differences": [
                {"setting": one.name, "old": one.has, "new": one.wanted, "note": one.note}
                for one in change.differences
            ],
        }
        for change in found.changes
    ]
    return {
        "deployment": session.deployment.name,
        "region": session.deployment.region,
        "nothing_to_do": found.is_empty,
        "changes": changes,
        "notices": list(found.notices),
        "kept": list(found.kept),
        "unknown": [{"kind": one.kind, "id": one.id, "resource": one.resource} for one in found.unknown],
    }
