"""What `fab import` is told, and what it says, before anything is changed."""

from __future__ import annotations

import io
import json
import runpy
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow_server
import pytest

from day_two import gathered, imports
from day_two.gathered import PASSWORD, Gathered
from day_two.import_files import REASON, Artifact
from day_two.imports import announce, checked_artifacts, checked_source, refuse_used, restore
from day_two.login import Login
from day_two.tracking import TrackingServer
from provisioner.errors import FlowsteadError, UsageError

SERVER: Any = SimpleNamespace(url="https://flowstead.example.com/churn", directory=Path("/of/others"))
ROWS = {
    "experiments": 2,
    "runs": 7,
    "metrics": 12,
    "registered_models": 1,
    "model_versions": 3,
    "trace_info": 4,
    "tags": 48,
}
GATHERED = Gathered(Path("gathered.db"), "dc11669786a5", ROWS, (), (), {}, {})
FILES = [Artifact("1/a", Path("a"), 3 << 20), Artifact("1/b", Path("b"), 1 << 19)]


@pytest.mark.parametrize(
    "source",
    [
        "postgresql://me:sesame@db.example.com/mlflow",
        "mysql+pymysql://me:se/same@db.example.com/mlflow",
        "postgresql://me:@db.example.com/mlflow",
        "postgresql://db.example.com/mlflow?user=me&password=sesame",
        "mysql://db.example.com/mlflow?passwd=sesame",
    ],
)
def test_a_password_in_a_source_is_refused_and_not_repeated(source: str) -> None:
    with pytest.raises(UsageError, match="a password in it can be read by others") as refused:
        checked_source(source)
    assert PASSWORD in str(refused.value.next_step)
    assert "same" not in f"{refused.value} {refused.value.next_step}"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("oracle://db.example.com/mlflow", "it must be sqlite, postgresql or mysql, not oracle"),
        ("sqlite:///not/there.db", "there is no such file; of an absolute path write sqlite:////PATH"),
        ("/not/there", "there is no such folder, and it is no URL"),
    ],
)
def test_other_sources_are_refused(source: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        checked_source(source)


def test_sources_without_a_password_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mlflow.db"
    file.touch()
    for source in (
        f"sqlite:///{file}",
        "postgresql+psycopg2://me@db.example.com:5432/mlflow?sslmode=require",
        "mysql://me@db.example.com/mlflow?read_default_file=/home/me/.my.cnf",
    ):
        assert checked_source(source) == source
    monkeypatch.chdir(tmp_path)
    assert (
        checked_source(".")
        == checked_artifacts(".")
        == checked_artifacts(f"file://{tmp_path}")
        == str(tmp_path)
    )
    assert checked_artifacts("s3://bucket/prefix/") == "s3://bucket/prefix"
    with pytest.raises(UsageError, match="--artifacts artifacts: there is no such folder"):
        checked_artifacts("artifacts")


def test_it_says_how_much_there_is_and_what_is_not_brought(capsys: pytest.CaptureFixture[str]) -> None:
    announce(SERVER, GATHERED, FILES, leave_elsewhere=False)
    said = capsys.readouterr().out
    counts = "2 experiments, 7 runs, 12 metrics, 1 registered models, 3 model versions, 4 traces;"
    assert f"{SERVER.url}: {counts}\n  2 files of artifacts, 3.5 MiB.\n" in said
    assert "Users and permissions are not brought" in said
    assert "Nor are these" not in said
    assert "other numbers" not in said
    found = Gathered(Path("x"), "x", ROWS, (), (), {"212221027661096413": "1"}, {"webhook_events": 2})
    announce(SERVER, found, FILES, leave_elsewhere=False)
    said = capsys.readouterr().out
    assert "212221027661096413 is 1." in said
    assert "the other server alone: 2 webhook events." in said


def test_artifacts_elsewhere_are_refused_unless_they_may_stay(capsys: pytest.CaptureFixture[str]) -> None:
    addresses = tuple(f"s3://another/{number}" for number in range(30))
    found = Gathered(Path("x"), "x", ROWS, (), addresses, {}, {})
    with pytest.raises(UsageError, match="30 addresses of artifacts are not below") as refused:
        announce(SERVER, found, FILES, leave_elsewhere=False)
    assert "\n  s3://another/0\n" in str(refused.value)
    assert "--leave-elsewhere" in str(refused.value.next_step)
    capsys.readouterr()
    announce(SERVER, found, FILES, leave_elsewhere=True)
    assert "30 addresses of artifacts are not below" in capsys.readouterr().out


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


def test_the_host_knows_a_backup_that_was_brought_and_both_call_the_checks_the_same() -> None:
    host = runpy.run_path(str(gathered.HOST_PROGRAMS / "flowstead_host" / "settings.py"))
    is_imported = host["is_imported"]
    assert is_imported(f"20261127T012345Z-3.17.2-{REASON}")
    assert not is_imported(f"20261127T012345Z-3.17.2-before-{REASON}")
    assert not is_imported("migrate")
    assert host["CHECKS"] == imports.CHECKS


@pytest.mark.slow
def test_a_server_that_somebody_uses_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient  # noqa: PLC0415 - it takes a second

    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", mlflow_server.ADMIN)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", mlflow_server.PASSWORD)
    with mlflow_server.serving(tmp_path) as url:
        server: Any = Login(url, None, mlflow_server.ADMIN, mlflow_server.PASSWORD)
        client = MlflowClient(url)
        refuse_used(server)
        # As the host's own checks leave it.
        client.delete_experiment(client.create_experiment(imports.CHECKS))
        refuse_used(server)
        client.create_registered_model("iris")
        with pytest.raises(UsageError, match=r"of its own \(iris\)") as refused:
            refuse_used(server)
        assert "a project of its own" in str(refused.value.next_step)
        # What somebody has deleted can be brought back, and is somebody's.
        client.delete_experiment(client.create_experiment("mine"))
        with pytest.raises(UsageError, match=r"of its own \(mine, iris\)"):
            refuse_used(server)


