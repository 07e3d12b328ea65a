#!/opt/flowstead/tools/bin/python -I
"""Write a file of secrets: from AWS Secrets Manager, or credentials of another role.

Both are asked for with the credentials of the instance's own role, which root alone reaches.

What to write stands in /etc/flowstead/secrets.d/NAME.json (no secret in it):

    region   AWS region of the secrets
    path     the file to write, below /run/flowstead: memory, never a disk
    owner, group, mode   of that file, the mode as an octal string
    format   pgpass  entries {secret_arn, host, port, database}: lines of a libpq password file, user and
                     password from the keys "username" and "password" of the secret's JSON
             mysql   one entry {secret_arn}: an option file of MySQL's clients, with the same
             env     entries {secret_arn, key, variable}: lines of a systemd EnvironmentFile
             file    entries {secret_arn, key}: the values as they are, one after the other
             role    one entry {role_arn}: credentials of that role, as botocore's credential_process gives
                     them; written anew when they have less than half of their hour left

The file is replaced in one step or not at all, and left alone if nothing in it changed. Nothing of a secret
is ever printed. Exit status: 0 done, 1 secrets not read or not written, 2 wrong usage or configuration.
"""

from __future__ import annotations

import argparse
import grp
import hashlib
import json
import math
import os
import pwd
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import botocore.session
from botocore.config import Config
from botocore.credentials import InstanceMetadataProvider
from botocore.exceptions import BotoCoreError, ClientError
from botocore.utils import InstanceMetadataFetcher

CONFIGURATION_DIR = Path("/etc/flowstead/secrets.d")
RUNTIME_DIR = Path("/run/flowstead")
# What was written last, for root's eyes only. So a file can be told to be current without the power to read
# what belongs to somebody else: a change of content, mode or owner changes ctime, which nobody can set back.
RECORDS_DIR = RUNTIME_DIR / ".records"
RETRY_PAUSE_S = 3.0
T = TypeVar("T")
ENTRY_KEYS = {
    "pgpass": {"secret_arn", "host", "port", "database"},
    "mysql": {"secret_arn"},
    "env": {"secret_arn", "key", "variable"},
    "file": {"secret_arn", "key"},
    "role": {"role_arn"},
}
# The most that AWS gives to a caller who has a role already, and its own default:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#iam-term-role-chaining
SESSION_S = 3600


class SpecificationError(Exception):
    """What the caller or the configuration file asks for makes no sense; trying again would not help."""


class SecretsError(Exception):
    """The secrets could not be had; the cause may pass."""


@dataclass(frozen=True)
class Target:
    """One file to write, as its configuration describes it."""

    region: str
    path: Path
    uid: int
    gid: int
    mode: int
    format: str
    entries: tuple[dict[str, Any], ...]


def read_target(name: str) -> Target:
    """Return the configuration called `name`; raise SpecificationError when it cannot be obeyed."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise SpecificationError(f"{name!r} is not a name: use lower-case letters, digits and hyphens only")
    source = CONFIGURATION_DIR / f"{name}.json"
    try:
        raw = json.loads(source.read_text())
        path = Path(raw["path"])
        if RUNTIME_DIR not in path.parents or ".." in path.parts:
            raise SpecificationError(f"{source}: path {path} is not below {RUNTIME_DIR}")
        if raw["format"] not in ENTRY_KEYS:
            raise SpecificationError(f"{source}: format {raw['format']!r} is none of {', '.join(ENTRY_KEYS)}")
        for entry in raw["entries"]:
            if set(entry) != ENTRY_KEYS[raw["format"]]:
                wanted = ", ".join(sorted(ENTRY_KEYS[raw["format"]]))
                raise SpecificationError(
                    f"{source}: an entry has {', '.join(sorted(entry))} instead of {wanted}"
                )
        return Target(
            region=raw["region"],
            path=path,
            uid=pwd.getpwnam(raw["owner"]).pw_uid,
            gid=grp.getgrnam(raw["group"]).gr_gid,
            mode=int(raw["mode"], 8),
            format=raw["format"],
            entries=tuple(raw["entries"]),
        )
    except FileNotFoundError as error:
        raise SpecificationError(f"there is no {source}") from error
    except (json.JSONDecodeError, TypeError, ValueError) as error:
        raise SpecificationError(f"{source} cannot be read: {error}") from error
    except KeyError as error:
        raise SpecificationError(f"{source}: {error} is missing or unknown on this host") from error


@dataclass(frozen=True)
class Content:
    """What a file should contain, what it was made of, and until when it is good (seconds since 1970)."""

    text: bytes
    origin: bytes
    good_until: float


def open_client(service: str, region: str) -> Any:
    """Return a client with the instance role's credentials and no others."""
    fetcher = InstanceMetadataFetcher(timeout=2, num_attempts=3)
    credentials = InstanceMetadataProvider(iam_role_fetcher=fetcher).load()
    if credentials is None:
        raise SecretsError(
            "the instance metadata service gave no credentials: this instance has no instance profile. "
            "Run provision.py, which attaches it, and try again"
        )
    frozen = credentials.get_frozen_credentials()
    session = botocore.session.get_session()
    session.set_credentials(frozen.access_key, frozen.secret_key, frozen.token)
    settings = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 3})
    return session.create_client(service, region_name=region, config=settings)


