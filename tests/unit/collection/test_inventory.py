"""How a playbook tells that the hosts could not be looked up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
FILE = (
    (PROJECT / "templates/inventory.aws_ec2.yml.j2")
    .read_text(encoding="utf-8")
    .replace("{{ region | tojson }}", "eu-west-1")
    .replace("{{ deployment | tojson }}", "x")
)


def inventory(directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Have Ansible read an inventory with a file for the lookup in EC2, with the project's settings."""
    (directory / "inventory").mkdir(exist_ok=True)
    (directory / "inventory/x.aws_ec2.yml").write_text(FILE, encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "AWS_"))}
    own = {
        "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
        "ANSIBLE_HOME": str(directory / "home"),
        "ANSIBLE_NOCOLOR": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }
    command = [Path(sys.executable).with_name("ansible-inventory"), "-i", directory / "inventory", "--list"]
    return subprocess.run(command, env=kept | own | environment, capture_output=True, text=True, check=False)


def test_missing_credentials_are_one_error_with_the_next_step(tmp_path: Path) -> None:
    done = inventory(tmp_path)

    assert done.returncode
    assert "Unable to locate credentials" in done.stderr
    assert "`python provision.py status` works in this shell" in " ".join(done.stderr.split())
    assert "Completely failed" not in done.stderr
    assert "WARNING" not in done.stderr
    assert done.stderr.count("[ERROR]") == 1


def test_where_failures_are_allowed_ansible_goes_on(tmp_path: Path) -> None:
    assert inventory(tmp_path, ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED="false").returncode == 0


def test_variables_that_are_no_yaml_are_told_with_file_and_line(tmp_path: Path) -> None:
    variables = tmp_path / "inventory/group_vars/tracking_servers.yml"
    variables.parent.mkdir(parents=True)
    variables.write_text(
        "---\nmlflow_workers: 0\nmlflow_hostnames: [a\nmlflow_home: /opt\n", encoding="utf-8"
    )
    done = inventory(tmp_path)

    assert done.returncode
    assert f"{variables}:4:" in done.stderr
    assert "mlflow_hostnames: [a" in done.stderr
