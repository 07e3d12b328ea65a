"""The bill of materials says what the lock installs, and nothing that it does not install here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

RELEASE = Path(__file__).resolve().parents[3] / "roles/mlflow_release/files"


def printed(lock: Path) -> dict[str, object]:
    program = [sys.executable, str(RELEASE / "bill_of_materials.py"), str(lock)]
    found: dict[str, object] = json.loads(subprocess.run(program, capture_output=True, check=True).stdout)
    return found


def test_it_has_each_package_of_the_lock_once_with_a_name_that_scanners_know() -> None:
    lock = RELEASE / "locks/3.17.2.txt"
    document = printed(lock)
    components = document["components"]
    assert isinstance(components, list)
    names = [one["name"] for one in components]
    locked = set(re.findall(r"^([a-z0-9-]+)==", lock.read_text(), re.MULTILINE))
    assert len(names) == len(set(names)) > 80
    assert set(names) <= locked
    assert {"mlflow", "boto3", "psycopg2-binary"} <= set(names)
    assert all(one["purl"] == f"pkg:pypi/{one['name']}@{one['version']}" for one in components)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert document["metadata"] == {
        "component": {"type": "application", "name": "mlflow-server", "version": "3.17.2"}
    }


def test_what_is_for_another_system_or_python_is_left_out(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(
        "# a note\n"
        "mlflow==1.2.3 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
        "waitress==3.0 ; sys_platform == 'win32' \\\n    --hash=sha256:cc\n"
        "tomli==2.0 ; python_full_version < '3.0' \\\n    --hash=sha256:dd\n"
        "Odd_Name==4.0 ; python_full_version >= '3.0' \\\n    --hash=sha256:ee\n"
    )
    components = printed(lock)["components"]
    assert isinstance(components, list)
    assert [(one["name"], one["version"]) for one in components] == [("mlflow", "1.2.3"), ("odd-name", "4.0")]
