"""The units that serve versions. Managed by Ansible."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import time
from http import HTTPStatus
from pathlib import Path

from flowstead_models.commands import command, property_of, systemctl
from flowstead_models.errors import ModelError
from flowstead_models.settings import Model, Settings
from flowstead_models.state import Place, write

UNITS = Path("/etc/systemd/system")
# How long an answer to /ping may take: a host may be busy.
PING_S = 10
# A unit that systemd had to start this often while it was waited for does not come up.
RESTARTS_OF_A_FAILURE = 2


def settings_of(unit: str) -> Path:
    """Return the file with what is a unit's own."""
    return UNITS / f"{unit}.d" / "model.conf"


def own(settings: Settings, place: Place, model: Model, version: str, port: int) -> str:
    """Return what is a version's own of its unit."""
    folder = place.build(model.build(version))
    # 75 s: longer than the gateway keeps an idle connection (roles/gateway), as MLflow's own server has it.
    uvicorn = f"-m uvicorn --host 127.0.0.1 --port {port} --timeout-keep-alive 75 --no-access-log"
    drain = f"--timeout-graceful-shutdown {settings.request_timeout_s}"
    lines = [
        "# Written by flowstead-models.",
        "[Service]",
        # One that systemd makes up for this process alone: by the unit's name it would be one for all.
        f"User=model-{port}",
        f"BindReadOnlyPaths={folder}",
        f"WorkingDirectory={folder}/model",
        f"Environment=HOME={folder}/env",
        f"Environment=__pyfunc_model_path__=file://{folder}/model",
        f"Environment=MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT={settings.request_timeout_s}",
        f"MemoryMax={model.memory_mib}M",
        f"TimeoutStopSec={settings.request_timeout_s + 15}",
        "ExecStart=",
        f"ExecStart={folder}/env/bin/python {uvicorn} {drain} mlflow.pyfunc.scoring_server.app:app",
    ]
    return "\n".join(lines) + "\n"


def start(settings: Settings, place: Place, model: Model, version: str, port: int) -> None:
    """Start a version, and wait until it answers and predicts.

    Raises:
        ModelError: it does not; it is ended then.
    """
    unit = place.unit(version, port)
    write(settings_of(unit), own(settings, place, model, version, port))
    systemctl("daemon-reload")
    systemctl("start", unit)
    try:
        wait(unit, port, settings.start_timeout_s)
        ask_example(place.build(model.build(version)), port, settings.request_timeout_s)
    except ModelError as error:
        why = f"{error}. {last_words(unit)}".strip()
        stop(unit)
        raise ModelError(why) from error


def wait(unit: str, port: int, timeout_s: float) -> None:
    """Return when a version answers.

    Raises:
        ModelError: it does not.
    """
    deadline = time.monotonic() + timeout_s
    while not answers(port):
        restarts = int(property_of(unit, "NRestarts") or 0)
        if restarts >= RESTARTS_OF_A_FAILURE or property_of(unit, "ActiveState") == "failed":
            raise ModelError(f"{unit} ends by itself instead of answering")
        if time.monotonic() > deadline:
            raise ModelError(f"{unit} did not answer within {timeout_s:.0f} s")
        time.sleep(0.1)


def answers(port: int) -> bool:
    """Tell whether a version answers."""
    try:
        return ask(port, "GET", "/ping", None, PING_S)[0] == HTTPStatus.OK
    except OSError:
        return False


def ask(port: int, method: str, path: str, body: str | None, timeout_s: float) -> tuple[int, str]:
    """Ask a version once.

    Raises:
        OSError: it does not answer.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from error
    finally:
        connection.close()


def ask_example(folder: Path, port: int, timeout_s: float) -> None:
    """Have a version predict what it was logged with as an example, if it was.

    Raises:
        ModelError: it does not predict.
    """
    path = json.loads((folder / "built.json").read_text())["example"]
    if not path:
        return
    try:
        status, text = ask(port, "POST", "/invocations", (folder / "model" / path).read_text(), timeout_s)
    except OSError as error:
        raise ModelError(f"it does not answer its own input example ({error})") from error
    if status != HTTPStatus.OK:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            text = json.loads(text)["message"]
        raise ModelError(f"it answers its own input example with {status}: {text[:300]}")


def last_words(unit: str) -> str:
    """Return the last that a unit logged."""
    argv = ["journalctl", "--no-pager", "--output=cat", "--lines=40", f"--unit={unit}", "_TRANSPORT=stdout"]
    with contextlib.suppress(ModelError):
        said = [line for line in command(argv, "there is no journal").splitlines() if line.strip()]
        return f"It said: {said[-1].strip()[:300]}" if said else ""
    return ""


def enable(unit: str) -> None:
    """Have a version started at boot.

    Raises:
        ModelError: systemd does not.
    """
    systemctl("enable", unit)


def stop(unit: str) -> None:
    """End a version, and have nothing of its unit left; what it is asked now it still answers."""
    for words in (("disable", "--now", unit), ("reset-failed", unit)):
        with contextlib.suppress(ModelError):
            systemctl(*words)
    shutil.rmtree(settings_of(unit).parent, ignore_errors=True)
    with contextlib.suppress(ModelError):
        systemctl("daemon-reload")


def of(place: Place) -> list[str]:
    """Name the units that serve versions of a model, or did."""
    names = (path.name.removesuffix(".d") for path in UNITS.glob("mlflow-model@*.service.d"))
    return sorted(one for one in names if one.rsplit(".", 3)[0] == f"mlflow-model@{place.key}")


def free_port(ports: tuple[int, int], taken: set[int]) -> int:
    """Return a port that no model has and nothing listens on.

    Raises:
        ModelError: there is none.
    """
    for port in range(ports[0], ports[1] + 1):
        if port in taken:
            continue
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port
    raise ModelError(f"no port from {ports[0]} to {ports[1]} is free (model_server_ports)")
