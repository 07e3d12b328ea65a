"""A server that is no longer wanted goes from the host, and nothing of another one."""

from __future__ import annotations

import fcntl
import fnmatch
import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

FILE = Path(__file__).resolve().parents[3] / "roles/mlflow_server/files/retire.py"
# What a host has of each server, by its name, its project and its release.
LEFT = (
    "etc/systemd/system/{name}@.service",
    "etc/systemd/system/{name}-rehearsal@.service",
    "etc/systemd/system/{name}-recover.service",
    "etc/systemd/system/{name}-backup.service",
    "etc/systemd/system/{name}-backup.timer",
    "etc/systemd/system/{name}-garbage.service",
    "etc/flowstead/secrets.d/{name}-env.json",
    "etc/flowstead/secrets.d/{name}-aws.json",
    "etc/flowstead/secrets.d/{name}-pgpass.json",
    "etc/flowstead/secrets.d/{name}-pgpass-owner.json",
    "etc/flowstead/secrets.d/{name}-pgpass-aurora-mysql.json",
    "etc/flowstead/secrets.d/{name}-pgpass-owner-aurora-postgresql.json",
    "run/flowstead/{name}-pgpass-aurora-mysql",
    "run/flowstead/{name}.env",
    "run/flowstead/{name}-aws.json",
    "run/flowstead/{name}-pgpass",
    "run/{name}-change/lock",
    "etc/{name}/3.17.2.env",
    "etc/nginx/{name}-upstream.conf",
    "usr/local/sbin/flowstead-gateway-{project}",
    "usr/local/lib/flowstead/{name}/change.py",
    "var/lib/systemd/timers/stamp-{name}-backup.timer",
    "var/lib/{name}/x",
    "var/lib/{name}-change/rehearsal.json",
    "var/lib/{name}-garbage/x",
)


class Host:
    """A host's files below a directory; `asked` has each command."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        specification = importlib.util.spec_from_file_location("retire", FILE)
        assert specification
        assert specification.loader
        self.program: Any = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(self.program)
        self.root, self.asked = root, list[list[str]]()
        at = self.at
        monkeypatch.setattr(self.program, "Path", at)
        monkeypatch.setattr(self.program, "PROGRAMS", at("/usr/local/lib/flowstead"))
        ran = SimpleNamespace(DEVNULL=None, run=lambda argv, **_: self.asked.append(argv))
        monkeypatch.setattr(self.program, "subprocess", ran)
        for project in ("churn", "churn-2"):
            for path in self.paths(project):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def paths(self, project: str) -> list[Path]:
        return [self.at(one.format(name=f"mlflow-{project}", project=project)) for one in LEFT]

    def run(self, monkeypatch: pytest.MonkeyPatch, *names: str) -> int:
        monkeypatch.setattr(sys, "argv", ["retire.py", *names])
        return int(self.program.main())


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def test_all_of_it_goes_and_nothing_of_one_whose_name_begins_alike(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert host.run(monkeypatch, "mlflow-churn") == 0
    assert [path for path in host.paths("churn") if path.exists()] == []
    assert all(path.exists() for path in host.paths("churn-2"))
    told = [word for argv in host.asked for word in argv if "." in word]
    units = (
        *("mlflow-churn@3.17.2.service", "mlflow-churn-backup.timer", "mlflow-churn-recover.service"),
        *("flowstead-secrets@mlflow-churn-aws.timer", "flowstead-secrets@mlflow-churn-aws.service"),
    )
    assert all(any(fnmatch.fnmatchcase(unit, word) for word in told) for unit in units)
    others = [one.replace("churn", "churn-2") for one in units]
    assert not [one for one in others if any(fnmatch.fnmatchcase(one, word) for word in told)]
    assert ["/usr/sbin/userdel", "mlflow-churn"] in host.asked
    # Killed anywhere, it is run again.
    assert host.run(monkeypatch, "mlflow-churn") == 0


def test_the_models_that_it_has_served_go_first(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    program = host.at("/usr/local/lib/flowstead/models/models.py")
    program.parent.mkdir(parents=True)
    program.touch()
    assert host.run(monkeypatch, "mlflow-churn") == 0
    assert host.asked[0][-3:] == [str(program), "remove", "mlflow-churn"]
    assert program.exists()


def test_one_that_is_busy_stays(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with host.at("/run/mlflow-churn-change/lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert host.run(monkeypatch, "mlflow-churn") == 1
    assert "is busy with a change or a backup" in capsys.readouterr().err
    assert all(path.exists() for path in host.paths("churn"))


@pytest.mark.parametrize("name", ["mlflow", "mlflow-../x", "nginx"])
def test_the_default_project_s_server_is_never_meant(
    host: Host, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    assert host.run(monkeypatch, name) == 2
    assert host.asked == []
