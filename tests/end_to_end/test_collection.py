"""The roles as a collection, without the project: they find a configured host as it should be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from deployed import Deployment, run

from tests.unit.collection.collection import ROLES, build, install

pytestmark = pytest.mark.timeout(1800)


def test_the_installed_roles_change_nothing_on_a_configured_host(
    deployment: Deployment, tmp_path: Path
) -> None:
    install(build(tmp_path), tmp_path)
    # The deployment has its data in a database service, and no volume for them.
    names = [f"flowstead.mlflow.{role}" for role in ROLES if role != "data_volume"]
    play = {"hosts": "tracking_servers", "become": True, "gather_facts": False, "roles": names}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]), encoding="utf-8")
    said = run(
        *(
            "ansible-playbook",
            "--inventory",
            str(deployment.clone / "inventory" / "flowstead.aws_ec2.yml"),
            "play.yml",
        ),
        cwd=tmp_path,
        env=deployment.environment
        | {
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "collections"),
            "ANSIBLE_ROLES_PATH": str(tmp_path),
        },
    ).stdout
    recap = re.search(r"ok=(\d+)\s+changed=(\d+)\s+unreachable=0\s+failed=0", said)
    assert recap, said[-2000:]
    assert int(recap[1]) > len(names)
    assert int(recap[2]) == 0, said[-6000:]
