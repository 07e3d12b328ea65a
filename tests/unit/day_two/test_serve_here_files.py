"""What `fab serve-here` hands over to a container: addresses of databases, and files."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pymysql.optionfile
import pytest
from botocore.credentials import Credentials

from day_two import handed_over
from day_two.handed_over import HandedOver, User, password_file
from day_two.own_directory import own_directory
from day_two.ways import from_here
from provisioner.errors import FlowsteadError, UsageError

ODD = r"a:b\c"
POSTGRESQL = (
    "postgresql+psycopg2://mlflow_churn_application@db.example.com:5432/mlflow_churn"
    "?sslmode=verify-full&sslrootcert=/etc/flowstead/rds-ca.pem&connect_timeout=10&tcp_user_timeout=60000"
)
MYSQL = (
    "mysql+pymysql://mlflow_application@db.example.com:3306/mlflow"
    "?read_default_file=/run/flowstead/pgpass-aurora-mysql&ssl_ca=/etc/flowstead/rds-ca.pem"
    "&init_command=DO%20%28SELECT%201%20UNION%20SELECT%201%20%2B%20%28%40%40super_read_only%29%29"
)


def test_addresses_lead_through_the_tunnel_with_the_servers_name_checked() -> None:
    assert from_here(POSTGRESQL, 40001) == POSTGRESQL.replace(":5432", ":40001").replace(
        "/etc/flowstead/", "/run/secrets/"
    )
    said = from_here(MYSQL, 40002)
    assert said.startswith(
        "mysql+pymysql://mlflow_application@db.example.com:40002/mlflow?"
        "read_default_file=/run/secrets/pgpass&ssl_ca=/run/secrets/rds-ca.pem&init_command="
    )
    from sqlalchemy import make_url  # noqa: PLC0415 - it takes a moment

    assert make_url(said).query["init_command"] == make_url(MYSQL).query["init_command"]


def test_a_password_file_is_read_by_its_driver(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text(password_file("aurora-mysql", "me", ODD))
    parser = pymysql.optionfile.Parser()
    parser.read(file)
    assert (parser.get("client", "user"), parser.get("client", "password")) == ("me", ODD)
    assert password_file("postgresql", "me", ODD) == "*:*:*:me:a\\:b\\\\c\n"


@pytest.fixture
def server() -> Any:
    return SimpleNamespace(outputs=SimpleNamespace(region="us-east-1"))


def of(credentials: Credentials | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        boto3.session, "Session", lambda: SimpleNamespace(get_credentials=lambda: credentials)
    )


def test_credentials_of_a_login_are_handed_over_as_they_are_and_soon_again(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of(Credentials("ASIA1", "secret", "token"), monkeypatch)
    handed = HandedOver(tmp_path / "secrets", server, User(os.getuid(), ()))
    handed.renew()
    file = tmp_path / "secrets" / "aws.json"
    given = json.loads(file.read_text())
    assert (given["Version"], given["AccessKeyId"], given["SessionToken"]) == (1, "ASIA1", "token")
    left = datetime.fromisoformat(given["Expiration"]) - datetime.now(UTC)
    # botocore reads the file again 15 minutes before that.
    assert timedelta(minutes=15) < left < timedelta(minutes=30)
    assert [stat.S_IMODE(one.stat().st_mode) for one in (file.parent, file)] == [0o700, 0o600]
    file.unlink()
    handed.renew()
    assert not file.exists()
    later = datetime.now(UTC) + handed_over.AGAIN
    monkeypatch.setattr(handed_over, "datetime", SimpleNamespace(now=lambda _: later))
    handed.renew()
    assert file.exists()


def test_without_credentials_it_says_so(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of(None, monkeypatch)
    handed = HandedOver(tmp_path / "secrets", server, User(os.getuid(), ()))
    with pytest.raises(FlowsteadError, match="There are no AWS credentials"):
        handed.renew()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / f"flowstead-{os.getuid()}"


def test_a_directory_goes_with_its_task_and_what_a_killed_one_left_goes_first(home: Path) -> None:
    left: list[str] = []
    (home / "killed" / "secrets").mkdir(parents=True)
    home.chmod(0o700)
    with own_directory("first", left.append) as first, own_directory("second", left.append) as second:
        assert [stat.S_IMODE(one.stat().st_mode) for one in (first, second)] == [0o700, 0o700]
        with (
            pytest.raises(UsageError, match=r"It runs already \(first\)"),
            own_directory("first", left.append),
        ):
            pytest.fail("it ran twice")
        assert left == ["killed"]
        assert sorted(one.name for one in home.iterdir()) == ["first", "second"]
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("how", ["open to others", "a link"])
def test_a_place_that_others_can_change_is_refused(home: Path, tmp_path: Path, how: str) -> None:
    if how == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        home.symlink_to(tmp_path / "elsewhere")
    else:
        home.mkdir(mode=0o755)
    with pytest.raises(UsageError, match="is not this user's alone"), own_directory("any", print):
        pytest.fail("it was used")
