"""Backups of the databases in the bucket. Managed by Ansible.

A backup NAME is, in the bucket below <prefix>/NAME/: one dump for each database, and manifest.json, which is
written last: a backup without it is not complete, and does not count. On this host it is, until then, a
folder of the same name with what was counted while the dumps were made.

What somebody brings from another server is a backup, too: of runs and models alone, and in a file of SQLite,
whose rows every engine takes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import boto3.exceptions
import botocore.exceptions

from flowstead_host.engines import Engines
from flowstead_host.errors import ChangeError
from flowstead_host.settings import SPOOL, Database, Settings, is_imported, with_passfile

# The engine whose dumps others take.
PORTABLE = "sqlite"
# So many backups are named to a caller who asks for one that is not there.
NAMED = 5


def sha256(path: Path) -> str:
    """Return a file's hash."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for part in iter(lambda: file.read(1 << 20), b""):
            digest.update(part)
    return digest.hexdigest()


def must_be_new(params: dict[str, Any], **_: Any) -> None:
    """Have S3 refuse to replace an object (https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html)."""
    params["IfNoneMatch"] = "*"


def engine_of(file: Mapping[str, Any]) -> str:
    """Return of which engine a dump is; those of an earlier Flowstead do not say it."""
    return str(file.get("engine", "postgresql"))


def carry(source: str, target: str) -> None:
    """Fill a database of one engine from one of another."""
    from flowstead_host import transfer  # noqa: PLC0415 - its library takes a second to load

    transfer.copy(source, target)


