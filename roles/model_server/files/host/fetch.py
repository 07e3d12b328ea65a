#!/usr/bin/env python3
"""Download a version of a registered model, and say what it was logged with. Managed by Ansible.

Run by root with the Python of the release that serves; nothing of the model is executed. The administrator's
password comes on standard input. The answer is JSON: `python`, `requirements`, `example`, and `refused`, the
reason why it cannot be served.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import mlflow
import yaml

# These start a Java machine (mlflow/pyfunc/backend.py).
NEEDS_JAVA = {"mlflow.h2o", "mlflow.johnsnowlabs", "mlflow.spark"}
# What uv and the interpreter stand in for.
OF_PYTHON = {"python", "pip", "setuptools", "wheel"}
CONDA_NAME = re.compile(r"^(?:[^:\s]+::)?([A-Za-z0-9_.-]+)")


def read(path: Path) -> dict[str, Any]:
    """Return what a file in YAML says; nothing if there is none."""
    return dict(yaml.safe_load(path.read_text()) or {}) if path.exists() else {}


def plan(model: Path) -> dict[str, Any]:
    """Say what a model was logged with.

    Args:
        model: directory of the model's files.
    """
    about = read(model / "MLmodel")
    pyfunc = about.get("flavors", {}).get("python_function")
    if pyfunc is None:
        has = ", ".join(about.get("flavors", {})) or "none"
        return refused(f"it has no flavour python_function, which MLflow serves (flavours: {has})")
    if pyfunc.get("loader_module") in NEEDS_JAVA:
        return refused(f"its flavour {pyfunc['loader_module']} needs Java, which is not served here")
    conda = read(model / "conda.yaml").get("dependencies", [])
    names = {one: found[1] for one in conda if isinstance(one, str) and (found := CONDA_NAME.match(one))}
    if only := sorted(one for one, name in names.items() if name.lower() not in OF_PYTHON):
        return refused(
            f"it was logged with packages of conda's ({', '.join(only)}), and uv installs Python's packages "
            "only: log it with pip_requirements instead of conda_env"
        )
    of_conda = next((one.partition("=")[2].strip("=") for one, name in names.items() if name == "python"), "")
    python = read(model / "python_env.yaml").get("python") or of_conda or pyfunc.get("python_version", "")
    listed = model / "requirements.txt"
    if listed.exists():
        requirements = listed.read_text().splitlines()
    else:
        requirements = [pip for one in conda if isinstance(one, dict) for pip in one.get("pip", [])]
    if not any(re.match(r"mlflow(-skinny)?\b(?!-)", one) for one in requirements):
        requirements.append(f"mlflow=={about.get('mlflow_version', mlflow.__version__)}")
    path = (about.get("saved_input_example_info") or {}).get("serving_input_path", "")
    example = path if path and (model / path).is_file() else ""
    return {"python": ".".join(str(python).split(".")[:2]), "requirements": requirements, "example": example}


def refused(why: str) -> dict[str, Any]:
    """Say why it cannot be served."""
    return {"refused": why}


def main() -> None:
    """Download the version that the arguments name."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--username", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--target", required=True, type=Path)
    arguments = parser.parse_args()
    os.environ |= {
        "MLFLOW_TRACKING_URI": arguments.url,
        "MLFLOW_TRACKING_USERNAME": arguments.username,
        "MLFLOW_TRACKING_PASSWORD": sys.stdin.read(),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    arguments.target.mkdir(parents=True, exist_ok=True)
    uri = f"models:/{arguments.name}/{arguments.version}"
    mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(arguments.target))
    print(json.dumps(plan(arguments.target)))


if __name__ == "__main__":
    main()
