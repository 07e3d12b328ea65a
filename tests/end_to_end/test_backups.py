"""Who breaks into the host finds the backups, and can destroy none; who logs in to MLflow finds none."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from urllib.parse import urlencode

import pytest
from deployed import Deployment, ask

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

first = attempt("add", s3.put_object, Body=b"first", IfNoneMatch="*", **mine)
attempt("overwrite", s3.put_object, Body=b"second", **mine)
attempt("add again", s3.put_object, Body=b"third", IfNoneMatch="*", **mine)
upload = s3.create_multipart_upload(**mine)["UploadId"]
part = s3.upload_part(Body=b"fourth", PartNumber=1, UploadId=upload, **mine)["ETag"]
parts = {"UploadId": upload, "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": part}]}}
attempt("overwrite in parts", s3.complete_multipart_upload, **mine, **parts)
s3.abort_multipart_upload(UploadId=upload, **mine)
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
    bucket, prefix = facts["bucket"], facts["projects"][0]["backups_prefix"]
    words = json.dumps([bucket, prefix, KEY, facts["region"]])
    found = json.loads(deployment.host(ATTEMPTS.replace("@WORDS@", words)))
    allowed = {name for name, answer in found.items() if answer == "done"}
    assert allowed - {"delete many"} == {"add", "read", "list"}
    assert found.pop("add again") == "PreconditionFailed"
    assert set(found.values()) == {"done", "AccessDenied"}
    s3 = deployment.sandbox.client("s3")
    versions = s3.list_object_versions(Bucket=bucket, Prefix=f"{prefix}/{KEY}")
    assert "DeleteMarkers" not in versions
    bodies = [
        s3.get_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])["Body"].read()
        for one in versions["Versions"]
    ]
    assert bodies == [b"first"]
    for one in versions["Versions"]:
        s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])


API = "/api/2.0/mlflow"
BACKUP = "end-to-end/for-nobody"
SECRET = b'{"spans": [], "secret": "hashes of passwords"}'


@pytest.fixture(scope="module")
def backup(deployment: Deployment) -> str:
    """The address of a backup: what it holds is worth finding."""
    facts = deployment.provisioned
    s3, bucket = deployment.sandbox.client("s3"), facts["bucket"]
    folder = f"{facts['projects'][0]['backups_prefix']}/{BACKUP}"
    # MLflow looks for a trace's spans under this name.
    for name in ("mlflow.dump", "traces.json"):
        s3.put_object(Bucket=bucket, Key=f"{folder}/{name}", Body=SECRET)
    return f"s3://{bucket}/{folder}"


@pytest.fixture(scope="module")
def user(client_environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a client whose user is no administrator."""
    login = {"username": f"user-{secrets.token_hex(4)}", "password": secrets.token_hex(12)}
    status, answer = ask(client_environment, f"{API}/users/create", method="POST", body=login)
    assert status == 200, answer
    mine = {"USERNAME": login["username"], "PASSWORD": login["password"]}
    return dict(client_environment) | {f"MLFLOW_TRACKING_{name}": value for name, value in mine.items()}


def post(user: Mapping[str, str], path: str, **body: object) -> dict[str, object]:
    status, answer = ask(user, f"{API}/{path}", method="POST", body=body)
    assert status == 200, answer
    return dict(json.loads(answer))


def test_a_backup_cannot_be_registered_as_a_model(user: dict[str, str], backup: str) -> None:
    name = f"model-{secrets.token_hex(4)}"
    post(user, "registered-models/create", name=name)
    version = {"name": name, "source": backup}
    status, answer = ask(user, f"{API}/model-versions/create", method="POST", body=version)
    assert status == 400, answer
    assert b"Invalid model version source" in answer


@pytest.mark.parametrize("place", ["BACKUP", "file:///var/lib/mlflow", "/tmp", "s3://another-bucket/mine"])  # noqa: S108 - it is refused
def test_an_experiment_cannot_be_at_the_backups_on_the_disk_or_elsewhere(
    place: str, user: dict[str, str], backup: str
) -> None:
    asked = {
        "name": f"experiment-{secrets.token_hex(4)}",
        "artifact_location": place.replace("BACKUP", backup),
    }
    status, answer = ask(user, f"{API}/experiments/create", method="POST", body=asked)
    assert status == 400, answer
    assert b"is no place for artifacts on this server" in answer


def test_who_is_in_the_server_cannot_read_a_backup_either(deployment: Deployment, backup: str) -> None:
    """With what the server's own process has, whatever it was told."""
    bucket, _, folder = backup.removeprefix("s3://").partition("/")
    release = json.loads(deployment.host("cat /etc/mlflow/serving.json"))["version"]
    program = f"""
import boto3, botocore.exceptions, sys
s3 = boto3.client("s3")
for call in (lambda: s3.get_object(Bucket="{bucket}", Key="{folder}/mlflow.dump"),
             lambda: s3.list_objects_v2(Bucket="{bucket}", Prefix="{folder}"),
             lambda: s3.put_object(Bucket="{bucket}", Key="{folder}/mine", Body=b"")):
    try:
        call()
    except botocore.exceptions.ClientError as error:
        print(error.response["Error"]["Code"])
"""
    unit = f"$(systemctl cat mlflow@{release} | grep ^Environment=AWS)"
    said = deployment.host(
        f'systemd-run --quiet --pipe --wait --property=User=mlflow --property="{unit}" '
        f"--property=EnvironmentFile=/etc/mlflow/{release}.env "
        f"/opt/mlflow/releases/{release}/bin/python -B - <<'END'\n{program}\nEND"
    )
    assert said.split() == ["AccessDenied"] * 3


def test_a_trace_at_the_backups_shows_nothing(user: dict[str, str], backup: str) -> None:
    experiment = post(user, "experiments/create", name=f"traces-{secrets.token_hex(4)}")["experiment_id"]
    trace = post(user, "traces", experiment_id=experiment, timestamp_ms=1, execution_time_ms=1, status="OK")
    trace_id = trace["trace_info"]["request_id"]  # type: ignore[index]
    tag = {"key": "mlflow.artifactLocation", "value": backup}
    ask(user, f"{API}/traces/{trace_id}/tags", method="PATCH", body=tag)
    asked = urlencode({"request_id": trace_id})
    _, answer = ask(user, f"/ajax-api/2.0/mlflow/get-trace-artifact?{asked}")
    assert b"hashes of passwords" not in answer
