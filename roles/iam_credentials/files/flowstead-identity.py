#!/opt/flowstead/tools/bin/python -I
"""Prove that this instance's role is the expected one, works, and can do no more than it should.

So too for the role that MLflow's server gets. Every proof is an attempt, made with the credentials of the
instance metadata service, or those of the server's role that these give, and no others. Prints a
JSON object {proofs: [{what, outcome, detail}]}; the outcome is "proved", "unproved" (nothing could be
learnt: no failure) or "failed". Exit status: 0 no proof failed, 1 one failed, 2 wrong usage.

With --read-only nothing is written, not even into the role's own prefix.
"""

from __future__ import annotations

import argparse
import functools
import json
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.credentials import InstanceMetadataProvider
from botocore.exceptions import BotoCoreError, ClientError
from botocore.utils import InstanceMetadataFetcher

METADATA_URL = "http://169.254.169.254/latest"
REFUSALS = {"AccessDenied", "AccessDeniedException", "AllAccessDisabled", "UnauthorizedOperation", "403"}
# A version that no secret has: a caller who may read the secret learns only that; others are refused first.
NO_VERSION = "00000000-0000-4000-8000-000000000000"
# How long AWS may take to know everywhere that a role was made a moment ago.
NEWS_S = 30
KEY_PLACES = ("/etc/environment", "/etc/systemd/system.conf", "/root/.aws/credentials")


@dataclass(frozen=True)
class Proof:
    """One thing that was tried, and what came of it."""

    what: str
    outcome: str
    detail: str = ""


@dataclass(frozen=True)
class Expectation:
    """What the caller says about this instance; ARNs and names, no secret."""

    region: str
    role_name: str
    bucket: str
    prefix: str
    backups_prefix: str
    server_role_arn: str
    foreign_bucket: str
    foreign_prefix: str
    refused_secret_arns: tuple[str, ...]
    secret_arns: tuple[str, ...]
    read_only: bool


class Stop(Exception):  # noqa: N818 - not an error of this program: the proof that makes every further one pointless
    """A failed proof after which no other can be tried."""

    def __init__(self, proof: Proof) -> None:
        super().__init__(proof.what)
        self.proof = proof


def ask_metadata(path: str, *, token: str = "") -> tuple[int, str]:
    """Return HTTP status and text of a metadata path; without `path`, a token (IMDSv2)."""
    headers = {"X-aws-ec2-metadata-token": token} if token else {}
    request = urllib.request.Request(f"{METADATA_URL}{path}", headers=headers)  # noqa: S310 - a constant http address
    if path == "/api/token":
        request.method = "PUT"
        request.add_header("X-aws-ec2-metadata-token-ttl-seconds", "60")
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=3) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError as error:
        return 0, str(error)


def prove_metadata(expected: Expectation) -> Iterator[Proof]:
    """Metadata answers to tokens only and names the expected role."""
    what = "the metadata service answers with a token (IMDSv2)"
    status, token = ask_metadata("/api/token")
    if status != HTTPStatus.OK:
        detail = f"it answered {status or token}: is this an EC2 instance with its metadata endpoint enabled?"
        raise Stop(Proof(what, "failed", detail))
    yield Proof(what, "proved")
    what = "the metadata service refuses requests without a token (IMDSv1)"
    status, _ = ask_metadata("/meta-data/instance-id")
    detail = "set the instance's HttpTokens to required (provision.py does)"
    yield (
        Proof(what, "proved")
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
        else Proof(what, "failed", detail)
    )
    what = f"the instance has the role {expected.role_name}"
    status, role = ask_metadata("/meta-data/iam/security-credentials/", token=token)
    if status != HTTPStatus.OK or not role.strip():
        detail = (
            "it has no instance profile: nothing on it can reach S3 or Secrets Manager. "
            "Run provision.py, which attaches the profile, then site.yml again"
        )
        raise Stop(Proof(what, "failed", detail))
    if role.split()[0] != expected.role_name:
        raise Stop(
            Proof(
                what,
                "failed",
                f"it has {role.split()[0]}: run provision.py, which attaches the right profile",
            )
        )
    yield Proof(what, "proved")


def prove_no_keys() -> Iterator[Proof]:
    """No long-lived AWS key lies where programs pick one up."""
    what = "no AWS key is kept on the host"
    places = [Path(place) for place in KEY_PLACES]
    homes = (*Path("/var/lib").glob("mlflow*"), *Path("/home").glob("*"))
    places += [home / ".aws/credentials" for home in homes]
    pattern = re.compile(r"aws_(access_key_id|secret_access_key)\s*=\s*\S", re.IGNORECASE)
    found = [
        str(place)
        for place in places
        if place.is_file() and pattern.search(place.read_text(errors="replace"))
    ]
    yield Proof(what, "failed", f"remove them from {', '.join(found)}") if found else Proof(what, "proved")


