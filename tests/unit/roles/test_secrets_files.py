"""Files of secrets: written in one step, left alone when untouched, corrected when not."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import botocore.session
import pytest
from pymysql import optionfile

PROGRAM = Path(__file__).resolve().parents[3] / "roles/iam_credentials/files/flowstead-secrets.py"


@pytest.fixture(scope="module")
def program():
    spec = importlib.util.spec_from_file_location("flowstead_secrets", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def target(program, tmp_path):
    return program.Target(
        region="eu-west-1",
        path=tmp_path / "deep" / "pgpass",
        uid=os.geteuid(),
        gid=os.getegid(),
        mode=0o600,
        format="file",
        entries=(),
    )


@pytest.fixture
def record(tmp_path):
    return tmp_path / ".records" / "pgpass.json"


def content(program, text, good_until=math.inf):
    return program.Content(text, text, good_until)


def test_a_written_file_is_current_and_for_its_owner_only(program, target, record):
    program.write(target, content(program, b"secret\n"), record)

    assert target.path.read_bytes() == b"secret\n"
    assert target.path.stat().st_mode & 0o7777 == 0o600
    assert program.is_current(target, b"secret\n", record)


def test_the_record_shows_nothing_to_others_and_not_the_secret(program, target, record):
    program.write(target, content(program, b"secret\n"), record)

    assert record.stat().st_mode & 0o777 == 0o600
    assert record.parent.stat().st_mode & 0o777 == 0o700
    assert b"secret" not in record.read_bytes()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path, _: path.write_bytes(b"secreT\n"),
        lambda path, _: path.chmod(0o644),
        lambda path, _: path.unlink(),
        lambda path, _: (path.unlink(), path.write_bytes(b"secret\n"), path.chmod(0o600)),
        lambda path, _: (path.rename(path.with_name("other")), path.symlink_to("other")),
        lambda _, record: record.unlink(),
        lambda _, record: record.write_text("{half"),
    ],
    ids=["content", "mode", "gone", "another file", "a link", "no record", "half a record"],
)
def test_whatever_was_touched_is_written_again(program, target, record, spoil):
    program.write(target, content(program, b"secret\n"), record)
    spoil(target.path, record)

    assert not program.is_current(target, b"secret\n", record)
    program.write(target, content(program, b"secret\n"), record)
    assert program.is_current(target, b"secret\n", record)
    assert not target.path.is_symlink()


def test_credentials_are_written_anew_at_half_of_their_time(program, target, record):
    program.write(target, content(program, b"1\n", good_until=time.time() + 60), record)
    assert program.is_current(target, b"1\n", record)

    program.write(target, content(program, b"1\n", good_until=time.time()), record)
    assert not program.is_current(target, b"1\n", record)


def test_botocore_reads_the_credentials_and_refreshes_them_by_itself(program, tmp_path, monkeypatch):
    class Sts:
        def assume_role(self, **asked):
            assert (asked["RoleArn"], asked["DurationSeconds"]) == ("arn:role", 3600)
            end = datetime.now(UTC) + timedelta(hours=1)
            return {
                "Credentials": {
                    "AccessKeyId": "A",
                    "SecretAccessKey": "S",
                    "SessionToken": "T",
                    "Expiration": end,
                }
            }

    monkeypatch.setattr(program, "open_client", lambda *_: Sts())
    given = tmp_path / "given"
    given.write_bytes(program.take_role("eu-west-1", "arn:role"))
    configuration = tmp_path / "aws.conf"
    configuration.write_text(f"[default]\ncredential_process = /bin/cat {given}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(configuration))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")

    session = botocore.session.get_session()
    session.set_config_variable("profile", None)
    credentials = session.get_credentials()
    assert credentials.get_frozen_credentials()[:3] == ("A", "S", "T")
    given.write_text(given.read_text().replace('"A"', '"B"'))
    credentials._expiry_time = datetime.now(UTC) + timedelta(minutes=14)
    assert credentials.get_frozen_credentials().access_key == "B"


def test_a_rotated_secret_is_not_current(program, target, record):
    program.write(target, content(program, b"old\n"), record)

    assert not program.is_current(target, b"new\n", record)


def test_a_failed_write_leaves_the_old_file_and_no_other(program, target, record, monkeypatch):
    program.write(target, content(program, b"old\n"), record)

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(program.os, "fchown", refuse)
    with pytest.raises(PermissionError):
        program.write(target, content(program, b"new\n"), record)

    assert [path.name for path in target.path.parent.iterdir()] == ["pgpass"]
    assert target.path.read_bytes() == b"old\n"


@pytest.mark.parametrize("value", ['a"b', "back\\slash", "$HOME `id`", "colon:s"])
def test_values_with_special_characters_stay_whole(program, target, value):
    secrets = {"arn": {"username": "u", "password": value}}
    pgpass = program.Target(
        **vars(target)
        | {"format": "pgpass", "entries": ({"secret_arn": "arn", "host": "h", "port": 1, "database": "d"},)}
    )

    line = program.render(pgpass, secrets).decode().rstrip("\n")

    fields = [field.replace("\\:", ":").replace("\\\\", "\\") for field in _split(line)]
    assert fields == ["h", "1", "d", "u", value]


def _split(line):
    """Return the fields of a password file's line, still escaped."""
    fields, current, escaped = [], "", False
    for character in line:
        if character == ":" and not escaped:
            fields.append(current)
            current = ""
            continue
        current += character
        escaped = character == "\\" and not escaped
    return [*fields, current]


def test_an_option_file_gives_mysqls_driver_the_login_as_it_is(program, target, tmp_path):
    """Whatever is in it: quotes, and what begins a comment."""
    password = "a \"b' #;%c"
    login = {"arn": {"username": "me", "password": password}}
    asked = dataclasses.replace(target, format="mysql", entries=({"secret_arn": "arn"},))
    file = tmp_path / "my.cnf"
    file.write_bytes(program.render(asked, login))
    parser = optionfile.Parser()
    parser.read(file)
    assert (parser.get("client", "user"), parser.get("client", "password")) == ("me", password)
    login["arn"]["password"] = "two\nlines"
    with pytest.raises(program.SecretsError, match="line break"):
        program.render(asked, login)
