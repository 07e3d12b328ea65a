"""Artifacts of another server are in the project's folder of the bucket, whole, and sent once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from moto import mock_aws

from day_two import import_files
from day_two.gathered import Gathered
from day_two.import_files import keep, list_files, send
from provisioner.aws import Aws
from provisioner.errors import FlowsteadError

BUCKET, OTHER = "flowstead-1", "of-another"
SERVER: Any = SimpleNamespace(
    name="mlflow-churn",
    outputs=SimpleNamespace(bucket=BUCKET),
    project=SimpleNamespace(artifacts_prefix="churn/artifacts", backups_prefix="churn/backups"),
)
FILES = {
    "1/a/artifacts/notes/ä #1 ?.txt": b"a",
    "1/a/artifacts/empty": b"",
    "1/a/artifacts/.hidden": b"hidden",
    "1/a/artifacts/large": bytes(9 << 20),
    "1/ab/artifacts/of another run": b"not asked for",
    "2/b/artifacts/model/MLmodel": b"flavors: {}",
}
FOLDERS = ("1/a/artifacts", "2/b/artifacts", "3/without/artifacts")
WANTED = {place: content for place, content in FILES.items() if "another" not in place}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CA_BUNDLE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    with mock_aws():
        aws = Aws("us-east-1")
        for name in (BUCKET, OTHER):
            aws.client("s3").create_bucket(Bucket=name)
        yield aws


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for place, content in FILES.items():
        path = tmp_path / "artifacts" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "artifacts"


def kept(aws: Aws, prefix: str = "churn/artifacts/") -> dict[str, bytes]:
    client = aws.client("s3")
    found = client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    return {
        one["Key"][len(prefix) :]: client.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read()
        for one in found
    }


def bring(aws: Aws, root: Path | str) -> int:
    return send(aws, SERVER, list_files(aws, str(root), FOLDERS))


def test_files_of_this_machine_are_there_and_are_sent_once(aws: Aws, root: Path) -> None:
    assert bring(aws, root) == len(WANTED)
    assert kept(aws) == WANTED
    assert bring(aws, root) == 0
    # Others of the same size: the one that has changed is sent.
    (root / "1/a/artifacts/.hidden").write_bytes(b"HIDDEN")
    assert bring(aws, root) == 1
    assert kept(aws) == WANTED | {"1/a/artifacts/.hidden": b"HIDDEN"}


def test_what_somebody_else_put_there_is_not_taken_for_ours(aws: Aws, root: Path) -> None:
    aws.client("s3").put_object(Bucket=BUCKET, Key="churn/artifacts/1/a/artifacts/.hidden", Body=b"xxxxxx")
    assert bring(aws, root) == len(WANTED)
    assert kept(aws) == WANTED


def test_files_in_s3_are_copied_and_are_copied_once(aws: Aws) -> None:
    client = aws.client("s3")
    for place, content in FILES.items():
        client.put_object(Bucket=OTHER, Key=f"mlflow/{place}", Body=content)
    client.put_object(Bucket=OTHER, Key="mlflow-of-others/1/a/artifacts/x", Body=b"x")
    source = f"s3://{OTHER}/mlflow"
    assert bring(aws, source) == len(WANTED)
    assert kept(aws) == WANTED
    assert bring(aws, source) == 0
    client.put_object(Bucket=OTHER, Key="mlflow/1/a/artifacts/.hidden", Body=b"HIDDEN")
    assert bring(aws, source) == 1
    assert kept(aws)["1/a/artifacts/.hidden"] == b"HIDDEN"


def test_a_whole_folder_or_bucket_may_be_asked_for(aws: Aws, root: Path) -> None:
    assert send(aws, SERVER, list_files(aws, str(root), ["."])) == len(FILES)
    for place in kept(aws):
        aws.client("s3").put_object(Bucket=OTHER, Key=place, Body=FILES[place])
    found = {file.place for file in list_files(aws, f"s3://{OTHER}", ["."])}
    assert found == set(FILES)


def test_after_a_failure_only_the_rest_is_sent(aws: Aws, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = list(list_files(aws, str(root), FOLDERS))
    (root / files[2].place).rename(root / "away")
    monkeypatch.setattr(import_files, "THREADS", 1)
    with pytest.raises(FlowsteadError, match="could not be sent") as refused:
        send(aws, SERVER, files)
    assert refused.value.next_step == import_files.AGAIN
    before = len(kept(aws))
    assert 2 <= before < len(WANTED)
    (root / "away").rename(root / files[2].place)
    assert bring(aws, root) == len(WANTED) - before
    assert kept(aws) == WANTED


def test_a_file_that_changes_meanwhile_is_told(aws: Aws, root: Path) -> None:
    files = list(list_files(aws, str(root), FOLDERS))
    (root / files[0].place).write_bytes(b"more than there was when it was listed")
    with pytest.raises(FlowsteadError, match=f"1 artifacts do not have their size.*{files[0].place}"):
        send(aws, SERVER, files)


def test_rows_are_kept_as_a_backup_that_a_host_can_check(aws: Aws, tmp_path: Path) -> None:
    file = tmp_path / "gathered.db"
    file.write_bytes(b"rows" * 1000)
    gathered = Gathered(file, "dc11669786a5", {"runs": 7}, (), (), {}, {})
    name = keep(aws, SERVER, "3.17.2", gathered)
    assert name.endswith("-3.17.2-import")
    found = kept(aws, f"churn/backups/{name}/")
    assert set(found) == {"mlflow_churn.dump", "manifest.json"}
    manifest = json.loads(found["manifest.json"])
    (dump,) = manifest.pop("files")
    assert manifest == {"name": name, "mlflow_version": "3.17.2", "reason": "import"}
    assert dump == {
        "database": "mlflow_churn",
        "engine": "sqlite",
        "schema": "dc11669786a5",
        "rows": {"runs": 7},
        "bytes": 4000,
        "sha256": hashlib.sha256(found["mlflow_churn.dump"]).hexdigest(),
    }
