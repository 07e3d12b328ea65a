"""Which files in the bucket are garbage's, and how they go."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from flowstead_host.artifacts import Bucket

RUN, MODEL, TRACE = "0" * 32, f"m-{'1' * 32}", f"tr-{'2' * 32}"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The artifacts of a deployment, in a bucket that does not exist."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    return Bucket(boto3.client("s3", region_name="eu-west-1"), "s3://flowstead-1/artifacts")


@pytest.mark.parametrize(
    ("address", "owner", "folder"),
    [
        (f"mlflow-artifacts:/7/{RUN}/artifacts", RUN, f"artifacts/7/{RUN}/artifacts/"),
        (f"mlflow-artifacts:/7/models/{MODEL}/artifacts", MODEL, f"artifacts/7/models/{MODEL}/artifacts/"),
        # The server decodes what is in the path of a request.
        (f"mlflow-artifacts:/of%20all//{RUN}/artifacts", RUN, f"artifacts/of all/{RUN}/artifacts/"),
        (f"s3://flowstead-1/artifacts/own/{RUN}/artifacts", RUN, f"artifacts/own/{RUN}/artifacts/"),
    ],
)
def test_files_are_where_the_server_puts_them(bucket: Any, address: str, owner: str, folder: str) -> None:
    assert bucket.folder(address, owner) == folder


@pytest.mark.parametrize(
    "address",
    [
        None,
        "",
        "mlflow-artifacts:/7",
        f"mlflow-artifacts:/7/{RUN[:-1]}1/artifacts",
        f"mlflow-artifacts:/../backups/{RUN}",
        f"mlflow-artifacts:/%2e%2e/backups/{RUN}",
        f"mlflow-artifacts://elsewhere.example/7/{RUN}/artifacts",
        f"s3://flowstead-1/backups/{RUN}/artifacts",
        f"s3://flowstead-1/artifacts-of-others/{RUN}/artifacts",
        f"s3://flowstead-2/artifacts/7/{RUN}/artifacts",
        f"file:///var/lib/mlflow/{RUN}/artifacts",
        f"/artifacts/7/{RUN}/artifacts",
    ],
)
def test_a_folder_that_is_elsewhere_or_not_surely_a_runs_own_is_left_alone(
    bucket: Any, address: str | None
) -> None:
    assert bucket.folder(address, RUN) == ""


def test_of_an_experiment_only_the_folders_that_are_named_are_listed_and_that_once(bucket: Any) -> None:
    mine = [f"artifacts/7/{RUN}/artifacts/", f"artifacts/7/traces/{TRACE}/artifacts/"]
    keys = {f"{mine[0]}a.txt": 1, f"{mine[0]}b/c.txt": 2, f"{mine[1]}traces.json": 3}
    others = {
        f"artifacts/7/{RUN}/other": 4,
        f"artifacts/7/{RUN}x/artifacts/a.txt": 5,
        "artifacts/7/own.txt": 6,
    }
    listed = [{"Key": key, "Size": size} for key, size in (keys | others).items()]
    with Stubber(bucket.s3) as stubber:
        asked = {"Bucket": "flowstead-1", "Prefix": "artifacts/7/"}
        stubber.add_response("list_objects_v2", {"Contents": listed}, asked)
        assert dict(bucket.files(mine)) == keys
    with Stubber(bucket.s3) as stubber:
        stubber.add_response("list_objects_v2", {}, {"Bucket": "flowstead-1", "Prefix": mine[0]})
        assert dict(bucket.files(mine[:1])) == {}
    assert dict(bucket.files([])) == {}


def test_a_file_that_cannot_be_deleted_is_told(bucket: Any) -> None:
    """S3 answers 200 to DeleteObjects nevertheless."""
    key = f"artifacts/7/{RUN}/artifacts/a.txt"
    error = {"Key": key, "Code": "AccessDenied", "Message": "Access Denied"}
    keys = [str(number) for number in range(1000)]
    with Stubber(bucket.s3) as stubber:
        for some, errors in ((keys, []), ([key], [error])):
            asked = {"Objects": [{"Key": one} for one in some], "Quiet": True}
            stubber.add_response(
                "delete_objects", {"Errors": errors}, {"Bucket": "flowstead-1", "Delete": asked}
            )
        with pytest.raises(SystemExit, match=f"s3://flowstead-1/{key} could not be deleted: AccessDenied"):
            bucket.remove([*keys, key])
        stubber.assert_no_pending_responses()