def test_it_names_the_release_that_serves() -> None:
    said = json.dumps({"version": "3.17.2", "port": 5001})
    asked: list[str] = []

    def serving(words: str) -> str:
        connection: Any = SimpleNamespace(
            run=lambda command, **_: asked.append(command) or SimpleNamespace(stdout=words)
        )
        server: Any = SimpleNamespace(name="mlflow-churn", url=SERVER.url)
        return TrackingServer.serving(server, connection)

    assert serving(said) == "3.17.2"
    assert asked == ["sudo cat /etc/mlflow-churn/serving.json"]
    with pytest.raises(FlowsteadError, match="Nothing serves") as refused:
        serving("")
    assert refused.value.next_step == "Run: ansible-playbook site.yml"


def test_a_release_is_installed_from_its_lock_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathered, "LOCKS", tmp_path)
    monkeypatch.setattr(gathered, "CACHE", tmp_path / "cache")
    with pytest.raises(FlowsteadError, match=r"MLflow 1\.0 serves there, and this copy"):
        gathered.release("1.0")
    (tmp_path / "1.0.txt").write_text(f"{tmp_path}/not-there.whl --hash=sha256:{'0' * 64}\n")
    for _ in range(2):
        with pytest.raises(FlowsteadError, match=r"MLflow 1\.0 cannot be installed here: .*not-there"):
            gathered.release("1.0")
    (tmp_path / "1.0.txt").write_text("")
    python = gathered.release("1.0")
    assert subprocess.run([python, "-c", ""], check=False).returncode == 0
    # It stays for the next time.
    monkeypatch.setenv("PATH", "")
    assert gathered.release("1.0") == python


def test_a_host_that_refuses_is_told_with_what_to_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    runner = SimpleNamespace(run=lambda words: ran.append(words) or len(ran) - 1)
    monkeypatch.setattr(imports, "find", lambda: None)
    monkeypatch.setattr(imports, "Runner", lambda _: runner)
    restore(SERVER, "x-import", "", "inventory")
    with pytest.raises(FlowsteadError, match=r"did not take it \(status 1\).*as they were") as refused:
        restore(SERVER, "x-import", "churn", "/of/others")
    playbook = str(imports.PROJECT / "playbooks" / "restore_backup.yml")
    words = [playbook, "-e", "mlflow_data_backup=x-import"]
    assert ran == [words, ["-i", "/of/others", *words, "-e", "project=churn"]]
    assert str(refused.value.next_step).endswith(" ".join(ran[1]))
