"""A registered model at a real MLflow server, and people at their tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mlflow_server
import pytest
from invoke import Context

from day_two import api, login, promotions, registry
from day_two.login import Login

# Who may do what with the models of a test: MLflow's own permissions.
PEOPLE = {"ada": "EDIT", "bob": "EDIT", "eve": "READ", "mel": "MANAGE"}


class Killed(BaseException):
    """The process is gone: nothing that comes after it runs."""


@dataclass
class Ended:
    """How a task ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Registered:
    """A registered model, and people at their tasks."""

    name: str
    address: str
    client: Any
    experiment: str
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def login(self, user: str) -> Login:
        """A user's login."""
        password = mlflow_server.PASSWORD if user == mlflow_server.ADMIN else f"{user}'s password"
        return Login(self.address, None, user, password)

    def version(self, accuracy: float = 0.95) -> tuple[str, str]:
        """Train, and register what came of it: the version's number, and the run."""
        from mlflow.entities import LoggedModelOutput  # noqa: PLC0415 - it takes a second

        run = self.client.create_run(self.experiment).info.run_id
        made = self.client.create_logged_model(self.experiment, source_run_id=run)
        self.client.log_outputs(run, [LoggedModelOutput(made.model_id, 0)])
        self.client.log_metric(run, "accuracy", accuracy, model_id=made.model_id)
        self.client.set_terminated(run)
        found = self.client.create_model_version(
            self.name, f"models:/{made.model_id}", run, model_id=made.model_id
        )
        return str(found.version), run

    def do(self, task: Any, *words: str, by: str = "ada", **options: Any) -> Ended:
        """Have somebody run a task on this model."""
        self.monkeypatch.setattr(login, "find", lambda _inventory: self.login(by))
        self.capsys.readouterr()
        try:
            task.body(Context(), self.name, *words, **options)
        except SystemExit as ended:
            return Ended(int(str(ended.code)), *self.capsys.readouterr())
        return Ended(0, *self.capsys.readouterr())

    def promote(self, version: str, to: str, *, by: str = "ada", **options: Any) -> Ended:
        """Run fab promote."""
        return self.do(promotions.promote, version, by=by, to=to, **options)

    def demote(self, version: str, from_: str = "production", *, by: str = "ada", **options: Any) -> Ended:
        """Run fab demote."""
        return self.do(promotions.demote, version, by=by, from_=from_, **options)

    def in_production(self, accuracy: float = 0.95) -> str:
        """Bring a new version all the way."""
        version, run = self.version(accuracy)
        for to, options in (("staging", {}), ("production", {"evidence": run})):
            ended = self.promote(version, to, **options)
            assert ended.code == 0, ended.err
        return version

    def read(self) -> registry.Model:
        """The model as it is."""
        return registry.read(self.login("admin"), self.name)

    def state(self) -> tuple[Any, ...]:
        """All that a promotion may change."""
        now = self.read()
        return now.aliases, now.versions, now.claims

    def stages(self) -> dict[str, str]:
        """What those find who look for stages: the versions by their tag."""
        asked = {
            stage: self.client.search_model_versions(f"name = '{self.name}' and tags.stage = '{stage}'")
            for stage in ("Staging", "Production", "Archived")
        }
        return {stage: ",".join(sorted(str(one.version) for one in found)) for stage, found in asked.items()}


def grant(model: Registered, user: str, permission: str, **of: str) -> None:
    """Give a user a permission, on the model if nothing else is named."""
    what = {"resource_type": "registered_model", "resource_id": model.name} | of
    path = "3.0/mlflow/users/permissions/grant"
    api.call(model.login("admin"), path, "POST", username=user, permission=permission, **what)
