"""Write the lock of one MLflow release: every package that a host installs, pinned and with its hashes.

``make lock MLFLOW=3.17.2`` calls this. The lock holds for every Python that the supported hosts have (3.10 to
3.13) and for both processor architectures; it names no package index, so a host may use any mirror.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LOCKS = Path(__file__).resolve().parent.parent / "roles" / "mlflow_release" / "files" / "locks"

# The oldest Python of a supported host: Ubuntu 22.04's.
OLDEST_PYTHON = "3.10"

# What the server needs besides MLflow itself: its login (Flask-WTF), the drivers of its stores' addresses
# (postgresql+psycopg2, and mysql+pymysql, 46 kB of Python), the S3 client, what the app around MLflow counts
# wrong logins with (limits), and the event loop and HTTP parser that uvicorn takes when they are there. None
# is in MLflow's plain installation.
REQUIREMENTS = (
    "mlflow[auth]=={version}",
    "psycopg2-binary",
    "pymysql",
    "boto3",
    "limits",
    "uvloop",
    "httptools",
)


def compile_lock(version: str, lock: Path) -> str:
    """Resolve a release and return the text of its lock.

    Args:
        version: an MLflow release, such as ``3.17.2``.
        lock: the lock that is there, if any: its pins stay as far as they can. Without it all are the newest.

    Returns:
        The lock: a comment, then one pinned requirement with hashes per package.

    Raises:
        subprocess.CalledProcessError: when the release does not exist or cannot be resolved.
    """
    requirements = "\n".join(REQUIREMENTS).format(version=version)
    command = [
        "uv", "pip", "compile", "-", "--quiet", "--universal", "--python-version", OLDEST_PYTHON,
        "--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as directory:
        written = Path(directory) / "lock.txt"
        if lock.exists():
            shutil.copy(lock, written)
        subprocess.run(
            [*command, "--output-file", written],
            input=requirements,
            text=True,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        text = written.read_text()
    head = f"# MLflow {version} and all it needs on a host. Written by: make lock MLFLOW={version}"
    return f"{head}\n{text}"


def main(arguments: list[str]) -> int:
    """Write one lock.

    Args:
        arguments: the release, alone.

    Returns:
        The exit code: 0 written, 1 not resolvable, 2 wrong usage.
    """
    if len(arguments) != 1 or not re.fullmatch(r"\d+\.\d+\.\d+", arguments[0]):
        sys.stderr.write("Name one MLflow release, as in: make lock MLFLOW=3.17.2\n")
        return 2
    version = arguments[0]
    path = LOCKS / f"{version}.txt"
    try:
        text = compile_lock(version, path)
    except subprocess.CalledProcessError:
        sys.stderr.write(f"MLflow {version} could not be locked; uv said why above. No lock was written.\n")
        return 1
    LOCKS.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    pinned = sum(1 for line in text.splitlines() if re.match(r"\S+==", line))
    sys.stdout.write(f"{path}: {pinned} packages pinned\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
