"""Who breaks into the host finds the backups, and can destroy none of them."""

from __future__ import annotations

import json

import pytest
from deployed import Deployment

pytestmark = pytest.mark.timeout(1800)

KEY = "end-to-end/dump"
# Run on the host, with its role: what AWS answers to each attempt.
ATTEMPTS = """
exec /opt/flowstead/tools/bin/python - <<'PYTHON'
import json
import botocore.session
from botocore.exceptions import ClientError

bucket, prefix, key, region = json.loads('@WORDS@')
s3 = botocore.session.get_session().create_client("s3", region_name=region)
mine = {"Bucket": bucket, "Key": f"{prefix}/{key}"}
found = {}

def attempt(name, call, **arguments):
    try:
        answer = call(**arguments)
    except ClientError as error:
        found[name] = error.response["Error"]["Code"]
    else:
        found[name] = "done"
        return answer

first = attempt("add", s3.put_object, Body=b"first", **mine)
attempt("overwrite", s3.put_object, Body=b"second", **mine)
attempt("read", s3.get_object, **mine)
attempt("list", s3.list_objects_v2, Bucket=bucket, Prefix=f"{prefix}/")
attempt("delete", s3.delete_object, **mine)
attempt("delete the version", s3.delete_object, VersionId=first["VersionId"], **mine)
attempt("delete many", s3.delete_objects, Bucket=bucket, Delete={"Objects": [{"Key": mine["Key"]}]})
off, empty = {"Status": "Suspended"}, {"Rules": []}
attempt("stop versioning", s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration=off)
attempt("expire", s3.put_bucket_lifecycle_configuration, Bucket=bucket, LifecycleConfiguration=empty)
attempt("add beside", s3.put_object, Bucket=bucket, Key=f"{prefix}-other/x", Body=b"")
print(json.dumps(found))
PYTHON
"""


def test_the_host_adds_backups_and_destroys_none(deployment: Deployment) -> None:
    facts = deployment.provisioned
    bucket, prefix = facts["flowstead_bucket"], facts["flowstead_backups_prefix"]
    words = json.dumps([bucket, prefix, KEY, facts["flowstead_region"]])
    found = json.loads(deployment.host(ATTEMPTS.replace("@WORDS@", words)))
    allowed = {name for name, answer in found.items() if answer == "done"}
    assert allowed - {"delete many"} == {"add", "overwrite", "read", "list"}
    assert set(found.values()) == {"done", "AccessDenied"}
    s3 = deployment.sandbox.client("s3")
    versions = s3.list_object_versions(Bucket=bucket, Prefix=f"{prefix}/{KEY}")
    assert "DeleteMarkers" not in versions
    bodies = [
        s3.get_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])["Body"].read()
        for one in versions["Versions"]
    ]
    assert sorted(bodies) == [b"first", b"second"]
    for one in versions["Versions"]:
        s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
