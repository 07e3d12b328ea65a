"""The parameters of a family."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from sandbox.api.refusal import unsupported
from sandbox.corrections.parameters.mysql import AURORA_MYSQL
from sandbox.corrections.parameters.parameter import Parameter
from sandbox.corrections.parameters.postgres import AURORA_POSTGRES, AURORA_POSTGRES_BEFORE_17, POSTGRES

_FILES = Path(__file__).parent
_ENGINES = {
    "postgres": POSTGRES,
    "aurora-postgresql15": AURORA_POSTGRES_BEFORE_17,
    "aurora-postgresql": AURORA_POSTGRES,
    "aurora-mysql": AURORA_MYSQL,
}
"""By what the names of their families begin with."""
_SAME = {"aurora-postgresql": "postgres"}
"""Whose parameters a family has that has no file of its own."""


@cache
def of_family(family: str) -> dict[str, Parameter]:
    """List the parameters of a family.

    Args:
        family: e.g. ``postgres17``.

    Returns:
        The parameters by name, in RDS's order.

    Raises:
        Refusal: the sandbox does not know it.
    """
    name = family.rstrip("0123456789.")
    file = _FILES / f"{_SAME.get(name, name)}{family.removeprefix(name)}.tsv"
    engine = next((of for name, of in _ENGINES.items() if family.startswith(name)), None)
    if engine is None or not file.exists():
        raise unsupported(f"the parameters of {family}")
    found = []
    for row in file.read_text(encoding="utf-8").splitlines():
        name, apply_type, data_type, allowed = row.split("\t")
        found.append(Parameter(name, apply_type, data_type, allowed))
    # RDS's own come last: each takes the place of the engine's of its name.
    found.extend(engine.own)
    return {
        parameter.name: replace(parameter, is_fixed=parameter.name in engine.fixed)
        for parameter in sorted(found, key=lambda one: one.name)
    }
