"""A host that serves models, as far as the program that does it can see: files, units, ports, a registry."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flowstead_models import building, commands, serving, state, units
from flowstead_models.errors import ModelError
from flowstead_models.registry import AbsentError
from flowstead_models.settings import Model, Settings

GATEWAY = "/usr/local/sbin/flowstead-gateway"


class KilledError(BaseException):
    """The program was killed."""


@dataclass
class FakeRegistry:
    """MLflow's registry: which version an alias names."""

    aliases: dict[tuple[str, str], str] = field(default_factory=dict)
    url = "http://127.0.0.1:5001"
    admin = "admin"
    serving: dict[str, Any] = field(default_factory=lambda: {"version": "3.17.2", "port": 5001})

    def password(self) -> str:
        return "the administrator's password"

    def version(self, model: str, alias: str) -> str:
        try:
            return self.aliases[model, alias]
        except KeyError:
            raise AbsentError(f"MLflow has no registered model {model}.") from None


class FakeHost:
    """The host.

    Args:
        root: where its files are.
        monkeypatch: pytest's.
    """

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.units = root / "models", root / "units"
        self.registry = FakeRegistry()
        self.active: dict[str, int] = {}
        self.enabled: set[str] = set()
        self.gateway: dict[str, int] = {}
        self.asked: list[list[str]] = []
        self.words: list[str] = []
        # Versions whose part of that name fails, with the reason.
        self.broken: dict[tuple[str, str], str] = {}
        self.plans: dict[str, dict[str, Any]] = {}
        self.kill_at = 0
        monkeypatch.setattr(state, "HOME", self.home)
        monkeypatch.setattr(state.Place, "__init__", self._place_init())
        monkeypatch.setattr(serving, "places", lambda project: state.places(project, self.home))
        monkeypatch.setattr(serving, "ports", lambda: state.ports(self.home))
        monkeypatch.setattr(units, "UNITS", self.units)
        monkeypatch.setattr(building.shutil, "chown", lambda *_: None)
        for module in (commands, building, serving, units):
            monkeypatch.setattr(module, "command", self.command)
        for module in (serving, units):
            monkeypatch.setattr(module, "property_of", self.property_of)
        monkeypatch.setattr(units, "systemctl", self.systemctl)
        monkeypatch.setattr(units, "ask", self.ask)
        monkeypatch.setattr(units.time, "sleep", lambda _: None)

    def _place_init(self) -> Any:
        home = self.home

        def place(self: state.Place, project: str, name: str, _home: Path = home) -> None:
            for key, value in (("project", project), ("name", name), ("home", home)):
                object.__setattr__(self, key, value)

        return place

    def settings(self, *models: Model, project: str = "default") -> Settings:
        return Settings(
            server="mlflow",
            project=project,
            config_dir="/etc/mlflow",
            releases="/opt/mlflow/releases",
            secrets_file="/run/flowstead/mlflow.env",
            admin="admin",
            uv="/opt/uv",
            package_index="",
            user="mlflow-model",
            gateway_program=GATEWAY,
            ports=(5200, 5210),
            start_timeout_s=5,
            build_timeout_s=5,
            request_timeout_s=5,
            models=models,
        )

    def step(self) -> None:
        """Count what reaches the host, and be killed there if that was asked for."""
        self.kill_at -= 1
        if self.kill_at == 0:
            raise KilledError

    def served(self, key: str) -> str:
        """Return the version that clients of a model get; empty: none."""
        port = self.gateway.get(key, 0)
        return next((unit.rsplit(".", 3)[1] for unit, has in self.active.items() if has == port), "")

    def command(self, argv: Sequence[object], what: str, *, words: str = "", **_: Any) -> str:
        told = [str(word) for word in argv]
        self.step()
        self.asked.append(told)
        self.words.append(words)
        if told[0] == GATEWAY:
            self.gateway[told[2]] = int(told[3])
            return ""
        if "--target" in told:
            return self._fetched(told, what)
        if told[0] == "systemd-run":
            self._built(told, what)
        return ""

    def _fetched(self, told: list[str], what: str) -> str:
        version, target = told[told.index("--version") + 1], Path(told[told.index("--target") + 1])
        self._fail("fetch", version, what)
        target.mkdir(parents=True)
        (target / "example.json").write_text("{}")
        default = {"python": "3.13", "requirements": ["mlflow==3.17.2"], "example": "example.json"}
        return "a line of a library's\n" + json.dumps(self.plans.get(version, default))

    def _built(self, told: list[str], what: str) -> None:
        version = Path(next(one for one in told if "WorkingDirectory" in one).partition("=")[2].split("=")[1])
        part = "venv" if "venv" in told else "install" if "pip" in told else "load"
        self._fail(part, version.name, what)

    def _fail(self, part: str, version: str, what: str) -> None:
        if why := self.broken.get((part, version)):
            raise ModelError(f"{what}: {why}")

    def systemctl(self, *words: str) -> None:
        self.step()
        unit = words[-1]
        if words[0] == "start":
            text = (self.units / f"{unit}.d/model.conf").read_text()
            self.active[unit] = int(text.partition("--port ")[2].split()[0])
        elif words[0] == "enable":
            self.enabled.add(unit)
        elif words[0] == "disable":
            self.active.pop(unit, None)
            self.enabled.discard(unit)

    def property_of(self, unit: str, name: str) -> str:
        if name == "ActiveState":
            return "active" if unit in self.active else "inactive"
        version = unit.rsplit(".", 3)[1]
        return "9" if name == "NRestarts" and ("start", version) in self.broken else "0"

    def ask(
        self, port: int, _method: str, path: str, _body: str | None, _timeout_s: float
    ) -> tuple[int, str]:
        unit = next((unit for unit, has in self.active.items() if has == port), "")
        version = unit.rsplit(".", 3)[1] if unit else ""
        if not unit or ("start", version) in self.broken:
            raise ConnectionRefusedError
        if path == "/invocations" and (why := self.broken.get(("example", version))):
            return 500, json.dumps({"message": why})
        return 200, "{}"
