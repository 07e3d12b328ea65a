"""A folder `mlruns`, as MLflow's file store writes it: which of its files cannot be read.

MLflow's own migration passes over most of them, and says so in its log at best.
Layout: https://github.com/mlflow/mlflow/blob/v3.17.2/mlflow/store/fs2db/_tracking.py and _registry.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import yaml

RUN = "[0-9a-f]" * 32
MODELS = "models"
META = "meta.yaml"
# Folders, and the file without which each of them is passed over.
OF_EXPERIMENT = (
    ("", META),
    (RUN, META),
    (f"{RUN}/inputs/*", META),
    (f"{RUN}/outputs/*", META),
    ("datasets/*", META),
    (f"{MODELS}/*", META),
    ("traces/*", "trace_info.yaml"),
)
OF_REGISTRY = (("*", META), ("*/version-*", META))
# Numbers of words that a line of a metric may have: of a run's, and of a model's.
RUN_WORDS, MODEL_WORDS = (2, 3, 5), (4, 6)


def runs(experiments: Iterable[Path]) -> int:
    """Count the folders of runs."""
    return sum(one.is_dir() for experiment in experiments for one in experiment.glob(RUN))


def broken(mlruns: Path, experiments: Iterable[Path]) -> Iterator[str]:
    """Name every file that cannot be read, or is missing.

    Args:
        mlruns: the folder; registered models are below it.
        experiments: the folders of experiments, those of deleted ones too.

    """
    registry = mlruns / MODELS
    for root, needed in (*((one, OF_EXPERIMENT) for one in experiments), (registry, OF_REGISTRY)):
        for pattern, name in needed:
            for folder in sorted(root.glob(pattern)) if pattern else [root]:
                if folder.is_dir() and not (folder / name).is_file():
                    yield f"{folder / name}: is missing"
        for path in sorted(one for one in root.rglob("*") if one.is_file()):
            # The first folder of the registry has the name of a model, whatever that is.
            parts = path.relative_to(root).parts[root == registry :]
            if check := check_of(parts):
                yield from unread(path, check)


def check_of(parts: tuple[str, ...]) -> Callable[[str], None] | None:
    """Return what a file's text must pass, by its path; nothing is asked of artifacts."""
    for part in parts[:-1]:
        if part == "artifacts":
            return None
        if part in ("params", "tags", "request_metadata"):
            return of_text
        if part == "metrics":
            return of_model_metric if parts[0] == MODELS else of_metric
        if part == "aliases":
            return of_alias
    return of_yaml if parts and parts[-1].endswith(".yaml") else None


def unread(path: Path, check: Callable[[str], None]) -> Iterator[str]:
    """Name a file that does not pass a check, and say why."""
    try:
        check(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        yield f"{path}: {str(error).splitlines()[0]}"


def of_text(text: str) -> None:
    """Accept any text."""


def of_yaml(text: str) -> None:
    """Accept a dictionary in YAML."""
    if not isinstance(yaml.safe_load(text), dict):
        raise ValueError("is empty, or no dictionary")  # noqa: TRY004 - as what is no YAML


def of_alias(text: str) -> None:
    """Accept the number of a version."""
    if not text.strip().isdecimal():
        raise ValueError("is no number of a version")


def of_metric(text: str, words_allowed: tuple[int, ...] = RUN_WORDS) -> None:
    """Accept lines of a time, a value and a step, as MLflow writes them."""
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.strip().split(" ")
        if len(words) not in words_allowed:
            raise ValueError(f"line {number} has {len(words)} words")
        try:
            int(words[0]), float(words[1]), [int(step) for step in words[2:3]]
        except ValueError:
            raise ValueError(f"line {number} has no time, number and step") from None


def of_model_metric(text: str) -> None:
    """Accept such lines, which name a run, too."""
    of_metric(text, MODEL_WORDS)