def take_role(region: str, role_arn: str) -> bytes:
    """Return credentials of a role in the form that botocore reads from a process.

    Source: https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
    """
    client = open_client("sts", region)
    try:
        answer = client.assume_role(RoleArn=role_arn, RoleSessionName="flowstead", DurationSeconds=SESSION_S)[
            "Credentials"
        ]
    except ClientError as error:
        code = error.response["Error"]["Code"]
        raise SecretsError(
            f"AWS refused AssumeRole on {role_arn} ({code}). The instance's role must be allowed to take it: "
            "run provision.py, which corrects that role"
        ) from error
    named = ("AccessKeyId", "SecretAccessKey", "SessionToken")
    given = {"Version": 1} | {name: answer[name] for name in named}
    return json.dumps(given | {"Expiration": answer["Expiration"].isoformat()}).encode() + b"\n"


def fetch_secrets(region: str, arns: set[str]) -> dict[str, dict[str, str]]:
    """Return the JSON of each secret."""
    client = open_client("secretsmanager", region)
    secrets = {}
    for arn in sorted(arns):
        try:
            secrets[arn] = json.loads(client.get_secret_value(SecretId=arn)["SecretString"])
        except ClientError as error:
            code = error.response["Error"]["Code"]
            raise SecretsError(
                f"Secrets Manager refused GetSecretValue on {arn} ({code}). The instance's role must be "
                "allowed to read it: run provision.py, which corrects the role's policy"
            ) from error
        except (KeyError, json.JSONDecodeError) as error:
            raise SecretsError(f"the value of {arn} is not a JSON object") from error
    return secrets


def _value(secrets: dict[str, dict[str, str]], arn: str, key: str) -> str:
    """Return one value of one secret."""
    value = secrets[arn].get(key) if isinstance(secrets[arn], dict) else None
    if not isinstance(value, str) or not value:
        raise SecretsError(f"the secret {arn} has no text under the key {key!r}")
    return value


def _pgpass_line(fields: list[str]) -> str:
    """Return a line of a password file (https://www.postgresql.org/docs/current/libpq-pgpass.html)."""
    return ":".join(re.sub(r"([\\:])", r"\\\1", field) for field in fields)


def _env_line(variable: str, value: str) -> str:
    """Return an assignment as systemd reads it (systemd.exec(5), EnvironmentFile=)."""
    return f'{variable}="' + re.sub(r'(["\\`$])', r"\\\1", value) + '"'


def render(target: Target, secrets: dict[str, dict[str, str]]) -> bytes:
    """Return the content of the target's file."""
    lines = []
    for entry in target.entries:
        arn = entry["secret_arn"]
        if target.format in {"pgpass", "mysql"}:
            login = [_value(secrets, arn, "username"), _value(secrets, arn, "password")]
        if target.format == "pgpass":
            made = [_pgpass_line([entry["host"], str(entry["port"]), entry["database"], *login])]
        elif target.format == "mysql":
            made = ["[client]", f'user = "{login[0]}"', f'password = "{login[1]}"']
        elif target.format == "env":
            made = [_env_line(entry["variable"], _value(secrets, arn, entry["key"]))]
        else:
            made = [_value(secrets, arn, entry["key"]).removesuffix("\n")]
        if target.format != "file" and any("\n" in line for line in made):
            raise SecretsError(
                f"a value of {arn} has a line break, which the format {target.format} cannot carry"
            )
        lines += made
    return ("\n".join(lines) + "\n").encode()


