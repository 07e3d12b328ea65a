"""Each file of `mlruns` that MLflow's migration would pass over is named before anything is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from day_two import file_store

RUN = "0123456789abcdef0123456789abcdef"
EXPERIMENT = "212221027661096413"
# What MLflow 3.17's file store writes.
FILES = {
    f"{EXPERIMENT}/meta.yaml": "name: first",
    f"{EXPERIMENT}/tags/mlflow.note.content": "ä\n",
    f"{EXPERIMENT}/{RUN}/meta.yaml": "run_id: " + RUN,
    f"{EXPERIMENT}/{RUN}/params/artifacts/depth": "",
    f"{EXPERIMENT}/{RUN}/tags/of": "mine",
    f"{EXPERIMENT}/{RUN}/metrics/loss": "1700000000000 0.5 0\n1700000000 nan 1\n1700000000 inf 2 d 1f\n",
    f"{EXPERIMENT}/{RUN}/metrics/of/old": "1700000000 0.5\n",
    f"{EXPERIMENT}/{RUN}/inputs/i/meta.yaml": "source_type: DATASET",
    f"{EXPERIMENT}/{RUN}/outputs/m-1/meta.yaml": "step: 0",
    f"{EXPERIMENT}/{RUN}/artifacts/model/broken.yaml": "{ not for MLflow",
    f"{EXPERIMENT}/{RUN}/artifacts/metrics/plot": "not for MLflow",
    f"{EXPERIMENT}/datasets/d/meta.yaml": "name: d",
    f"{EXPERIMENT}/models/m-1/meta.yaml": "model_id: m-1",
    f"{EXPERIMENT}/models/m-1/params/depth": "3",
    f"{EXPERIMENT}/models/m-1/metrics/loss": f"1700000000000 0.5 0 {RUN}\n1700000000000 0.5 0 {RUN} d 1f\n",
    f"{EXPERIMENT}/traces/tr-1/trace_info.yaml": "trace_id: tr-1",
    f"{EXPERIMENT}/traces/tr-1/request_metadata/of": "it",
    f"{EXPERIMENT}/traces/tr-1/assessments/a.yaml": "assessment_id: a",
    ".trash/7/meta.yaml": "name: deleted",
    "models/tags/meta.yaml": "name: tags",
    "models/tags/tags/of": "mine",
    "models/tags/aliases/champion": "1",
    "models/tags/version-1/meta.yaml": "version: 1",
    "models/tags/version-1/tags/of": "mine",
}
UNREADABLE = "\udcff"
REFUSED = {
    "is missing": [(name, None) for name in FILES if name.endswith(("meta.yaml", "trace_info.yaml"))],
    "is empty, or no dictionary": [
        (name, "") for name in FILES if name.endswith(".yaml") and "artifacts" not in name
    ],
    "while parsing": [("models/tags/version-1/meta.yaml", "{ version: 1")],
    "'utf-8' codec can't decode": [
        (name, UNREADABLE)
        for name in FILES
        if "/artifacts/model" not in name and "/artifacts/metr" not in name
    ],
    "line 2 has 4 words": [(f"{EXPERIMENT}/{RUN}/metrics/loss", "1 0.5 0\n1 0.5 0 d\n")],
    "line 1 has 3 words": [(f"{EXPERIMENT}/models/m-1/metrics/loss", "1 0.5 0\n")],
    "line 1 has no time, number and step": [
        (f"{EXPERIMENT}/{RUN}/metrics/loss", line) for line in ("x 0.5 0", "1 half 0", "1 0.5 0.5", "1  0.5")
    ],
    "is no number of a version": [("models/tags/aliases/champion", "one")],
}


@pytest.fixture
def mlruns(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "mlruns" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "mlruns"


def broken(mlruns: Path) -> list[str]:
    return list(file_store.broken(mlruns, [mlruns / EXPERIMENT, mlruns / ".trash" / "7"]))


def test_nothing_is_said_of_what_mlflow_writes(mlruns: Path) -> None:
    assert broken(mlruns) == []
    assert file_store.runs([mlruns / EXPERIMENT, mlruns / ".trash" / "7"]) == 1


@pytest.mark.parametrize("reason", REFUSED)
def test_each_file_is_named_with_the_reason(mlruns: Path, reason: str) -> None:
    for name, text in REFUSED[reason]:
        path = mlruns / name
        if text is None:
            path.unlink()
        else:
            path.write_text(text, encoding="utf-8", errors="surrogateescape")
        said = broken(mlruns)
        assert len(said) == 1, (name, said)
        assert said[0].startswith(f"{path}: {reason}"), said
        path.write_text(FILES[name], encoding="utf-8")


def test_all_of_them_are_named_together(mlruns: Path) -> None:
    files = [mlruns / EXPERIMENT / "meta.yaml", mlruns / "models" / "tags" / "version-1" / "meta.yaml"]
    for path in files:
        path.unlink()
    assert broken(mlruns) == [f"{path}: is missing" for path in files]