def refused(what: str, attempt: Callable[[], object]) -> Proof:
    """Return the proof that AWS refuses the attempt."""
    try:
        attempt()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if code in REFUSALS or status == HTTPStatus.FORBIDDEN:
            return Proof(what, "proved")
        if code == "ResourceNotFoundException":
            return Proof(what, "failed", "AWS would have answered: the role's policy is too wide")
        return Proof(what, "unproved", f"AWS answered {code}")
    except BotoCoreError as error:
        return Proof(what, "unproved", f"{type(error).__name__}: {error}")
    return Proof(what, "failed", "AWS allowed it: the role's policy is too wide")


def works(what: str, attempt: Callable[[], object]) -> Proof:
    """Return the proof that AWS grants the attempt."""
    try:
        attempt()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        return Proof(
            what, "failed", f"AWS answered {code}: run provision.py, which corrects the role's policy"
        )
    except BotoCoreError as error:
        return Proof(what, "failed", f"{type(error).__name__}: {error}")
    return Proof(what, "proved")


def prove_storage(s3: Any, expected: Expectation, instance: str) -> Iterator[Proof]:
    """Prove that the artifacts' prefix works, and that other prefixes, buckets and their list are refused."""
    own = {"Bucket": expected.bucket, "Key": f"{expected.prefix}/.flowstead/{instance}"}
    other = {"Bucket": expected.bucket, "Key": f"{expected.foreign_prefix}/.flowstead/{instance}"}
    place = f"s3://{expected.bucket}/{expected.prefix}/"
    other_place = f"s3://{expected.bucket}/{expected.foreign_prefix}/"
    yield works(
        f"{place} can be listed",
        lambda: s3.list_objects_v2(Bucket=expected.bucket, Prefix=f"{expected.prefix}/", MaxKeys=1),
    )
    if not expected.read_only:
        yield works(f"{place} can be written", lambda: s3.put_object(**own, Body=b"proof"))
        yield works(f"{place} can be read", lambda: s3.get_object(**own))
        yield works(f"{place} can be deleted from", lambda: s3.delete_object(**own))
        written = refused(
            f"writing to {other_place} is refused", lambda: s3.put_object(**other, Body=b"proof")
        )
        if written.outcome == "failed":
            works("what the too wide policy let through is removed", lambda: s3.delete_object(**other))
        yield written
    yield refused(f"reading from {other_place} is refused", lambda: s3.get_object(**other))
    yield refused(
        f"listing {other_place} is refused",
        lambda: s3.list_objects_v2(Bucket=expected.bucket, Prefix=f"{expected.foreign_prefix}/", MaxKeys=1),
    )
    yield refused(
        f"the bucket {expected.foreign_bucket} is refused",
        lambda: s3.list_objects_v2(Bucket=expected.foreign_bucket, MaxKeys=1),
    )
    yield refused("listing the account's buckets is refused", s3.list_buckets)


def prove_backups_are_kept(s3: Any, expected: Expectation, instance: str) -> Iterator[Proof]:
    """Prove that the host may add backups, and not replace one."""
    place = f"s3://{expected.bucket}/{expected.backups_prefix}/"
    yield works(
        f"{place} can be listed",
        lambda: s3.list_objects_v2(Bucket=expected.bucket, Prefix=f"{expected.backups_prefix}/", MaxKeys=1),
    )
    if not expected.read_only:
        one = {"Bucket": expected.bucket, "Key": f"{expected.backups_prefix}/.flowstead/{instance}"}
        yield refused(f"replacing what is in {place} is refused", lambda: s3.put_object(**one, Body=b"proof"))


def prove_no_backups(s3: Any, expected: Expectation) -> Iterator[Proof]:
    """Prove that the backups are out of reach."""
    place = f"s3://{expected.bucket}/{expected.backups_prefix}/"
    one = {"Bucket": expected.bucket, "Key": f"{expected.backups_prefix}/.flowstead/none"}
    yield refused(f"reading from {place} is refused", lambda: s3.get_object(**one))
    yield refused(
        f"listing {place} is refused",
        lambda: s3.list_objects_v2(Bucket=expected.bucket, Prefix=f"{expected.backups_prefix}/", MaxKeys=1),
    )
    if not expected.read_only:
        yield refused(
            f"writing to {place} is refused", lambda: s3.put_object(**one, Body=b"proof", IfNoneMatch="*")
        )


def prove_no_secrets(secretsmanager: Any, arns: Iterable[str]) -> Iterator[Proof]:
    """Prove that secrets are refused."""
    for arn in arns:
        attempt = functools.partial(secretsmanager.get_secret_value, SecretId=arn, VersionId=NO_VERSION)
        yield refused(f"the secret {arn} is refused", attempt)


def prove_server(clients: Clients, expected: Expectation, instance: str) -> Iterator[Proof]:
    """Prove what the credentials that MLflow's server gets may do."""
    what = f"the instance's role may take the server's, {expected.server_role_arn}"
    deadline = time.monotonic() + NEWS_S
    servers: list[Clients] = []
    taken = works(what, lambda: servers.append(clients.take(expected.server_role_arn)))
    while not servers and time.monotonic() < deadline:
        time.sleep(3)
        taken = works(what, lambda: servers.append(clients.take(expected.server_role_arn)))
    yield taken
    if not servers:
        return
    server = servers[0]
    s3 = server.open("s3")
    yield from prove_storage(s3, expected, instance)
    yield from prove_no_backups(s3, expected)
    every = (*expected.secret_arns, *expected.refused_secret_arns)
    yield from prove_no_secrets(server.open("secretsmanager"), every)


