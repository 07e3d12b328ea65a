"""What docs/ says must be so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from provisioner.config import Deployment
from provisioner.config.database import ENGINES

PROJECT = Path(__file__).resolve().parents[3]
PLACES = ("*.md", "docs/*.md", "examples/*.md", "roles/*/README.md")
PAGES = sorted(page for place in PLACES for page in PROJECT.glob(place))
WIDTH = 120
# An address cannot be broken, and an image neither.
ADDRESS = re.compile(r"[a-z0-9+]+://\S+")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)#]+)[^)]*\)")


def defaults(model: BaseModel, above: str = "") -> dict[str, str]:
    """Every key of deployment.yml with its default, as configuration.md writes it."""
    found = {}
    for name in type(model).model_fields:
        value: Any = getattr(model, name)
        if isinstance(value, BaseModel):
            found |= defaults(value, f"{above}{name}.")
        elif isinstance(value, tuple):
            found[above + name] = ", ".join(f"`{getattr(item, 'name', item)}`" for item in value) or "none"
        elif isinstance(value, dict):
            found[above + name] = "none"
        else:
            shown = f"{value:g}" if isinstance(value, float) else str(value)
            found[above + name] = f"`{shown.lower() if isinstance(value, bool) else shown}`"
    return found


def test_configuration_lists_every_key_with_its_default() -> None:
    text = (PROJECT / "docs/configuration.md").read_text(encoding="utf-8")
    keys, *more = text.partition("## deployment.yml")[2].partition("\n## ")[0].split("\n### database, with ")
    parts = {"postgresql": keys} | {part.split("`")[1]: part for part in more}
    assert set(parts) == set(ENGINES)
    for engine, part in parts.items():
        rows = re.findall(r"^- \*\*([^*]+)\*\* \(([^)]+)\)(?:: |$)", part, re.MULTILINE)
        wanted = defaults(
            Deployment() if part is keys else ENGINES[engine](), "" if part is keys else "database."
        )
        assert dict(rows) == wanted
        assert len(rows) == len(dict(rows))


def title(page: Path) -> str:
    return str(page.relative_to(PROJECT))


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_no_line_of_a_page_is_wider_than_a_screen(page: Path) -> None:
    wide = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if len(ADDRESS.sub("", line)) > WIDTH and not line.startswith("!["):
            wide.append(f"{title(page)}:{number}: {len(line)} characters")
    assert wide == []


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    targets = [target for target in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []
