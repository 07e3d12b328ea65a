"""Print the bill of materials of a release: what its lock installs here, in CycloneDX 1.6.

Runs with the release's own Python, for which the lock's conditions are true or not. The form:
https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HASH = re.compile(r"\s--hash=\S+")


def bill_of_materials(lock: str) -> dict[str, Any]:
    """Make the document.

    Args:
        lock: the lock's text, in pip's format.

    """
    installed = list(locked(lock))
    application = {"type": "application", "name": "mlflow-server", "version": dict(installed)["mlflow"]}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": application},
        "components": [
            {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}
            for name, version in installed
            for purl in [f"pkg:pypi/{name}@{version}"]
        ],
    }


def locked(lock: str) -> Iterator[tuple[str, str]]:
    """Give name and version of each package that the lock has for this Python and machine."""
    for line in lock.replace("\\\n", " ").splitlines():
        if line.strip() and not line.startswith("#"):
            wanted = Requirement(HASH.sub("", line).strip())
            if wanted.marker is None or wanted.marker.evaluate():
                (exact,) = wanted.specifier
                yield canonicalize_name(wanted.name), exact.version


if __name__ == "__main__":
    json.dump(bill_of_materials(Path(sys.argv[1]).read_text(encoding="utf-8")), sys.stdout, indent=1)
