"""MLflow's artifacts in the bucket. Managed by Ansible."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

# DeleteObjects takes no more (https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html).
BATCH = 1000


class Bucket:
    """The artifacts' folder of the bucket; `destination` is its address, such as s3://bucket/artifacts."""

    def __init__(self, s3: Any, destination: str) -> None:
        self.s3 = s3
        self.name, _, self.prefix = destination.removeprefix("s3://").strip("/").partition("/")

    def folder(self, uri: str | None, owner: str) -> str:
        """Return the folder of an address in the bucket; empty if it is elsewhere, or not its owner's alone.

        Users choose where an experiment's folders begin. MLflow makes the rest of the owner's identifier.
        """
        parts = urlsplit(uri or "")
        if parts.scheme == "mlflow-artifacts" and not parts.netloc:
            # As the server does with the path of a request.
            key = f"{self.prefix}/{unquote(parts.path)}"
        elif (parts.scheme, parts.netloc) == ("s3", self.name):
            key = parts.path
        else:
            return ""
        names = [name for name in key.split("/") if name]
        folder = "/".join(names) + "/"
        is_own = owner in names and not {".", ".."} & set(names)
        return folder if is_own and folder.startswith(f"{self.prefix}/".lstrip("/")) else ""

    def files(self, folders: list[str]) -> Iterator[tuple[str, int]]:
        """Yield the key and the size of every file in folders; what these have in common is listed once."""
        if not folders:
            return
        common = os.path.join(os.path.commonpath(folders), "")  # noqa: PTH118 - with a slash at its end
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=common)
        wanted = set(folders)
        for page in pages:
            for one in page.get("Contents", []):
                key = one["Key"]
                if any(key[: slash.end()] in wanted for slash in re.finditer("/", key)):
                    yield key, one["Size"]

    def remove(self, keys: list[str]) -> None:
        """Delete files. With versioning, S3 keeps their last versions for as long as its rules say."""
        for first in range(0, len(keys), BATCH):
            objects = [{"Key": key} for key in keys[first : first + BATCH]]
            answer = self.s3.delete_objects(Bucket=self.name, Delete={"Objects": objects, "Quiet": True})
            for error in answer.get("Errors", []):
                raise SystemExit(
                    f"s3://{self.name}/{error['Key']} could not be deleted: "
                    f"{error['Code']} {error.get('Message', '')}"
                )
