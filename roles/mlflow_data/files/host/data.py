#!/usr/bin/env python3
"""Dump, restore and copy MLflow's databases, with backups in the bucket. Managed by Ansible.

Run as root with a release's own Python (psycopg2, boto3); prints JSON. Passwords are read by libpq from its
files: the application's, and the owner's where something is written.

A backup NAME is, in the bucket below <prefix>/NAME/: one dump (pg_dump's custom format) for each database,
and manifest.json, which is written last: a backup without it is not complete, and does not count.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import boto3
import boto3.exceptions
import botocore.exceptions
import psycopg2
from schema import dump_version

SETTINGS = Path(__file__).with_name("change.json")
SPOOL = Path("/var/lib/mlflow-change/backups")
COPIES = SPOOL / "copies"
# Fresh, and open to whom a new database of PostgreSQL 15 is open; everything else stands in the dump.
EMPTY = "DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC"
TABLES = (
    "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1"
)
# What scripts of pg_dump and pg_restore 17 say among the first lines, and an older server does not know.
UNKNOWN_TO_OLDER = b"\nSET transaction_timeout = 0;\n"
FIRST_BYTES = 4096
DATABASE_DEADLINE_S = 120
# So many backups are named to whoever asks for one that is not there.
NAMED = 5


def libpq(uri):
    """Return SQLAlchemy's address of a database as libpq's: without a driver."""
    return uri.replace("postgresql+psycopg2://", "postgresql://", 1)


def run(*argv, passfile=None, **options):
    """Run one of PostgreSQL's programs; its last words are the reason when it fails."""
    environment = os.environ | ({"PGPASSFILE": passfile} if passfile else {})
    done = subprocess.run(argv, env=environment, stderr=subprocess.PIPE, text=True, check=False, **options)
    if done.returncode != 0:
        raise SystemExit(f"{argv[0]}: {done.stderr.strip()[-1500:]}")
    return done.stdout


