"""docs/systems.md and README name tests that there are, and every example of a deployment."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
PLACES = ("end_to_end", "systems")


def tests() -> set[str]:
    found = [path for place in PLACES for path in (PROJECT / "tests" / place).glob("test_*.py")]
    return {path.stem.removeprefix("test_") for path in found}


def cells(page: str) -> list[list[str]]:
    lines = (PROJECT / page).read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]


def test_every_test_that_the_page_on_systems_names_is_there() -> None:
    rows = cells("docs/systems.md")
    named = {name for row in rows for cell in row[3:] for name in re.findall(r"[a-z0-9_]+", cell)}
    named |= {name for row in rows for name in re.findall(r"[a-z0-9_]+", row[2]) if len(row) == 6}
    assert len(named) > 10
    assert named - tests() == {"tests", "and"}


def test_the_readme_says_of_each_of_the_five_which_test_sees_it() -> None:
    rows = [row for row in cells("README.md") if row[1:2] and row[1].startswith("yes")]
    assert len(rows) == 5
    named = {name for row in rows for name in re.findall(r"test_([a-z0-9_]+)", row[2])}
    assert named
    assert named <= tests()


def test_every_example_of_a_deployment_is_made_by_a_test() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (PROJECT / "tests/systems").glob("*.py"))
    examples = [path.name for path in (PROJECT / "examples/deployments").glob("*.yml")]
    assert len(examples) > 3
    assert [name for name in examples if name not in sources] == []
