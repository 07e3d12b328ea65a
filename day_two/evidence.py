"""What a run says for a version of a model, and whether that is enough."""

from __future__ import annotations

import math
import operator
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from day_two.registry import Version
from provisioner.errors import FlowsteadError, UsageError, combine

COMPARISONS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
# A metric's name as MLflow allows it (mlflow/utils/validation.py), a comparison, a number.
REQUIREMENT = re.compile(
    r"\s*([\w./: -]*[\w./:-])\s*(>=|<=|>|<)\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*"
)


@dataclass(frozen=True)
class Requirement:
    """What a metric must be.

    Args:
        metric: its name.
        comparison: one of COMPARISONS.
        number: what it is compared with.

    """

    metric: str
    comparison: str
    number: float

    def __str__(self) -> str:
        """As a person writes it."""
        return f"{self.metric}{self.comparison}{self.number}"

    def unmet(self, values: Mapping[str, float]) -> str:
        """Say why values do not meet it; empty if they do."""
        value = values.get(self.metric)
        if value is None:
            return f"the run has no metric {self.metric} (it has: {', '.join(sorted(values)) or 'none'})"
        # MLflow keeps the largest float in place of an infinite one.
        if not math.isfinite(value) or abs(value) == sys.float_info.max:
            return f"{self.metric} is {value}, which meets no requirement"
        met = COMPARISONS[self.comparison](value, self.number)
        return "" if met else f"{self.metric} is {value}, and {self} is required"


def parse(words: Sequence[str]) -> tuple[Requirement, ...]:
    """Read requirements.

    Raises:
        UsageError: some of them are none; says all of them.

    """
    found, mistakes = [], []
    for text in words:
        match = REQUIREMENT.fullmatch(text)
        if match and math.isfinite(float(match[3])):
            found.append(Requirement(match[1], match[2], float(match[3])))
            continue
        # The shell took the rest of the word as the name of a file.
        quoted = "" if set(text) & set("<>=") else " Quote it: the shell takes > and < for itself."
        mistakes.append(UsageError(f"{text!r} is not a requirement such as 'accuracy>=0.9'.{quoted}"))
    if mistakes:
        raise combine(mistakes)
    return tuple(found)


def check(run: Mapping[str, Any], version: Version, requirements: Sequence[Requirement]) -> dict[str, float]:
    """Look whether a run is evidence for a version, and meets what is required.

    What a version is, is what is loaded: its source. A run is about a logged model if it made it or measured
    it: MLflow 3 keeps both, as outputs and inputs of the run. What an older client registered lies among the
    artifacts of one run.

    Args:
        run: as MLflow's API tells it (runs/get).
        version: the version that it should be about.
        requirements: what its metrics must be, by their last values.

    Returns:
        The value that met each requirement.

    Raises:
        FlowsteadError: it is not, or does not; says all reasons.

    """
    info = run["info"]
    mistakes = []
    if info.get("lifecycle_stage") != "active":
        mistakes.append("it is deleted")
    if info["status"] != "FINISHED":
        mistakes.append(f"it is {info['status']}, not FINISHED")
    models = {
        one["model_id"]
        for side, kind in (("inputs", "model_inputs"), ("outputs", "model_outputs"))
        for one in run.get(side, {}).get(kind, [])
    }
    if not _is_about(version.source, models, info["artifact_uri"]):
        mistakes.append(f"it neither made version {version.number} nor measured it")
    elif len(models) > 1:
        # MLflow also keeps values by model, but NaN as 0 among them (logged_model_metrics has no is_nan).
        mistakes.append(
            f"it is about {len(models)} models ({', '.join(sorted(models))}): its metrics may be another's"
        )
    values = {one["key"]: float(one["value"]) for one in run.get("data", {}).get("metrics", [])}
    mistakes += [why for requirement in requirements if (why := requirement.unmet(values))]
    if mistakes:
        raise FlowsteadError(
            f"Run {info['run_id']} is no evidence for version {version.number}: {'; '.join(mistakes)}.",
            next_step="Nothing was changed. docs/promote_models.md says which runs are evidence.",
        )
    return {str(requirement): values[requirement.metric] for requirement in requirements}


def _is_about(source: str, models: set[str], artifacts: str) -> bool:
    """Whether what a version loads is one of a run's models, or lies among its artifacts."""
    if source.startswith("models:/"):
        return source.removeprefix("models:/") in models
    return source.startswith(f"{artifacts}/") and ".." not in source.split("/")