class Clients:
    """Clients with one set of credentials."""

    def __init__(self, session: botocore.session.Session, region: str) -> None:
        self.session = session
        self.region = region

    def open(self, service: str) -> Any:
        """Return a client of a service."""
        settings = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 3})
        return self.session.create_client(service, region_name=self.region, config=settings)

    def take(self, role_arn: str) -> Clients:
        """Return clients with the credentials of another role."""
        answer = self.open("sts").assume_role(RoleArn=role_arn, RoleSessionName="proof")["Credentials"]
        session = botocore.session.get_session()
        # What botocore has read of its descriptions of services, it need not read again
        session.register_component("data_loader", self.session.get_component("data_loader"))
        session.set_credentials(answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"])
        return Clients(session, self.region)


def own_session(what: str) -> botocore.session.Session:
    """Return a session with the instance role's credentials."""
    fetcher = InstanceMetadataFetcher(timeout=2, num_attempts=3)
    credentials = InstanceMetadataProvider(iam_role_fetcher=fetcher).load()
    if credentials is None:
        detail = "the metadata service names the role and gives no credentials: try again in a minute"
        raise Stop(Proof(what, "failed", detail))
    frozen = credentials.get_frozen_credentials()
    session = botocore.session.get_session()
    session.set_credentials(frozen.access_key, frozen.secret_key, frozen.token)
    return session


def prove_identity(sts: Any, what: str, role_name: str) -> tuple[Proof, str]:
    """Return the proof that AWS knows this instance by its role, and the instance's ID."""
    try:
        arn = sts.get_caller_identity()["Arn"]
    except (ClientError, BotoCoreError) as error:
        raise Stop(Proof(what, "failed", f"GetCallerIdentity: {error}")) from error
    match = re.fullmatch(r"arn:[^:]+:sts::\d+:assumed-role/([^/]+)/(i-[0-9a-f]+)", arn)
    if not match or match[1] != role_name:
        raise Stop(Proof(what, "failed", f"it is {arn} instead of the role {role_name}"))
    return Proof(what, "proved", arn), match[2]


def prove(expected: Expectation) -> Iterator[Proof]:
    """Try everything, one thing after the other."""
    try:
        yield from prove_metadata(expected)
        yield from prove_no_keys()
        what = "AWS knows the instance by its role"
        clients = Clients(own_session(what), expected.region)
        proof, instance = prove_identity(clients.open("sts"), what, expected.role_name)
        yield proof
        s3 = clients.open("s3")
        yield from prove_storage(s3, expected, instance)
        yield from prove_backups_are_kept(s3, expected, instance)
        yield from prove_no_secrets(clients.open("secretsmanager"), expected.refused_secret_arns)
        for proof in prove_server(clients, expected, instance):
            yield replace(proof, what=f"for MLflow's server, {proof.what}")
    except Stop as stop:
        yield stop.proof


def main() -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(description="Prove that the instance's role works and is narrow.")
    parser.add_argument("--region", required=True, help="AWS region of the bucket and the secrets")
    parser.add_argument("--role-name", required=True, help="name of the IAM role that the instance must have")
    parser.add_argument("--bucket", required=True, help="bucket that the role may use, below the prefix only")
    parser.add_argument("--prefix", required=True, help="prefix that the role may use")
    parser.add_argument("--backups-prefix", required=True, help="prefix that the role may add to")
    parser.add_argument("--server-role", required=True, help="ARN of the role that MLflow's server gets")
    parser.add_argument("--foreign-bucket", required=True, help="bucket that the role must be refused")
    parser.add_argument(
        "--foreign-prefix", required=True, help="prefix of its own bucket that the role must be refused"
    )
    parser.add_argument(
        "--refused-secret", action="append", default=[], help="ARN that the role must be refused; repeatable"
    )
    parser.add_argument(
        "--secret", action="append", default=[], help="ARN that the server's role must be refused; repeatable"
    )
    parser.add_argument("--read-only", action="store_true", help="write nothing")
    given = parser.parse_args()
    expected = Expectation(
        region=given.region,
        role_name=given.role_name,
        bucket=given.bucket,
        prefix=given.prefix.strip("/"),
        backups_prefix=given.backups_prefix.strip("/"),
        server_role_arn=given.server_role,
        foreign_bucket=given.foreign_bucket,
        foreign_prefix=given.foreign_prefix.strip("/"),
        refused_secret_arns=tuple(given.refused_secret),
        secret_arns=tuple(given.secret),
        read_only=given.read_only,
    )
    proofs = list(prove(expected))
    print(json.dumps({"proofs": [asdict(proof) for proof in proofs]}, indent=2))
    return 1 if any(proof.outcome == "failed" for proof in proofs) else 0


if __name__ == "__main__":
    sys.exit(main())
