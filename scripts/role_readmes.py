"""Write the tables of variables in the roles' READMEs from their argument specifications.

``make readmes`` calls this; a unit test checks that it has nothing to do. In each README the table below the
heading "Variables" is replaced, and nothing else.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parent.parent / "roles"
TABLE = re.compile(r"(?<=## Variables\n\n)(?:\|.*\n)+")
# Markup of Ansible's documentation: an option, a value, code.
MARKUP = re.compile(r"\b[OVC]\(([^)]*)\)")


def table(role: str) -> str:
    """Return the table of a role's variables.

    Args:
        role: name of the role.

    Returns:
        A table in Markdown, the required variables first.

    """
    text = (ROLES / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    options = yaml.safe_load(text)["argument_specs"]["main"]["options"]
    rows = sorted(options.items(), key=lambda item: not item[1].get("required", False))
    lines = [f"| `{name}` | {_default(option)} | {_meaning(option)} |" for name, option in rows]
    return "\n".join(("| Variable | Default | Meaning |", "|---|---|---|", *lines)) + "\n"


def _default(option: dict[str, Any]) -> str:
    if option.get("required"):
        return "required"
    if "default" not in option:
        return "none"
    return f"`{json.dumps(option['default'])}`"


def _meaning(option: dict[str, Any]) -> str:
    described = option["description"]
    text = described if isinstance(described, str) else " ".join(described)
    text = MARKUP.sub(r"`\1`", " ".join(text.split())).replace("|", "\\|")
    choices = option.get("choices")
    return f"{text} One of {', '.join(f'`{choice}`' for choice in choices)}." if choices else text


def readme(role: str) -> str:
    """Return a role's README as it is to be.

    Args:
        role: name of the role.

    Raises:
        ValueError: it has no table below the heading "Variables".

    """
    text = (ROLES / role / "README.md").read_text(encoding="utf-8")
    found, count = TABLE.subn(lambda _: table(role), text)
    if count != 1:
        raise ValueError(f"roles/{role}/README.md needs a table right below the heading 'Variables'.")
    return found


if __name__ == "__main__":
    for directory in sorted(ROLES.iterdir()):
        path, wanted = directory / "README.md", readme(directory.name)
        if path.read_text(encoding="utf-8") != wanted:
            path.write_text(wanted, encoding="utf-8")
            print(f"written: {path.relative_to(ROLES.parent)}")
