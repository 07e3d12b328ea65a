"""What MLflow says of a model: which version an alias names, and what the version was logged with."""

from __future__ import annotations

import base64
import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from flowstead_models import registry as module
from flowstead_models.registry import AbsentError, AwayError, Registry

FETCH = Path(module.__file__).parents[1] / "fetch.py"
PASSWORD = 'pass"word\\'


class Mlflow(BaseHTTPRequestHandler):
    """A registry with one model."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        login = base64.b64decode(self.headers["Authorization"].split()[1]).decode()
        asked = dict(parse_qsl(urlsplit(self.path).query))
        status, answer = 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no"}
        if login != f"admin:{PASSWORD}":
            status, answer = 401, {"error_code": "UNAUTHENTICATED"}
        elif "/alias?" in self.path and asked == {"name": "iris", "alias": "champion"}:
            status, answer = 200, {"model_version": {"version": "7"}}
        elif "/get?" in self.path and asked["name"] == "iris":
            status, answer = 200, {"registered_model": {"aliases": [{"alias": "champion", "version": "7"}]}}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def told(tmp_path: Path) -> Iterator[dict[str, str]]:
    """How a registry is reached that serves."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mlflow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "serving.json").write_text(json.dumps({"version": "3.17.2", "port": server.server_port}))
    escaped = PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
    (tmp_path / "mlflow.env").write_text(f'OTHER=1\nMLFLOW_AUTH_ADMIN_PASSWORD="{escaped}"\n')
    yield {
        "config_dir": str(tmp_path),
        "secrets_file": str(tmp_path / "mlflow.env"),
        "secrets_unit": "flowstead-secrets@mlflow-env.service",
        "admin": "admin",
    }
    server.shutdown()


def test_an_alias_names_a_version(told: dict[str, str]) -> None:
    assert Registry(**told).version("iris", "champion") == "7"


def test_what_is_not_there_is_said_in_a_sentence(told: dict[str, str]) -> None:
    with pytest.raises(AbsentError, match=r"no registered model rose: register it, or correct mlflow_models"):
        Registry(**told).version("rose", "champion")
    with pytest.raises(AbsentError, match=r"has the alias hero \(aliases it has: champion\)"):
        Registry(**told).version("iris", "hero")


def test_a_password_that_was_changed_is_fetched_once_more(
    told: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Path(told["secrets_file"]).read_text()
    Path(told["secrets_file"]).write_text("MLFLOW_AUTH_ADMIN_PASSWORD=an older one\n")
    monkeypatch.setattr(
        module.subprocess, "run", lambda *_, **__: Path(told["secrets_file"]).write_text(right)
    )
    assert Registry(**told).version("iris", "champion") == "7"


def test_mlflow_that_is_away_says_nothing_of_a_model(told: dict[str, str]) -> None:
    (Path(told["config_dir"]) / "serving.json").write_text('{"version": "3.17.2", "port": 1}')
    with pytest.raises(AwayError):
        Registry(**told).version("iris", "champion")
    (Path(told["config_dir"]) / "serving.json").unlink()
    with pytest.raises(AwayError, match="does not serve yet"):
        Registry(**told)


@pytest.mark.parametrize(
    ("name", "alias", "said"),
    [
        ("iris", "champion", ""),
        ("rose", "champion", "no registered model rose"),
        ("iris", "hero", "alias hero"),
    ],
)
def test_the_role_asks_by_the_file_alone(told: dict[str, str], name: str, alias: str, said: str) -> None:
    models = [{"name": name, "alias": alias}]
    argv = [
        sys.executable,
        "-I",
        "-c",
        Path(module.__file__).read_text(),
        json.dumps({**told, "models": models}),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode != 0, said in done.stderr) == (bool(said), True)
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def fetch() -> Any:
    """The program that downloads."""
    specification = importlib.util.spec_from_file_location("fetch", FETCH)
    assert specification
    assert specification.loader
    loaded = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(loaded)
    return loaded


PYFUNC = """
flavors: {python_function: {loader_module: mlflow.sklearn, python_version: 3.12.1}}
mlflow_version: 3.1.0
"""


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"MLmodel": "flavors: {onnx: {}}"},
            "no flavour python_function, which MLflow serves (flavours: onnx)",
        ),
        ({"MLmodel": "flavors: {python_function: {loader_module: mlflow.spark}}"}, "mlflow.spark needs Java"),
        (
            {"MLmodel": PYFUNC, "conda.yaml": "dependencies: [python=3.12, conda-forge::cudatoolkit=11.2]"},
            "packages of conda's (conda-forge::cudatoolkit=11.2)",
        ),
    ],
)
def test_what_cannot_be_served_is_refused_with_the_reason(
    fetch: Any, tmp_path: Path, files: dict[str, str], said: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert said in fetch.plan(tmp_path)["refused"]


@pytest.mark.parametrize(
    ("files", "python", "requirements"),
    [
        (
            {"python_env.yaml": "python: 3.11.2", "requirements.txt": "mlflow==3.17.2\nnumpy==2.4.6\n"},
            "3.11",
            ["mlflow==3.17.2", "numpy==2.4.6"],
        ),
        # What serves comes with MLflow.
        ({"requirements.txt": "mlflow-tracing==3.1.0"}, "3.12", ["mlflow-tracing==3.1.0", "mlflow==3.1.0"]),
        (
            {"conda.yaml": "dependencies: [python=3.10.4, pip<=24, {pip: [mlflow-skinny==2.9]}]"},
            "3.10",
            ["mlflow-skinny==2.9"],
        ),
    ],
)
def test_it_is_built_from_what_it_was_logged_with(
    fetch: Any, tmp_path: Path, files: dict[str, str], python: str, requirements: list[str]
) -> None:
    for name, text in {"MLmodel": PYFUNC, **files}.items():
        (tmp_path / name).write_text(text)
    assert fetch.plan(tmp_path) == {"python": python, "requirements": requirements, "example": ""}
