"""Artifacts and rows of another server, on their way into a project's folders of the bucket."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import boto3.exceptions
import botocore.exceptions

from provisioner.aws import Aws
from provisioner.errors import FlowsteadError

if TYPE_CHECKING:
    from day_two.gathered import Gathered
    from day_two.tracking import TrackingServer

# How the host knows such a backup (roles/mlflow_data/files/host/flowstead_host/settings.py).
REASON = "import"
# Files that are sent at a time.
THREADS = 8
# What is noted with each, so that it is sent again only if it is another.
SHA256, ETAG = "sha256", "source-etag"
AGAIN = "Run the same command again: what is there already is not sent twice."


@dataclass(frozen=True)
class Artifact:
    """A file to be brought.

    Args:
        place: where it is below the root of all artifacts.
        source: a file of this machine, or a bucket and a key.
        size: bytes.
        etag: what S3 has for its content; of a file of this machine, nothing.

    """

    place: str
    source: Path | tuple[str, str]
    size: int
    etag: str = ""


def list_files(aws: Aws, root: str, folders: Iterable[str]) -> Iterator[Artifact]:
    """Find the artifacts in some folders; a run without any has no folder.

    Args:
        aws: the AWS client.
        root: what the folders are below: a folder of this machine, or s3://BUCKET/PREFIX.
        folders: the folders.

    """
    if not root.startswith("s3://"):
        for folder in folders:
            for path in sorted(one for one in (Path(root) / folder).rglob("*") if one.is_file()):
                yield Artifact(path.relative_to(root).as_posix(), path, path.stat().st_size)
        return
    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    wanted = set(folders)
    for one in aws.page(
        "s3", "list_objects_v2", "Contents", Bucket=bucket, Prefix=f"{prefix}/" if prefix else ""
    ):
        place = one["Key"][len(prefix) :].lstrip("/")
        if wanted & {str(parent) for parent in PurePosixPath(place).parents}:
            yield Artifact(place, (bucket, one["Key"]), one["Size"], one["ETag"])


def send(aws: Aws, server: TrackingServer, files: Iterable[Artifact]) -> int:
    """Have files in the project's folder of artifacts; tell how many were not there yet.

    Raises:
        FlowsteadError: one could not be sent, or does not have its size there.

    """
    bucket, prefix = server.outputs.bucket, server.project.artifacts_prefix
    client, files = aws.client("s3"), list(files)
    there = _sizes(aws, bucket, f"{prefix}/")

    def one(file: Artifact) -> bool:
        key = f"{prefix}/{file.place}"
        noted = {SHA256: _sha256(file.source)} if isinstance(file.source, Path) else {ETAG: file.etag}
        if there.get(key) == file.size:
            metadata = client.head_object(Bucket=bucket, Key=key)["Metadata"]
            if noted.items() <= metadata.items():
                return False
        if isinstance(file.source, Path):
            client.upload_file(str(file.source), bucket, key, ExtraArgs={"Metadata": noted})
        else:
            source = dict(zip(("Bucket", "Key"), file.source, strict=True))
            options = {"Metadata": noted, "MetadataDirective": "REPLACE"}
            client.copy(source, bucket, key, ExtraArgs=options)
        return True

    try:
        with ThreadPoolExecutor(THREADS) as pool:
            sent = sum(pool.map(one, files))
    except (boto3.exceptions.Boto3Error, botocore.exceptions.ClientError, OSError, UnicodeError) as error:
        raise FlowsteadError(f"The artifacts could not be sent: {error}.", next_step=AGAIN) from error
    if sent:
        there = _sizes(aws, bucket, f"{prefix}/")
    wrong = [file.place for file in files if there.get(f"{prefix}/{file.place}") != file.size]
    if wrong:
        raise FlowsteadError(
            f"{len(wrong)} artifacts do not have their size in the bucket, such as {wrong[0]}.",
            next_step=AGAIN,
        )
    return sent


def keep(aws: Aws, server: TrackingServer, version: str, gathered: Gathered) -> str:
    """Have the rows in the bucket, as a backup of the project; its manifest comes last. Returns its name.

    Raises:
        FlowsteadError: it could not be sent.

    """
    name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{version}-{REASON}"
    database = server.name.replace("-", "_")
    folder = f"{server.project.backups_prefix}/{name}"
    file: dict[str, Any] = {
        "database": database,
        "engine": "sqlite",
        "schema": gathered.schema,
        "rows": gathered.rows,
        "bytes": gathered.file.stat().st_size,
        "sha256": _sha256(gathered.file),
    }
    manifest = {"name": name, "mlflow_version": version, "reason": REASON, "files": [file]}
    client, bucket = aws.client("s3"), server.outputs.bucket
    try:
        client.upload_file(str(gathered.file), bucket, f"{folder}/{database}.dump")
        text = json.dumps(manifest, indent=4).encode()
        client.put_object(Bucket=bucket, Key=f"{folder}/manifest.json", Body=text)
    except (boto3.exceptions.Boto3Error, botocore.exceptions.ClientError) as error:
        raise FlowsteadError(f"What was read could not be sent: {error}.", next_step=AGAIN) from error
    return name


def _sizes(aws: Aws, bucket: str, prefix: str) -> dict[str, int]:
    found = aws.page("s3", "list_objects_v2", "Contents", Bucket=bucket, Prefix=prefix)
    return {one["Key"]: one["Size"] for one in found}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
