"""Read a YAML configuration file so that every value knows its line, and say what is wrong with it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from provisioner.errors import UsageError

type_names = {
    bool: "true or false",
    int: "a whole number",
    float: "a fraction",
    str: "text",
    dict: "a section",
}

Key = tuple[str | int, ...]


@dataclass(frozen=True)
class Mistake:
    """One thing wrong with a configuration.

    Args:
        key: dotted path of the value, "" for the file as a whole, `access.cidrs.0` for the first of a list.
        text: what is wrong and what is allowed.
        line: line in the file, from 1; 0 when it is looked up by `key`.

    """

    key: str
    text: str
    line: int = 0


class ConfigurationError(UsageError):
    """The configuration cannot be used; carries all its mistakes."""

    def __init__(self, path: Path | str, mistakes: Iterable[Mistake]) -> None:
        self.path = str(path)
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self._sentence(mistake) for mistake in self.mistakes))

    def _sentence(self, mistake: Mistake) -> str:
        where = f"{self.path}:{mistake.line}" if mistake.line else self.path
        return f"{where}: {mistake.key}: {mistake.text}" if mistake.key else f"{where}: {mistake.text}"


@dataclass(frozen=True)
class Source:
    """Where the values of a configuration stand.

    Args:
        path: the file as the user named it.
        data: its content.
        lines: line of each key and list item, from 1.

    """

    path: Path
    data: dict[str, Any] = field(default_factory=dict)
    lines: Mapping[Key, int] = field(default_factory=dict)

    def line(self, key: str) -> int:
        """Return the line of a dotted key, or of the nearest section above it that the file has.

        Args:
            key: dotted path, `access.cidrs.0` for the first of a list.

        Returns:
            Line from 1; 0 when the file says nothing about it.

        """
        lines = {dotted(one): line for one, line in self.lines.items()}
        while key and key not in lines:
            key = key.rpartition(".")[0]
        return lines.get(key, 0)

    def error(self, mistakes: Iterable[Mistake]) -> ConfigurationError:
        """Make the error that names file, line and key of each mistake, in the order of the file."""
        placed = [Mistake(m.key, m.text, m.line or self.line(m.key)) for m in mistakes]
        return ConfigurationError(self.path, sorted(placed, key=lambda m: (m.line, m.key)))


def read(path: Path) -> Source:
    """Read a YAML file whose top level is a section.

    Args:
        path: the file.

    Returns:
        Its content, with the line of every key.

    Raises:
        ConfigurationError: unreadable, not YAML, empty, or with a key written twice.

    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        message = (
            "there is no such file; name yours with --config PATH, or copy deployment.yml from Flowstead"
        )
        raise ConfigurationError(path, [Mistake("", message)]) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(path, [Mistake("", "is not a text file in UTF-8")]) from error
    except OSError as error:
        raise ConfigurationError(path, [Mistake("", f"cannot be read: {error.strerror}")]) from error
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            raise ConfigurationError(
                path, [Mistake("", "is empty; it needs at least `name` and `region`", 1)]
            )
        if not isinstance(node, yaml.MappingNode):
            raise ConfigurationError(
                path, [Mistake("", "is not a list of `key: value` lines", node.start_mark.line + 1)]
            )
        walk = _Walk()
        walk.visit(node, (), ())
        if walk.mistakes:
            raise ConfigurationError(path, walk.mistakes)
        return Source(path, loader.construct_document(node), walk.lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        text = f"is not YAML: {error.problem or error.context}"
        raise ConfigurationError(path, [Mistake("", text, mark.line + 1 if mark else 0)]) from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigurationError(path, [Mistake("", f"is not YAML: {error}")]) from error


class _Loader(yaml.SafeLoader):
    """YAML without dates: `2026-01-01` is text, as its author meant it."""


_Loader.yaml_implicit_resolvers = {
    first: [one for one in resolvers if one[0] != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Walk:
    """Visit all nodes of a document once: note lines, find keys that are no text or written twice."""

    def __init__(self) -> None:
        self.lines: dict[Key, int] = {}
        self.mistakes: list[Mistake] = []

    def visit(self, node: yaml.Node, key: Key, above: Sequence[yaml.Node]) -> None:
        if any(node is one for one in above):
            text = "refers to itself (`*alias`); write the value out"
            self.mistakes.append(Mistake(dotted(key), text, node.start_mark.line + 1))
            return
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.lines[(*key, index)] = item.start_mark.line + 1
                self.visit(item, (*key, index), (*above, node))
        elif isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                self._visit_pair(name, value, key, (*above, node))

    def _visit_pair(self, name: yaml.Node, value: yaml.Node, key: Key, above: Sequence[yaml.Node]) -> None:
        line = name.start_mark.line + 1
        if name.tag != "tag:yaml.org,2002:str" or not isinstance(name.value, str):
            word = name.value if isinstance(name.value, str) else "a list or section"
            text = f"`{word}` cannot be a key: keys are text (put it in quotes if it is meant)"
            self.mistakes.append(Mistake(dotted(key), text, line))
            return
        here = (*key, name.value)
        if here in self.lines:
            text = f"is written twice, first in line {self.lines[here]}; keep one"
            self.mistakes.append(Mistake(dotted(here), text, line))
            return
        self.lines[here] = line
        self.visit(value, here, above)


def dotted(key: Iterable[str | int]) -> str:
    """Write a key the way messages show it: `access.cidrs.0`."""
    return ".".join(str(part) for part in key)


def shown(value: object) -> str:
    """Name the type of a value as a YAML author knows it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"{str(value).lower()} (true/false)"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {value!r}"
    return (
        "a section"
        if isinstance(value, dict)
        else "a list"
        if isinstance(value, list | tuple)
        else repr(value)
    )


def nearest(word: str, allowed: Iterable[str]) -> str:
    """Return the allowed word that the user most likely meant, or ""."""
    found = difflib.get_close_matches(word.lower(), list(allowed), n=5, cutoff=0.6)
    # Swapped letters are the commonest slip; difflib counts them like wrong ones.
    return min(found, key=lambda one: sorted(one) != sorted(word.lower()), default="")