class Backups:
    """The backups of MLflow's databases."""

    def __init__(self, settings: Settings, engines: Engines) -> None:
        self.databases = settings.databases
        self.owner_passfile = settings.owner_passfile
        self.engines = engines
        self.region = settings.backups.region
        self.bucket = settings.backups.bucket
        self.prefix = settings.backups.prefix.strip("/")

    @cached_property
    def s3(self) -> Any:
        """The client of S3; it takes a while to make, which whoever holds clients off need not wait for."""
        s3 = boto3.client("s3", region_name=self.region)
        # The host may add to the bucket and replace nothing there; boto3's transfers have no option for it.
        for operation in ("PutObject", "CompleteMultipartUpload"):
            s3.meta.events.register(f"before-parameter-build.s3.{operation}", must_be_new)
        return s3

    def check_room(self) -> int:
        """See that there is room for a dump and for what is made of it to put it back; return the size."""
        size = self.engines.size()
        free = shutil.disk_usage(SPOOL).free
        if free < 2 * size:
            raise ChangeError(
                f"the databases have {size >> 20} MiB, and {SPOOL} only {free >> 20} MiB free: a backup and "
                f"the way back need {2 * size >> 20}. Enlarge server.volume_gib in deployment.yml"
            )
        return size

    def take(self, reason: str, version: str) -> str:
        """Dump the databases to this host; return the backup's name, empty if there is nothing."""
        name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{version}-{reason}"
        folder = SPOOL / name
        folder.mkdir(parents=True)
        files = []
        for database in self.databases:
            engine = self.engines.of(database)
            rows = engine.dump(database, folder / f"{database.name}.dump")
            if not rows:
                shutil.rmtree(folder)
                return ""
            files.append(
                {
                    "database": database.name,
                    "engine": database.engine,
                    "schema": engine.revision(database),
                    "rows": rows,
                }
            )
        manifest = {"name": name, "mlflow_version": version, "reason": reason, "files": files}
        (folder / "taken.json").write_text(json.dumps(manifest))
        return name

    def keep(self, name: str) -> dict[str, Any]:
        """Prove that a backup can be read back whole, and put it into the bucket."""
        folder = SPOOL / name
        manifest: dict[str, Any] = json.loads((folder / "taken.json").read_text())
        for database, file in self.matched(manifest):
            path = folder / f"{database.name}.dump"
            found, rows = self.engines.of(database).verify(path), file["rows"]
            if found != rows:
                wrong = sorted(table for table in rows if rows[table] != found.get(table))
                raise ChangeError(
                    f"The dump of {file['database']} lacks rows of {', '.join(wrong)}: it was discarded"
                )
            file.update(bytes=path.stat().st_size, sha256=sha256(path))
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=4))
        for path in (*sorted(folder.glob("*.dump")), folder / "manifest.json"):
            self.upload(path, f"{self.prefix}/{name}/{path.name}")
        return {
            "name": name,
            "place": f"s3://{self.bucket}/{self.prefix}/{name}/",
            "rows": sum(sum(file["rows"].values()) for file in manifest["files"]),
            "bytes": sum(file["bytes"] for file in manifest["files"]),
        }

    def upload(self, path: Path, key: str) -> None:
        """Put a file into the bucket, and see that it is there."""
        try:
            self.s3.upload_file(str(path), self.bucket, key)
        except boto3.exceptions.S3UploadFailedError as error:
            # What boto3 sent again because an answer was lost is there already.
            if "PreconditionFailed" not in str(error):
                raise
        if self.s3.head_object(Bucket=self.bucket, Key=key)["ContentLength"] != path.stat().st_size:
            raise ChangeError(f"s3://{self.bucket}/{key} does not have the size of what was sent")

    def forget(self, name: str) -> None:
        """Keep no copy on this host."""
        shutil.rmtree(SPOOL / name)

    def prepare(self, name: str) -> list[Database]:
        """Have a backup here, and fresh databases for it; return those whose tables the release must make."""
        # Of one that was killed; they may fill the disk.
        for left in SPOOL.glob("*/*.sql"):
            left.unlink()
        _, manifest = self.fetch(name)
        self.engines.make_fresh(copied=False)
        made = []
        for database, file in self.matched(manifest):
            engine, is_foreign = self.engines.of(database), engine_of(file) != database.engine
            if is_foreign:
                engine.give_rights(database)
            if is_foreign or engine.restores_rows:
                made.append(database)
        return made

    def restore(self, name: str) -> dict[str, Any]:
        """Fill the fresh databases with a backup's data."""
        folder, manifest = self.fetch(name)
        for database, file in self.matched(manifest):
            dump, engine = folder / f"{database.name}.dump", self.engines.of(database)
            if engine_of(file) == database.engine:
                engine.restore(database, dump)
            else:
                uri = with_passfile(engine.fresh_uri(database), self.owner_passfile)
                carry(f"sqlite:///{dump}", uri)
        return {"name": name, "mlflow_version": manifest["mlflow_version"]}

    def matched(self, manifest: Mapping[str, Any]) -> list[tuple[Database, dict[str, Any]]]:
        """Return each database with what a manifest says of its dump; raise ChangeError where they differ."""
        files = {file["database"]: file for file in manifest["files"]}
        # Who logs in stays as it is.
        databases = self.databases[:1] if is_imported(manifest["name"]) else self.databases
        for database in databases:
            if database.name not in files:
                raise ChangeError(f"The backup {manifest['name']} has no dump of {database.name}")
            engine = engine_of(files[database.name])
            if engine not in (database.engine, PORTABLE):
                raise ChangeError(
                    f"The backup {manifest['name']} has a dump of {engine} for {database.name}, which is in "
                    f"{database.engine} now. Restore it where {engine} still is"
                )
        return [(database, files[database.name]) for database in databases]

    def fetch(self, name: str) -> tuple[Path, dict[str, Any]]:
        """Return a backup's folder and manifest, from this host or the bucket, every hash checked."""
        folder = SPOOL / name
        folder.mkdir(parents=True, exist_ok=True)
        try:
            manifest = self.manifest(name)
            for file in manifest["files"]:
                path = folder / f"{file['database']}.dump"
                if not path.is_file() or sha256(path) != file["sha256"]:
                    self.s3.download_file(self.bucket, f"{self.prefix}/{name}/{path.name}", str(path))
                    if sha256(path) != file["sha256"]:
                        raise ChangeError(
                            f"{path.name} of the backup {name} is not what was put there: its hash differs"
                        )
        except botocore.exceptions.ClientError as error:
            raise ChangeError(
                f"The backup {name} cannot be read from s3://{self.bucket}/{self.prefix}/: {error}"
            ) from error
        return folder, manifest

    def manifest(self, name: str) -> dict[str, Any]:
        """Return a backup's manifest, from this host or else from the bucket."""
        here = SPOOL / name / "manifest.json"
        if here.is_file():
            text: str | bytes = here.read_text()
        else:
            # Who may not list the whole bucket is told "AccessDenied" about an object that is not there.
            if name not in (names := self.names()):
                newest = ", ".join(names[-NAMED:]) or "none"
                raise ChangeError(
                    f"There is no complete backup {name} in s3://{self.bucket}/{self.prefix}/. "
                    f"The newest there: {newest}"
                )
            key = f"{self.prefix}/{name}/manifest.json"
            text = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        manifest: dict[str, Any] = json.loads(text)
        self.matched(manifest)
        return manifest

    def names(self) -> list[str]:
        """Return the names of the backups in the bucket, the newest last."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=f"{self.prefix}/"
        )
        keys = [one["Key"] for page in pages for one in page.get("Contents", [])]
        return sorted(key.split("/")[-2] for key in keys if key.endswith("/manifest.json"))
