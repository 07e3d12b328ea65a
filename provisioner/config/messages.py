"""Turn what pydantic finds wrong into sentences for the author of deployment.yml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from provisioner.config.file import nearest, shown

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

wanted = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "string_type": "text",
    "model_type": "a section with indented keys",
    "dict_type": "a section with indented keys",
    "tuple_type": "a list",
}
gone = {
    ("topology",): "is no longer a key: the shape follows from server.count, entrance and database.engine, "
    "and their defaults make what `single` did; remove the line",
}
"""Keys of earlier releases, and what to do."""
bounds = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
}


def explain(detail: ErrorDetails, allowed: Mapping[tuple[str, ...], tuple[str, ...]]) -> str:
    """Say what one pydantic error means and what is allowed instead.

    Args:
        detail: the error.
        allowed: keys of each section, by the section's path.

    Returns:
        One sentence, without the place.

    """
    kind, loc, value, context = detail["type"], detail["loc"], detail["input"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(tuple(str(part) for part in loc), allowed)
    if kind in wanted:
        text = f"must be {wanted[kind]}, is {shown(value)}"
        return f"{text}; leave the section out to get its defaults" if value is None else text
    if kind in bounds:
        name, words = bounds[kind]
        return f"must be {words} {context[name]}, is {shown(value)}"
    if kind == "literal_error":
        among = str(context.get("expected", "")).replace(" or ", ", ").split(",")
        return not_among([word.strip().strip("'") for word in among], value)
    if kind in {"too_short", "too_long", "missing"}:
        of_networks = "must be a list of exactly two networks, one for each zone"
        return "is missing" if kind == "missing" and isinstance(loc[-1], str) else of_networks
    return str(context.get("error", detail["msg"]))


def _unknown(key: tuple[str, ...], allowed: Mapping[tuple[str, ...], tuple[str, ...]]) -> str:
    if key in gone:
        return gone[key]
    section, word = tuple(part for part in key[:-1] if not part.isdecimal()), key[-1]
    here = allowed.get(section, ())
    close = nearest(word, here)
    if not close:
        for other, names in allowed.items():
            if word in names:
                close = ".".join((*other, word))
                break
    hint = f"did you mean `{close}`? " if close else ""
    return f"is not a key Flowstead knows; {hint}Allowed here: {', '.join(here)}"


def not_among(words: Sequence[str], value: object) -> str:
    """Say which words are allowed, and which of them is most likely meant."""
    close = nearest(value, words) if isinstance(value, str) else ""
    hint = f" (did you mean `{close}`?)" if close else ""
    among = f"one of {', '.join(words)}" if len(words) > 1 else words[0]
    return f"must be {among}, is {shown(value)}{hint}"
