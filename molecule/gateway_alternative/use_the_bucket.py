"""Log a large file straight into the bucket and fetch it back, as a client does: admin's password comes in.

Fails where the gateway was in the way: it takes bodies of 1 MiB here.
"""

import os
import socket
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

NAME = "mlflow.example.com"
os.environ |= {
    "MLFLOW_TRACKING_URI": f"https://{NAME}:8443",
    "MLFLOW_TRACKING_USERNAME": "admin",
    "MLFLOW_TRACKING_PASSWORD": sys.stdin.read(),
    "MLFLOW_TRACKING_SERVER_CERT_PATH": "/etc/nginx/tls/company.pem",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": "1",
    "MLFLOW_MULTIPART_DOWNLOAD_MINIMUM_FILE_SIZE": "1",
}
asked = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: asked("127.0.0.1" if host == NAME else host, *rest, **more)

import mlflow  # noqa: E402 - it reads the environment
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository  # noqa: E402

content = os.urandom(12 << 20)
with tempfile.TemporaryDirectory() as folder:
    sent = Path(folder, "large.bin")
    sent.write_bytes(content)
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(sent))
    back = mlflow.artifacts.download_artifacts(
        run_id=run.info.run_id, artifact_path="large.bin", dst_path=str(Path(folder, "back"))
    )
    if Path(back).read_bytes() != content:
        sys.exit("Another file came back.")
address = get_artifact_repository(run.info.artifact_uri)._get_presigned_download_url("large.bin").url  # noqa: SLF001
if urllib.request.urlopen(address, timeout=60).read() != content:  # noqa: S310 - of the bucket
    sys.exit("The address in the bucket is another file's.")
lives = urllib.parse.parse_qs(urllib.parse.urlsplit(address).query)["X-Amz-Expires"]
if lives != ["900"]:
    sys.exit(f"The address lives {lives} seconds.")
try:
    urllib.request.urlopen(address.partition("?")[0], timeout=60)  # noqa: S310 - of the bucket
except urllib.error.HTTPError as error:
    sys.exit(0 if error.code == 403 else f"Without a signature: {error}")  # noqa: PLR2004
sys.exit("The address works without its signature.")