def look(target: Target, origin: bytes) -> list[object] | None:
    """Return what tells a file made of this, and untouched, from any other; None without a file."""
    try:
        state = target.path.lstat()
    except FileNotFoundError:
        return None
    owned = (state.st_uid, state.st_gid, state.st_mode & 0o7777) == (target.uid, target.gid, target.mode)
    return [hashlib.sha256(origin).hexdigest(), owned, state.st_ino, state.st_ctime_ns]


def is_current(target: Target, origin: bytes, record: Path) -> bool:
    """Tell whether the file holds what is made of this, still good, under the right owner and mode."""
    try:
        seen, good_until = json.loads(record.read_text())
    except (FileNotFoundError, ValueError):
        return False
    return bool(seen == look(target, origin) and time.time() < good_until)


def replace(path: Path, content: bytes, *, mode: int, uid: int, gid: int) -> None:
    """Put content in place: no reader ever sees half of it, or a mode wider than asked."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            os.fchmod(stream.fileno(), mode)
            os.fchown(stream.fileno(), uid, gid)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write(target: Target, content: Content, record: Path) -> None:
    """Write the file, and the record of it."""
    target.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    record.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace(target.path, content.text, mode=target.mode, uid=target.uid, gid=target.gid)
    known = json.dumps([look(target, content.origin), content.good_until]).encode()
    replace(record, known, mode=0o600, uid=os.geteuid(), gid=os.getegid())


def patiently(action: Callable[[], T], wait_s: float) -> T:
    """Return the action's result; on a failure that may pass, try again until `wait_s` seconds are over."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return action()
        except SecretsError as error:
            if time.monotonic() >= deadline:
                raise
            print(f"flowstead-secrets: {error}; trying again", file=sys.stderr)
        except (BotoCoreError, OSError) as error:
            if time.monotonic() >= deadline:
                raise SecretsError(f"{type(error).__name__}: {error}") from error
            print(f"flowstead-secrets: {type(error).__name__}: {error}; trying again", file=sys.stderr)
        time.sleep(RETRY_PAUSE_S)


def make(target: Target) -> Content:
    """Return what will be written."""
    if target.format == "role":
        role_arn = target.entries[0]["role_arn"]
        return Content(take_role(target.region, role_arn), role_arn.encode(), time.time() + SESSION_S / 2)
    text = render(target, fetch_secrets(target.region, {entry["secret_arn"] for entry in target.entries}))
    return Content(text, text, math.inf)


def main() -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(description="Write a file of secrets, or of a role's credentials.")
    parser.add_argument("name", help=f"the configuration, a file NAME.json in {CONFIGURATION_DIR}")
    parser.add_argument("--check", action="store_true", help="only say whether the file would change")
    parser.add_argument(
        "--wait-s", type=float, default=0.0, help="seconds to keep trying (at boot: the network comes late)"
    )
    arguments = parser.parse_args()
    try:
        target = read_target(arguments.name)
        record = RECORDS_DIR / f"{arguments.name}.json"
        # Credentials are others each time: whether the file is good shows without new ones.
        if target.format == "role" and is_current(target, target.entries[0]["role_arn"].encode(), record):
            print(f"{target.path}: unchanged")
            return 0
        content = patiently(lambda: make(target), arguments.wait_s)
        if is_current(target, content.origin, record):
            print(f"{target.path}: unchanged")
            return 0
        if not arguments.check:
            write(target, content, record)
        print(f"{target.path}: {'would change' if arguments.check else 'written'}")
    except SpecificationError as error:
        print(f"flowstead-secrets: {error}", file=sys.stderr)
        return 2
    except (SecretsError, OSError) as error:
        print(f"flowstead-secrets: {arguments.name}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
