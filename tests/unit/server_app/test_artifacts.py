"""What the bucket says of a file that cannot be had, with a client of S3 that answers as S3 does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository


class S3:
    """Has two files, and refuses to give one of them."""

    KEYS = ("artifacts/1/locked", "artifacts/1/locked-too")

    def head_object(self, **_: Any) -> None:
        raise ClientError({"Error": {"Code": "403", "Message": "Forbidden"}}, "HeadObject")

    def download_file(self, *_: Any) -> None:
        self.head_object()

    def list_objects_v2(self, Prefix: str, MaxKeys: int, **_: Any) -> dict[str, Any]:  # noqa: N803 - S3's own names
        return {"Contents": [{"Key": key} for key in self.KEYS if key.startswith(Prefix)][:MaxKeys]}


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Found as MLflow finds it, by its entry point."""
    repository = get_artifact_repository("s3://bucket/artifacts")
    monkeypatch.setattr(repository, "_get_s3_client", S3)
    return repository


@pytest.mark.parametrize("name", ["none", "lock"])
def test_a_file_that_is_not_there_is_404(bucket: Any, name: str, tmp_path: Path) -> None:
    """S3 says 403 of it to a role that may list a folder only."""
    for ask in (
        lambda: bucket._download_file(f"1/{name}", str(tmp_path)),
        lambda: bucket.get_download_presigned_url(f"1/{name}"),
    ):
        with pytest.raises(MlflowException, match=f"No such artifact: 1/{name}") as told:
            ask()
        assert told.value.get_http_status_code() == 404


def test_a_file_that_is_there_and_refused_is_something_else(bucket: Any, tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="403"):
        bucket._download_file("1/locked", str(tmp_path))
