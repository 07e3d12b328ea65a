"""No secret is where somebody could read it who should not: compared with all that Secrets Manager holds."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pytest
from conftest import FirstRun
from deployed import Deployment

pytestmark = pytest.mark.timeout(1800)

# Where the system keeps its words, settings and processes; /run/flowstead is where secrets belong.
PLACES = {
    "arguments of processes": "ps -eww -o args",
    "journal": "journalctl --no-pager --output=cat",
    "units": "systemctl cat '*' --no-pager 2>/dev/null; cat /etc/systemd/system/*.* 2>/dev/null",
    "settings": "grep -rhIs . /etc --exclude-dir=ssl --exclude=shadow --exclude='shadow-'",
    "releases": "grep -rhIs . /opt/mlflow --exclude-dir=lib",
    "logs of the gateway": "cat /var/log/nginx/* 2>/dev/null",
    "user data": "cat /var/lib/cloud/instance/user-data.txt /var/log/cloud-init*.log",
    "temporary files": "grep -rhIs . /tmp /var/tmp /root /home --include='*'",
    "environment of everybody's processes but the server's": (
        "for process in /proc/[0-9]*; do [ $(stat -c %U $process) = mlflow ] "
        "|| tr '\\0' '\\n' < $process/environ; done"
    ),
}


@pytest.fixture(scope="module")
def secrets(deployment: Deployment) -> Mapping[str, str]:
    """Every secret value, by its place in Secrets Manager."""
    found = deployment.sandbox.secrets()
    ours = {name.rpartition("/")[2] for name in found if name.startswith("flowstead/")}
    assert {"admin:password", "database-owner:password", "database-application:password"} <= ours
    assert {"server-keys:flask_secret_key", "tls-ca:private_key_pem"} <= ours
    return found


def leaks(text: str, secrets: Mapping[str, str]) -> list[str]:
    """Which secrets a text holds, plain or in base64."""
    return [
        name
        for name, value in secrets.items()
        if value in text or base64.b64encode(value.encode()).decode().rstrip("=") in text
    ]


@pytest.mark.usefixtures("example_output")
@pytest.mark.parametrize("place", PLACES)
def test_no_secret_on_the_host(place: str, deployment: Deployment, secrets: Mapping[str, str]) -> None:
    text = deployment.host(PLACES[place], check=False)
    assert text.strip() or place in {"temporary files", "logs of the gateway"}
    assert leaks(text, secrets) == []


def test_the_server_keeps_its_secrets_in_memory_only_for_itself(
    deployment: Deployment, secrets: Mapping[str, str]
) -> None:
    listed = deployment.host("stat --format='%a %U %n' /run/flowstead/*; stat --file-system --format=%T /run")
    *files, filesystem = listed.splitlines()
    assert filesystem == "tmpfs"
    assert files
    assert [line for line in files if not line.startswith(("600 ", "400 mlflow "))] == []
    assert not any("owner" in line for line in files), "the owner's password stayed after the migration"
    # The tests of this file would find one if it were there.
    assert leaks(deployment.host("cat /run/flowstead/*"), secrets)


def test_the_server_cannot_ask_for_the_hosts_credentials(deployment: Deployment) -> None:
    ask = "curl --silent --max-time 5 --request PUT http://169.254.169.254/latest/api/token"
    ask += " --header X-aws-ec2-metadata-token-ttl-seconds:60"
    assert deployment.host(ask)
    tried = f"systemd-run --quiet --pipe --wait --property=User=mlflow {ask}; echo status $?"
    assert deployment.host(tried).split() == ["status", "7"], "curl's 7: the connection is refused"


def test_no_aws_key_on_the_host(deployment: Deployment) -> None:
    assert (
        deployment.host("ls -d /root/.aws /home/*/.aws /var/lib/mlflow/.aws 2>/dev/null", check=False) == ""
    )
    # botocore brings examples of keys with it.
    places = "/etc /opt/mlflow/releases/*/bin /home /root --exclude-dir=.cache"
    assert deployment.host(f"grep -rlIs 'A[KS]IA[A-Z0-9]' {places}", check=False) == ""


def test_no_secret_in_what_the_two_commands_say(first_run: FirstRun, secrets: Mapping[str, str]) -> None:
    assert leaks(first_run.provision + first_run.site, secrets) == []


def test_no_secret_in_what_they_say_when_asked_to_say_much(
    deployment: Deployment, secrets: Mapping[str, str]
) -> None:
    for arguments in (("--debug",), ("status", "--json"), ("outputs", "--json"), ("client", "--json")):
        done = deployment.provision(*arguments)
        assert leaks(done.stdout + done.stderr, secrets) == []
    done = deployment.playbook("site.yml", "--check", "--diff", "-vvv")
    assert leaks(done.stdout + done.stderr, secrets) == []


def test_no_secret_in_the_inventory_but_the_ssh_key(
    deployment: Deployment, secrets: Mapping[str, str]
) -> None:
    files = [path for path in (deployment.clone / "inventory").rglob("*") if path.is_file()]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    assert leaks(text, secrets) == []
    keys = [path for path in files if "PRIVATE KEY" in path.read_text(encoding="utf-8")]
    assert [path.parent.name for path in keys] == ["ssh"]
    assert keys[0].stat().st_mode & 0o077 == 0
