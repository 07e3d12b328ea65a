"""The parameters of a family."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from sandbox.api.refusal import unsupported
from sandbox.corrections.parameters.parameter import Parameter
from sandbox.corrections.parameters.postgres import POSTGRES

_FILES = Path(__file__).parent
_ENGINES = {"postgres": POSTGRES}
"""By what the names of their families begin with."""


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
    file = _FILES / f"{family}.tsv"
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
