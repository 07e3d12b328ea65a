"""What kinds of paths MLflow has (mlflow/server/{__init__,handlers,artifact_router,fastapi_app}.py)."""

from __future__ import annotations

import re

from flowstead_server.asgi import Scope, header

_OPEN = re.compile(r"/health|/favicon\.ico|/static-files/.*|/(ajax-)?api/3\.0/mlflow/server-info")
_ARTIFACTS = re.compile(
    r"/(ajax-)?api/2\.0/mlflow-artifacts/.*|/(model-versions/)?get-artifact"
    r"|/ajax-api/[23]\.0/mlflow/(upload-artifact|get-trace-artifact|logged-models/[^/]+/artifacts/files)"
)
# Answers come in pieces, over minutes: of language models.
_STREAMS = re.compile(r"/gateway/.*|/ajax-api/2\.0/mlflow/gateway-proxy|/ajax-api/3\.0/mlflow/assistant/.*")
_ASSISTANT = re.compile(r"/ajax-api/[0-9.]+/mlflow/assistant/.*")
_USERS = re.compile(r"/(ajax-)?api/[0-9.]+/mlflow/users/.*")
_DOWNLOAD = re.compile(
    r"/(ajax-)?api/2\.0/mlflow-artifacts/artifacts/.*|/(model-versions/)?get-artifact"
    r"|/ajax-api/2\.0/mlflow/logged-models/[^/]+/artifacts/files"
)
_UPLOAD = re.compile(r"/(ajax-)?api/2\.0/mlflow-artifacts/artifacts/.*")


def is_open(scope: Scope) -> bool:
    """Whether MLflow answers without a login: health, the UI's files, what it can, whether a page may ask."""
    if scope["method"] == "OPTIONS":
        return bool(header(scope, b"origin") and header(scope, b"access-control-request-method"))
    return scope["method"] in {"GET", "HEAD"} and _OPEN.fullmatch(scope["path"]) is not None


def is_counted(scope: Scope) -> bool:
    """Whether MLflow works on it for a moment, with processor and database: no transfer, no stream."""
    path = scope["path"]
    return path != "/health" and not _ARTIFACTS.fullmatch(path) and not _STREAMS.fullmatch(path)


def is_assistant(scope: Scope) -> bool:
    """Whether it is for MLflow's assistant."""
    return scope["type"] == "http" and _ASSISTANT.fullmatch(scope["path"]) is not None


def changes_logins(scope: Scope) -> bool:
    """Whether somebody's password, or whether there is such a user, may be another afterwards."""
    return scope["method"] not in {"GET", "HEAD"} and _USERS.fullmatch(scope["path"]) is not None


def is_download(scope: Scope) -> bool:
    """Whether the answer is a file from the bucket as it is, of any size."""
    return scope["method"] in {"GET", "HEAD"} and _DOWNLOAD.fullmatch(scope["path"]) is not None


def is_upload(scope: Scope) -> bool:
    """Whether the body is a file, of any size, that MLflow takes as it comes."""
    return scope["method"] == "PUT" and _UPLOAD.fullmatch(scope["path"]) is not None
