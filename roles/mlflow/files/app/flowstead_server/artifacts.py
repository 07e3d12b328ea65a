"""The bucket, at MLflow's own extension point (the entry point group `mlflow.artifact_repository`)."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository


class Bucket(S3ArtifactRepository):
    """Says 404 of what is not there: with MLflow's 500, clients try again for four minutes."""

    def _download_file(self, remote_file_path: str, local_path: str) -> Any:
        try:
            return super()._download_file(remote_file_path, local_path)  # type: ignore[no-untyped-call]
        except ClientError as error:
            if error.response["Error"]["Code"] not in {"404", "NoSuchKey"}:
                raise
            raise MlflowException(f"No such artifact: {remote_file_path}", RESOURCE_DOES_NOT_EXIST) from error
