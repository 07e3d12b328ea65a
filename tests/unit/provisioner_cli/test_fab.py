"""What fab asks of MLflow and of the bucket, and how it ends."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from invoke import Context

import fabfile
from day_two import tracking, users
from provisioner.outputs import LoginOutputs
from tests.unit.provisioner_cli.conftest import sample

PROJECT = Path(__file__).resolve().parents[3]


class MLflow(ThreadingHTTPServer):
    """As much of MLflow's API as fab uses; `asked` has each request, `refusals` an answer for a path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.refusals: dict[str, list[tuple[int, dict[str, str]]]] = {}


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: MLflow

    def answer(self) -> None:
        login = base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
        assert login == "admin:the admin's: password"
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, json.loads(body or b"{}")))
        waiting = self.server.refusals.get(self.path, [])
        status, told = waiting.pop(0) if waiting else (200, self.found())
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - http.server's names

    def found(self) -> dict[str, Any]:
        if self.path.startswith("/api/2.0/mlflow/experiments/get-by-name?experiment_name=two+words"):
            return {"experiment": {"experiment_id": "7"}}
        if self.path.endswith("/users/list"):
            return {
                "users": [{"username": "admin", "is_admin": True}, {"username": "ada", "is_admin": False}]
            }
        return {}

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[MLflow]:
    """MLflow, found by fab."""
    with MLflow() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        outputs = sample(url=f"http://127.0.0.1:{server.server_port}", ca_file="/x")
        project = replace(outputs.project(), path="", admin=LoginOutputs("admin", "arn"))
        options = {"gateway_certificate": "own.pem"}
        found = tracking.TrackingServer(Path(), outputs, None, options, project)
        monkeypatch.setattr(tracking.TrackingServer, "url", outputs.url)
        monkeypatch.setattr(tracking.TrackingServer, "password", lambda _self: "the admin's: password")
        monkeypatch.setattr(tracking, "find", lambda *_: found)
        yield server
        server.shutdown()


def run(task: Any, *words: str, **options: str) -> None:
    task.body(Context(), *words, **options)


def test_a_user_is_made_with_the_password_that_is_piped_in(
    mlflow: MLflow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("a password of hers\n"))
    run(users.add_user, "ada")
    body = {"username": "ada", "password": "a password of hers"}
    assert mlflow.asked == [("POST", "/api/2.0/mlflow/users/create", body)]
    assert capsys.readouterr().out == "ada is a user.\n"


