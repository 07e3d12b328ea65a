"""The bucket, at MLflow's own extension point (the entry point group `mlflow.artifact_repository`)."""

# MLflow's own have no types.
# mypy: disallow-untyped-calls=False
from __future__ import annotations

import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository
from mlflow.utils.mime_type_utils import _guess_mime_type

from flowstead_server import downloads


class Bucket(S3ArtifactRepository):
    """Says 404 of what is not there: with MLflow's 500, clients try again for four minutes.

    What a client downloads is not fetched: MLflow asks here, last of all, for a file that the server has.
    """

    def get_local_path(self, artifact_path: str) -> str | None:
        """Note the file for the sender, and end MLflow's part; its answer is an error that nobody gets."""
        files = downloads.found.get()
        if files is None:
            return None
        bucket, folder = self.parse_s3_compliant_uri(self.artifact_uri)
        place = {"Bucket": bucket, "Key": posixpath.join(folder, artifact_path), **self._bucket_owner_params}
        files.append(
            downloads.Stored(
                self._get_s3_client(),
                place,
                artifact_path,
                _guess_mime_type(artifact_path),
                lambda: self._is_there(artifact_path),
            )
        )
        raise MlflowException(f"{artifact_path} is sent from the bucket", RESOURCE_DOES_NOT_EXIST)

    def _download_file(self, remote_file_path: str, local_path: str) -> Any:
        with self._told(remote_file_path):
            return super()._download_file(remote_file_path, local_path)

    def get_download_presigned_url(self, artifact_path: str, expiration: int = 300) -> Any:
        """Sign an address of a file."""
        with self._told(artifact_path):
            return super().get_download_presigned_url(artifact_path, expiration)

    @contextmanager
    def _told(self, path: str) -> Iterator[None]:
        """To a role that may list a folder only, S3 says 403 of what is not there."""
        try:
            yield
        except (ClientError, MlflowException) as error:
            if self._is_there(path):
                raise
            raise MlflowException(f"No such artifact: {path}", RESOURCE_DOES_NOT_EXIST) from error

    def _is_there(self, path: str) -> bool:
        bucket, folder = self.parse_s3_compliant_uri(self.artifact_uri)
        key = posixpath.join(folder, path)
        # What begins with it comes in the order of names: it would be the first.
        found = self._get_s3_client().list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
        return any(one["Key"] == key for one in found.get("Contents", []))
