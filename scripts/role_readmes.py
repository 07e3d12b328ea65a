"""Write the lists of variables in the roles' READMEs from their argument specifications.

``make readmes`` calls this; a unit test checks that it has nothing to do. In each README the list below the
heading "Variables" is replaced, and nothing else.
"""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parent.parent / "roles"
LIST = re.compile(r"(?<=## Variables\n\n)(?:(?:- |  ).*\n)+")
WIDTH = 120
# Markup of Ansible's documentation: an option, a value, code.
MARKUP = re.compile(r"\b[OVC]\(([^)]*)\)")


def variables(role: str) -> str:
    """Return the list of a role's variables.

    Args:
        role: name of the role.

    Returns:
        A list in Markdown, the required variables first.

    """
    text = (ROLES / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    options = yaml.safe_load(text)["argument_specs"]["main"]["options"]
    rows = sorted(options.items(), key=lambda item: not item[1].get("required", False))
    return "".join(_item(f"**{name}** ({_default(option)}): {_meaning(option)}") for name, option in rows)


def _item(text: str) -> str:
    lines = textwrap.wrap(
        text,
        WIDTH,
        initial_indent="- ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines) + "\n"


def _default(option: dict[str, Any]) -> str:
    if option.get("required"):
        return "required"
    if "default" not in option:
        return "none"
    return f"`{json.dumps(option['default'])}`"


def _meaning(option: dict[str, Any]) -> str:
    described = option["description"]
    text = described if isinstance(described, str) else " ".join(described)
    text = MARKUP.sub(r"`\1`", " ".join(text.split()))
    choices = option.get("choices")
    return f"{text} One of {', '.join(f'`{choice}`' for choice in choices)}." if choices else text


def readme(role: str) -> str:
    """Return a role's README with the list that belongs in it.

    Args:
        role: name of the role.

    Raises:
        ValueError: it has no list below the heading "Variables".

    """
    text = (ROLES / role / "README.md").read_text(encoding="utf-8")
    found, count = LIST.subn(lambda _: variables(role), text)
    if count != 1:
        raise ValueError(f"roles/{role}/README.md needs a list right below the heading 'Variables'.")
    return found


if __name__ == "__main__":
    for directory in sorted(ROLES.iterdir()):
        path, wanted = directory / "README.md", readme(directory.name)
        if path.read_text(encoding="utf-8") != wanted:
            path.write_text(wanted, encoding="utf-8")
            print(f"written: {path.relative_to(ROLES.parent)}")