def test_a_password_that_nobody_gave_is_made_up_and_shown(
    mlflow: MLflow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    run(users.change_password, "ada")
    ((method, path, body),) = mlflow.asked
    assert (method, path) == ("PATCH", "/api/2.0/mlflow/users/update-password")
    assert len(body["password"]) >= 12
    assert capsys.readouterr().out == f"ada has another password. Password: {body['password']}\n"


def test_the_admins_password_is_not_changed_in_one_place_only(
    mlflow: MLflow, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(users.change_password, "admin")
    assert "docs/look_after_it.md" in capsys.readouterr().err
    assert mlflow.asked == []


def test_users_are_listed_and_removed(mlflow: MLflow, capsys: pytest.CaptureFixture[str]) -> None:
    run(users.list_users)
    run(users.remove_user, "ada")
    assert capsys.readouterr().out == "admin  (administrator)\nada\nada is no longer a user.\n"
    assert mlflow.asked[1] == ("DELETE", "/api/2.0/mlflow/users/delete", {"username": "ada"})


def test_a_grant_takes_the_place_of_an_earlier_one(mlflow: MLflow) -> None:
    path = "/api/3.0/mlflow/users/permissions/grant"
    mlflow.refusals[path] = [(400, {"error_code": "RESOURCE_ALREADY_EXISTS", "message": "There is one"})]
    run(users.grant, "ada", "EDIT", experiment="two words")
    what = {"username": "ada", "resource_type": "experiment", "resource_id": "7"}
    assert [(one[1].rpartition("/")[2], one[2]) for one in mlflow.asked[1:]] == [
        ("grant", what | {"permission": "EDIT"}),
        ("revoke", what),
        ("grant", what | {"permission": "EDIT"}),
    ]


@pytest.mark.parametrize("options", [{}, {"experiment": "a", "model": "b"}])
def test_a_grant_on_nothing_or_on_both_is_wrong_usage(mlflow: MLflow, options: dict[str, str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(users.grant, "ada", "READ", **options)
    assert ended.value.code == 2
    assert mlflow.asked == []


def test_a_refusal_is_told_in_mlflows_words(mlflow: MLflow, capsys: pytest.CaptureFixture[str]) -> None:
    mlflow.refusals["/api/2.0/mlflow/users/delete"] = [(404, {"message": "User with username=bob not found"})]
    with pytest.raises(SystemExit) as ended:
        run(users.remove_user, "bob")
    assert ended.value.code == 1
    assert "MLflow refuses: User with username=bob not found" in capsys.readouterr().err


def test_backups_are_listed_with_date_release_reason_size_and_what_is_not_complete() -> None:
    nightly, before = "20261125T023000Z-3.17.1-nightly", "20261126T101500Z-3.17.1-before-3.17.2"
    found = [
        (f"backups/{before}/mlflow.dump", 1 << 20),
        (f"backups/{nightly}/mlflow.dump", 5 << 20),
        (f"backups/{nightly}/manifest.json", 1 << 19),
    ]
    first, second, back = (" ".join(line.split()) for line in fabfile.list_backups(found))
    assert first == f"2026-11-25 02:30 3.17.1 nightly 5.5 MiB {nightly}"
    assert second == f"2026-11-26 10:15 3.17.1 before-3.17.2 (not complete) 1.0 MiB {before}"
    assert "playbooks/restore_backup.yml -e mlflow_data_backup=" in back
    (none,) = fabfile.list_backups([], "churn")
    assert none.startswith("There is none yet. To make one: ")
    assert none.endswith("playbooks/back_up.yml -e project=churn")


def test_a_question_for_help_makes_no_user(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(users.add_user, "--help")
    assert ended.value.code == 2
    assert "fab --help user.add" in capsys.readouterr().err


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    """As `fab password | true`."""
    program = (
        "import sys, types; sys.path.insert(0, sys.argv[1]); import fabfile; from day_two import tracking\n"
        "tracking.find = lambda *_: types.SimpleNamespace(password=lambda: 'x' * 1000000)\n"
        "from invoke import Context; fabfile.password.body(Context())\n"
    )
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as output:
        done = subprocess.run(
            [sys.executable, "-c", program, str(PROJECT)], stdout=output, stderr=subprocess.PIPE, check=False
        )
    assert done.stderr == b""
    assert done.returncode == 1


def test_a_name_that_is_taken_is_told_without_the_sql_and_its_values(
    mlflow: MLflow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("a password of hers\n"))
    said = "User (username=ada) already exists. Error: (psycopg2.errors.UniqueViolation)\n[SQL: x scrypt:1]"
    mlflow.refusals["/api/2.0/mlflow/users/create"] = [(400, {"message": said})]
    with pytest.raises(SystemExit):
        run(users.add_user, "ada")
    assert capsys.readouterr().err == "error: MLflow refuses: User (username=ada) already exists.\n"


class Host:
    """A host that collects garbage; `asked` has each command."""

    name = "mlflow-churn"

    def __init__(self, stdout: str, stderr: str = "") -> None:
        self.answer = SimpleNamespace(stdout=stdout, stderr=stderr)
        self.asked: list[str] = []

    def connect(self) -> Any:
        return contextlib.nullcontext(self)

    def run(self, command: str, **_options: object) -> Any:
        self.asked.append(command)
        return self.answer


def test_garbage_is_collected_on_the_host_in_a_unit_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    host = Host(json.dumps({"outcome": "done", "told": ["Removed for good: 1 run.", "Kept: 1 more."]}))
    monkeypatch.setattr(tracking, "find", lambda *_: host)
    fabfile.collect_garbage.body(Context())
    fabfile.collect_garbage.body(Context(), older_than="1d; reboot", dry_run=True)
    assert capsys.readouterr().out == "Removed for good: 1 run.\nKept: 1 more.\n" * 2
    assert all(one.startswith("sudo systemd-run --quiet --wait ") for one in host.asked)
    assert [one.partition("lib/flowstead/")[2] for one in host.asked] == [
        "mlflow-churn/change.py garbage",
        "mlflow-churn/change.py garbage '--older-than=1d; reboot' --dry-run",
    ]


@pytest.mark.parametrize(
    ("host", "said"),
    [
        (Host('{"outcome": "refused", "why": "This host is busy with: backup."}'), "busy with: backup."),
        (Host("", "usage: change.py\nerror: invalid choice: 'garbage'"), "site.yml brings its programs up"),
    ],
)
def test_garbage_that_stays_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], host: Host, said: str
) -> None:
    monkeypatch.setattr(tracking, "find", lambda *_: host)
    with pytest.raises(SystemExit) as ended:
        fabfile.collect_garbage.body(Context())
    assert ended.value.code == 1
    assert said in capsys.readouterr().err