def sha256(path):
    """Return a file's hash."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for part in iter(lambda: file.read(1 << 20), b""):
            digest.update(part)
    return digest.hexdigest()


def rows_in(path):
    """Read a dump from beginning to end; return the number of rows in it, by table."""
    argv = ("pg_restore", "--data-only", "--file=-", str(path))
    counts, table = {}, None
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if table is not None:
                if line == "\\.\n":
                    table = None
                else:
                    counts[table] += 1
            elif found := re.match(r'COPY public\."?([^" ]+)"? ', line):
                table = found[1]
                counts[table] = 0
        words = process.stderr.read()
    if process.returncode != 0:
        raise SystemExit(f"The dump cannot be read back: {words.strip()[-500:]}")
    return counts


def make_known_to_older(script):
    """Make a comment, in place, of the line of an SQL script that an older server does not know."""
    with script.open("r+b") as file:
        at = file.read(FIRST_BYTES).find(UNKNOWN_TO_OLDER)
        if at >= 0:
            file.seek(at + 1)
            file.write(b"-- ")


def must_be_new(params, **_):
    """Have S3 refuse to replace an object (https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html)."""
    params["IfNoneMatch"] = "*"


class Data:
    """The databases, and their backups in the bucket."""

    def __init__(self, settings):
        self.settings = settings
        self.databases = settings["databases"]
        self.bucket = settings["backups"]["bucket"]
        self.prefix = settings["backups"]["prefix"].strip("/")
        self.s3 = boto3.client("s3", region_name=settings["backups"]["region"])
        # The host may add to the bucket and replace nothing there; boto3's transfers have no option for it.
        for operation in ("PutObject", "CompleteMultipartUpload"):
            self.s3.meta.events.register(f"before-parameter-build.s3.{operation}", must_be_new)

    def connect(self, uri):
        """Open a connection, waiting for a database that is just restarting."""
        deadline = time.monotonic() + DATABASE_DEADLINE_S
        while True:
            try:
                return psycopg2.connect(libpq(uri), connect_timeout=10)
            except psycopg2.OperationalError as error:
                if time.monotonic() > deadline:
                    raise SystemExit(f"The database does not answer: {error}") from error
                time.sleep(2)

    def check(self):
        """See that a dump will work, before anything is held up for it: the version, and the disk."""
        client = dump_version()
        size = 0
        for database in self.databases:
            with self.connect(database["uri"]) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT pg_database_size(current_database())")
                size += cursor.fetchone()[0]
                server = connection.server_version // 10000
        if client < server:
            raise SystemExit(
                f"the database is PostgreSQL {server}, and pg_dump on this host of {client}, too old. "
                "Set mlflow_data_postgresql_client to a package of that version or later"
            )
        free = shutil.disk_usage(SPOOL).free
        # The dump, and beside it what is made of it when it is put back.
        if free < 2 * size:
            raise SystemExit(
                f"the databases have {size >> 20} MiB, and {SPOOL} only {free >> 20} MiB free: a backup and "
                f"the way back need {2 * size >> 20}. Enlarge server.volume_gib in deployment.yml"
            )
        return {"database_mib": size >> 20}

    def dump_one(self, database, path):
        """Dump one database as it is at one moment; return the number of rows that it has then, by table."""
        with self.connect(database["uri"]) as connection:
            connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_export_snapshot()")
                snapshot = cursor.fetchone()[0]
                address = f"--dbname={libpq(database['uri'])}"
                run("pg_dump", "--format=custom", f"--snapshot={snapshot}", f"--file={path}", address)
                cursor.execute(TABLES)
                counts = {}
                for (table,) in cursor.fetchall():
                    cursor.execute(f'SELECT count(*) FROM public."{table}"')  # noqa: S608 - a name from the catalogue
                    counts[table] = cursor.fetchone()[0]
        return counts

    def dump(self, reason, version):
        """Take a backup, prove that it can be read back whole, and put it into the bucket."""
        name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{version}-{reason}"
        folder = SPOOL / name
        folder.mkdir(parents=True)
        files = []
        for database in self.databases:
            path = folder / f"{database['name']}.dump"
            counts = self.dump_one(database, path)
            if not counts:
                # A database in which nothing has been made yet.
                shutil.rmtree(folder)
                return {"name": ""}
            found = rows_in(path)
            if found != counts:
                wrong = sorted(table for table in counts if counts[table] != found.get(table))
                raise SystemExit(
                    f"The dump of {database['name']} lacks rows of {', '.join(wrong)}: it was thrown away"
                )
            files.append(
                {
                    "database": database["name"],
                    "bytes": path.stat().st_size,
                    "sha256": sha256(path),
                    "schema": self.schema_of(database),
                    "rows": counts,
                }
            )
        manifest = {"name": name, "mlflow_version": version, "reason": reason, "files": files}
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=4))
        for path in (*sorted(folder.glob("*.dump")), folder / "manifest.json"):
            key = f"{self.prefix}/{name}/{path.name}"
            try:
                self.s3.upload_file(str(path), self.bucket, key)
            except boto3.exceptions.S3UploadFailedError as error:
                # What boto3 sent again because an answer was lost is there already.
                if "PreconditionFailed" not in str(error):
                    raise
            if self.s3.head_object(Bucket=self.bucket, Key=key)["ContentLength"] != path.stat().st_size:
                raise SystemExit(f"s3://{self.bucket}/{key} has not the size of what was sent")
        rows = sum(sum(file["rows"].values()) for file in files)
        place = f"s3://{self.bucket}/{self.prefix}/{name}/"
        return {"name": name, "place": place, "rows": rows, "bytes": sum(file["bytes"] for file in files)}

    def schema_of(self, database):
        """Return the revision of a database's schema."""
        with self.connect(database["uri"]) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT version_num FROM {database['version_table']}")  # noqa: S608 - a constant
            return cursor.fetchone()[0]

    def fetch(self, name):
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
                        raise SystemExit(
                            f"{path.name} of the backup {name} is not what was put there: its hash is another"
                        )
        except botocore.exceptions.ClientError as error:
            raise SystemExit(
                f"The backup {name} cannot be read from s3://{self.bucket}/{self.prefix}/: {error}"
            ) from error
        return folder, manifest

    def manifest(self, name):
        """Return a backup's manifest, from this host or else from the bucket."""
        here = SPOOL / name / "manifest.json"
        if here.is_file():
            return json.loads(here.read_text())
        # Who may not list the whole bucket is told "AccessDenied" about an object that is not there.
        if name not in (names := self.backups()["backups"]):
            newest = ", ".join(names[-NAMED:]) or "none"
            raise SystemExit(
                f"There is no complete backup {name} in s3://{self.bucket}/{self.prefix}/. "
                f"The newest there: {newest}"
            )
        key = f"{self.prefix}/{name}/manifest.json"
        return json.loads(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def restore(self, name):
        """Put a backup's data in place of what there is: each database changes at once or not at all."""
        # Of one that was killed; they may fill the disk.
        for left in SPOOL.glob("*/*.sql"):
            left.unlink()
        folder, manifest = self.fetch(name)
        for database in self.databases:
            if database["name"] not in {file["database"] for file in manifest["files"]}:
                raise SystemExit(f"The backup {name} has no dump of {database['name']}")
        for database in self.databases:
            script = folder / f"{database['name']}.sql"
            try:
                run("pg_restore", "--no-owner", f"--file={script}", str(folder / f"{database['name']}.dump"))
                self.replace(database["owner_uri"], script)
            finally:
                script.unlink(missing_ok=True)
        return {"name": name, "mlflow_version": manifest["mlflow_version"]}

    def replace(self, uri, *scripts):
        """Put what SQL scripts make in place of a database's content, in one transaction.

        psql reads complete files: were they piped to it, it would take the death of whoever sends for their
        end, and commit half of the data.
        """
        for script in scripts:
            make_known_to_older(script)
        argv = (
            "psql",
            "--no-psqlrc",
            "--quiet",
            "--single-transaction",
            "--set=ON_ERROR_STOP=1",
            f"--dbname={libpq(uri)}",
            f"--command={EMPTY}",
            *(f"--file={script}" for script in scripts),
        )
        run(*argv, stdout=subprocess.DEVNULL, passfile=self.settings["owner_passfile"])

    def copy(self, depth):
        """Fill the copies: the schema and its revision, and with depth `full` the rows too."""
        if depth == "full":
            self.check()
        COPIES.mkdir(exist_ok=True)
        for database in self.databases:
            address = f"--dbname={libpq(database['uri'])}"
            revision = ("--data-only", f"--table=public.{database['version_table']}")
            parts = [()] if depth == "full" else [("--schema-only",), revision]
            scripts = [COPIES / f"{number}.sql" for number in range(len(parts))]
            for part, script in zip(parts, scripts, strict=True):
                run("pg_dump", "--no-owner", *part, f"--file={script}", address)
            self.replace(database["copy_owner_uri"], *scripts)
        shutil.rmtree(COPIES)
        return {"copied": depth}

    def wipe(self):
        """Empty the copies."""
        for database in self.databases:
            self.replace(database["copy_owner_uri"])
        shutil.rmtree(COPIES, ignore_errors=True)
        return {}

    def backups(self):
        """Return the names of the backups in the bucket, the newest last."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=f"{self.prefix}/"
        )
        keys = [one["Key"] for page in pages for one in page.get("Contents", [])]
        names = sorted(key.split("/")[-2] for key in keys if key.endswith("/manifest.json"))
        return {"backups": names}


def main():
    """Do what was asked, and print the answer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked = parser.add_subparsers(dest="asked", required=True)
    asked.add_parser("check")
    dump = asked.add_parser("dump")
    dump.add_argument("reason")
    dump.add_argument("version")
    dump.add_argument("--tidy", action="store_true", help="keep no copy on this host")
    for word in ("restore", "show"):
        asked.add_parser(word).add_argument("name")
    asked.add_parser("copy").add_argument("depth", choices=["schema", "full"])
    asked.add_parser("wipe")
    asked.add_parser("list")
    arguments = parser.parse_args()
    data = Data(json.loads(SETTINGS.read_text()))
    if arguments.asked == "dump":
        answer = data.dump(arguments.reason, arguments.version)
        if arguments.tidy and answer["name"]:
            shutil.rmtree(SPOOL / answer["name"])
    elif arguments.asked == "restore":
        answer = data.restore(arguments.name)
    elif arguments.asked == "show":
        answer = data.manifest(arguments.name)
    elif arguments.asked == "copy":
        answer = data.copy(arguments.depth)
    else:
        answer = {"check": data.check, "wipe": data.wipe, "list": data.backups}[arguments.asked]()
    print(json.dumps(answer))


if __name__ == "__main__":
    try:
        main()
    except (psycopg2.Error, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as problem:
        sys.exit(f"{type(problem).__name__}: {problem}")
