"""Whether code in one project's server reaches anything of another project's."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from deployed import Deployment

INSIDE = Path(__file__).with_name("inside.py")
REFUSALS = ("AccessDenied", "permission denied", "PermissionError", "Connection refused", "FileNotFoundError")
# What its own server may not do either.
ROOTS = ("backups_prefix", "own secret", ".env")


def facts_of(deployment: Deployment, name: str) -> dict[str, Any]:
    """What a server's code has, or would like to have, of a project."""
    outputs = deployment.provisioned
    project: dict[str, Any] = next(one for one in outputs["projects"] if one["name"] == name)
    server = "mlflow" if name == "default" else f"mlflow-{name}"
    logins = project["database_logins"]
    serving = json.loads(deployment.host(f"cat /etc/{server}/serving.json"))["version"]
    settings = deployment.host(f"cat /etc/{server}/{serving}.env")
    told = dict(line.split("=", 1) for line in settings.splitlines() if re.match(r"[A-Z_]+=", line))
    return {
        **{key: project[key] for key in ("artifacts_prefix", "backups_prefix", "artifacts_role_arn")},
        "server": server,
        "serving": serving,
        "bucket": outputs["bucket"],
        "database": server.replace("-", "_"),
        "uri": told["MLFLOW_BACKEND_STORE_URI"].replace("+psycopg2", ""),
        "secrets": [
            *(project["admin"]["secret_arn"], project["server_keys_secret_arn"]),
            *(logins["owner"]["secret_arn"], logins["application"]["secret_arn"]),
        ],
        "files": [
            told["PGPASSFILE"],
            *(f"/run/flowstead/{one}" for one in (f"{server}.env", f"{server}-aws.json")),
        ],
        "processes": deployment.host(f"pgrep -u {server}").split(),
    }


def assert_kept_apart(
    deployment: Deployment, capsys: pytest.CaptureFixture[str], own: str, other: str
) -> None:
    """Run code as one project's server, which tries to reach everything that is its own and the other's."""
    mine, theirs = facts_of(deployment, own), facts_of(deployment, other)
    server = mine["server"]
    words = shlex.join(json.dumps(one) for one in (mine, theirs))
    settings = f"/etc/{server}/{mine['serving']}.env"
    script = (
        f"cat > /var/tmp/inside.py <<'END'\n{INSIDE.read_text(encoding='utf-8')}\nEND\n"
        f"systemd-run --quiet --pipe --wait --uid={server} -p EnvironmentFile={settings} "
        f"-E AWS_CONFIG_FILE=/etc/{server}/aws.conf -E AWS_SHARED_CREDENTIALS_FILE=/dev/null "
        f"/opt/mlflow/releases/{mine['serving']}/bin/python -B /var/tmp/inside.py {words}\n"
    )
    found: dict[str, str] = json.loads(deployment.host(script))
    with capsys.disabled():
        print(f"\nfrom {own}:", *(f"  {what}: {answer}" for what, answer in found.items()), sep="\n")
    reached = {what for what, answer in found.items() if answer == "reached"}
    assert reached == {
        what for what in found if what.startswith("own ") and not any(one in what for one in ROOTS)
    }
    for what, answer in found.items():
        assert what in reached or any(refusal in answer for refusal in REFUSALS), (what, answer)
