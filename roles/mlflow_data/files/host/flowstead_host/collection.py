"""Has what users deleted removed, as MLflow's user. Managed by Ansible."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from flowstead_host.files import variables_in
from flowstead_host.host import Host
from flowstead_host.programs import PROGRAMS, command
from flowstead_host.settings import GARBAGE


def collect(host: Host, version: str, age: str, age_s: int, *, dry_run: bool) -> dict[str, Any]:
    """Remove what users have deleted, with the settings and the credentials of the server."""
    GARBAGE.mkdir(mode=0o700, exist_ok=True)
    shutil.chown(GARBAGE, host.settings.user, host.settings.group)
    options = host.user_options()
    options["env"] = {
        **options["env"],
        **variables_in(Path(host.settings.config_dir) / f"{version}.env"),
        "AWS_CONFIG_FILE": f"{host.settings.config_dir}/aws.conf",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
    }
    words = (age, str(age_s), *(["--dry-run"] if dry_run else []))
    argv = (host.python(version), "-B", PROGRAMS / "garbage.py", *words)
    said = command(*argv, what="What users deleted could not be removed", **options)
    counted: dict[str, Any] = json.loads(said)
    return counted
