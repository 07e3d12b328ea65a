"""What code in a project's server can reach of another project: run on the host as the server's user.

inside.py OWN OTHER, each as JSON; prints JSON: for each attempt what came of it, "reached" or the refusal.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.session
import psycopg2


def attempt(what: Callable[[], Any]) -> str:
    """Try it, and say what came of it in one line."""
    try:
        what()
    except Exception as error:  # noqa: BLE001 - whatever refuses it
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return "reached"


def main() -> None:
    """Try everything on one's own and on the other's."""
    own, other = (json.loads(word) for word in sys.argv[1:])
    session = botocore.session.get_session()
    s3, secrets = session.create_client("s3"), session.create_client("secretsmanager")
    bucket = own["bucket"]

    def connect(database: str) -> None:
        psycopg2.connect(own["uri"].replace(f"/{own['database']}?", f"/{database}?")).cursor().execute(
            "SELECT count(*) FROM runs"
        )

    found = {}
    for whose, one in (("own", own), ("other", other)):
        for prefix in ("artifacts_prefix", "backups_prefix"):
            key = {"Bucket": bucket, "Key": f"{one[prefix]}/inside"}
            found |= {
                f"{whose} {prefix}: list": attempt(
                    lambda p=one[prefix]: s3.list_objects_v2(Bucket=bucket, Prefix=f"{p}/")
                ),
                f"{whose} {prefix}: write": attempt(lambda k=key: s3.put_object(**k, Body=b"x")),
                f"{whose} {prefix}: read": attempt(lambda k=key: s3.get_object(**k)["Body"].read()),
                f"{whose} {prefix}: delete": attempt(lambda k=key: s3.delete_object(**k)),
            }
        found[f"{whose} database"] = attempt(lambda d=one["database"]: connect(d))
        for arn in one["secrets"]:
            found[f"{whose} secret {arn}"] = attempt(lambda a=arn: secrets.get_secret_value(SecretId=a))
        for path in one["files"]:
            found[f"{whose} file {path}"] = attempt(Path(path).read_bytes)
    metadata = "http://169.254.169.254/latest/api/token"
    request = urllib.request.Request(
        metadata, method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    )
    found["metadata service"] = attempt(lambda: urllib.request.urlopen(request, timeout=5))  # noqa: S310 - as above
    role = {"RoleArn": other["artifacts_role_arn"], "RoleSessionName": "inside"}
    found["other role"] = attempt(lambda: session.create_client("sts").assume_role(**role))
    for version in other["processes"]:
        found[f"other process {version}"] = attempt(Path(f"/proc/{version}/environ").read_bytes)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
