"""What the end-to-end tests hold in their hands: a copy of the project, a local AWS, a deployment in it.

Everything goes through the doors that a user has: the commands as subprocesses, the AWS API, SSH, HTTPS.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import yaml

PROJECT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
RECAP = re.compile(r"ok=\d+\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)")
# The deepest question that changes nothing: gateway, login, MLflow and its database take part in the answer.
PROBE = "/api/2.0/mlflow/experiments/get?experiment_id=0"
# Values in secrets that are no secret.
PUBLIC_KEYS = frozenset(
    {"username", "certificate_pem", "engine", "host", "port", "dbname", "dbInstanceIdentifier"}
)


def base_environment() -> dict[str, str]:
    """The caller's environment without what would lead a command to another AWS or MLflow."""
    foreign = ("AWS_", "MLFLOW_", "FLOWSTEAD_", "ANSIBLE_", "PYTEST_", "REQUESTS_CA_BUNDLE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {"PATH": f"{BIN}:{os.environ['PATH']}", "NO_COLOR": "1", "COLUMNS": "160"}


def run(
    *command: str,
    cwd: Path,
    env: Mapping[str, str],
    check: bool = True,
    timeout_s: float = 1800,
    text: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command and keep what it says; a failure shows it."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=dict(env),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        input=text,
        check=False,
    )
    if check and done.returncode != 0:
        raise AssertionError(
            f"{' '.join(command)} ended with status {done.returncode}\n"
            f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        )
    return done


def changes(said: str) -> list[str]:
    """Return the tasks that changed something in a playbook's run, which failed nowhere."""
    recaps = RECAP.findall(said)
    assert recaps
    assert all((unreachable, failed) == ("0", "0") for _, unreachable, failed in recaps), said[-6000:]
    task, found = "", list[str]()
    for line in said.splitlines():
        if line.startswith(("TASK [", "RUNNING HANDLER [")):
            task = line.strip(" *")
        elif line.startswith("changed: "):
            found.append(task)
    assert bool(found) == any(changed != "0" for changed, _, _ in recaps), said[-6000:]
    return found


def until(question: Callable[[], Any], what: str, timeout_s: float = 120, pause_s: float = 0.5) -> Any:
    """Ask until the answer is true, and return it."""
    deadline = time.monotonic() + timeout_s
    while not (answer := question()):
        assert time.monotonic() < deadline, f"after {timeout_s:.0f} s: not {what}"
        time.sleep(pause_s)
    return answer


def ask(
    client: Mapping[str, str],
    path: str = PROBE,
    timeout_s: float = 30,
    *,
    method: str = "GET",
    body: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    """Ask the server once, on a connection of its own and without a second try.

    Returns:
        The HTTP status, 0 when there was no answer; and the body.

    """
    login = f"{client['MLFLOW_TRACKING_USERNAME']}:{client['MLFLOW_TRACKING_PASSWORD']}"
    headers = {
        "Authorization": f"Basic {base64.b64encode(login.encode()).decode()}",
        "Content-Type": "application/json",
    }
    context = ssl.create_default_context(cafile=client["MLFLOW_TRACKING_SERVER_CERT_PATH"])
    server = urlsplit(client["MLFLOW_TRACKING_URI"])
    connection = http.client.HTTPSConnection(server.netloc, timeout=timeout_s, context=context)
    try:
        connection.request(method, server.path + path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError as error:
        return 0, str(error).encode()
    finally:
        connection.close()


def served(client: Mapping[str, str]) -> bool:
    """Whether gateway, login, MLflow and its database answer together."""
    return ask(client, timeout_s=10)[0] == 200


def copy_project(target: Path) -> None:
    """Copy the working tree with its uncommitted changes, and lend the copy the virtual environment."""
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        check=True,
        text=True,
    )
    for name in filter(None, listing.stdout.split("\0")):
        source = PROJECT / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    venv = target / ".venv"
    if not venv.is_symlink():
        venv.symlink_to(BIN.parent)


@dataclass(frozen=True)
class Sandbox:
    """A local AWS of the tests' own, with the environment that its `env` prints."""

    clone: Path
    name: str
    env: dict[str, str] = field(repr=False)

    @classmethod
    def up(cls, clone: Path, name: str, *options: str) -> Sandbox:
        """Start it with the images baked in the project itself; take over the environment that it prints."""
        environment = base_environment()
        own = () if clone == PROJECT else ("--images-from", str(PROJECT))
        run("python", "-m", "sandbox", "up", "--name", name, *own, *options, cwd=clone, env=environment)
        script = f'eval "$(python -m sandbox env --name {name})" && env -0'
        listed = run("bash", "-euc", script, cwd=clone, env=environment).stdout
        return cls(clone, name, dict(line.split("=", 1) for line in listed.split("\0") if "=" in line))

    def calls(self) -> list[dict[str, Any]]:
        """Every AWS call so far, in order."""
        listed = run(
            "python", "-m", "sandbox", "calls", "--json", "--name", self.name, cwd=self.clone, env=self.env
        )
        calls: list[dict[str, Any]] = json.loads(listed.stdout)
        return calls

    def count(self, action: str) -> int:
        """How often AWS got a call so far; quick, so that a test can wait for one."""
        log = self.clone / ".sandbox" / self.name / "calls.jsonl"
        return log.read_text(encoding="utf-8").count(f'"action": "{action}"')

    def client(self, service: str) -> Any:
        """A boto3 client with the operator's credentials."""
        return boto3.client(
            service,
            region_name=self.env["AWS_REGION"],
            endpoint_url=self.env["AWS_ENDPOINT_URL"],
            aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
            verify=self.env["AWS_CA_BUNDLE"],
        )

    def secrets(self) -> dict[str, str]:
        """Every secret value that Secrets Manager holds, by the place it has there."""
        manager, found = self.client("secretsmanager"), {}
        for page in manager.get_paginator("list_secrets").paginate():
            for secret in page["SecretList"]:
                text = manager.get_secret_value(SecretId=secret["ARN"])["SecretString"]
                for key, value in json.loads(text).items():
                    if key not in PUBLIC_KEYS:
                        # A key file is many lines, and each of them in a log is a leak: one from the middle.
                        lines = str(value).strip().splitlines()
                        found[f"{secret['Name']}:{key}"] = lines[len(lines) // 2]
        return found


def mutating(calls: list[dict[str, Any]]) -> list[str]:
    """Of AWS calls, those that may change something."""
    reading = (
        "Describe",
        "Get",
        "List",
        "Head",
        "Lookup",
        "Search",
        "BatchGet",
        "Decode",
        "Simulate",
        "AssumeRole",
    )
    return [f"{call['service']}:{call['action']}" for call in calls if not call["action"].startswith(reading)]


@dataclass(frozen=True)
class Deployment:
    """A deployment in a local AWS, with the directory of the project that it is run from."""

    sandbox: Sandbox
    clone: Path
    config: str = "deployment.yml"

    def provision(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run `python provision.py`."""
        chosen = () if self.config == "deployment.yml" else ("--config", self.config)
        return run(
            "python", "provision.py", *chosen, *arguments, cwd=self.clone, env=self.environment, **options
        )

    def playbook(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run `ansible-playbook`."""
        return run("ansible-playbook", *arguments, cwd=self.clone, env=self.environment, **options)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the two commands; connections are kept in the copy, away from a person's own."""
        sockets = self.clone / ".cache" / "ssh"
        return self.sandbox.env | {
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(sockets),
            "ANSIBLE_HOME": str(self.clone / ".cache" / "ansible"),
        }

    @property
    def provisioned(self) -> dict[str, Any]:
        """What provision.py wrote for Ansible."""
        path = self.clone / "inventory" / "group_vars" / "all" / "provisioned.yml"
        return dict(yaml.safe_load(path.read_text(encoding="utf-8"))["flowstead"])

    @property
    def client_environment(self) -> dict[str, str]:
        """What a data scientist is given: the variables of `provision.py client`, and not one of AWS."""
        return self.client_of("default")

    def client_of(self, project: str) -> dict[str, str]:
        """What a data scientist of a project is given."""
        script = f'eval "$(python provision.py client --project={project})" && env -0'
        listed = run("bash", "-euc", script, cwd=self.clone, env=self.environment).stdout.split("\0")
        given = dict(line.split("=", 1) for line in listed if line.startswith("MLFLOW_"))
        kept = {name: value for name, value in os.environ.items() if name in {"LANG", "LC_ALL", "TERM"}}
        # MLflow's client leaves a directory behind for each model that it loads.
        temporary = self.clone / ".cache" / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        own = {"HOME": str(self.clone / ".cache"), "TMPDIR": str(temporary)}
        return kept | own | {"PATH": f"{BIN}:/usr/bin:/bin"} | given

    @property
    def instance_id(self) -> str:
        """The id of the running server."""
        return str(self.instances()[0]["InstanceId"])

    def instances(self) -> list[dict[str, Any]]:
        """The deployment's instances that are not terminated."""
        filters = [
            {"Name": "tag:flowstead:deployment", "Values": [self.provisioned["deployment"]]},
            {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
        ]
        reservations = self.sandbox.client("ec2").describe_instances(Filters=filters)["Reservations"]
        return [instance for reservation in reservations for instance in reservation["Instances"]]

    def host(self, script: str, *, check: bool = True, timeout_s: float = 120) -> str:
        """Run a shell script on the server as root, over SSH with the pinned host key."""
        inventory = self.clone / "inventory"
        return run(
            "ssh",
            *("-i", str(inventory / "ssh" / self.provisioned["deployment"])),
            *("-o", f"UserKnownHostsFile={inventory / 'known_hosts'}", "-o", "StrictHostKeyChecking=yes"),
            *("-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "IdentitiesOnly=yes", "-F", "/dev/null"),
            f"{self.provisioned['server']['ssh_user']}@{self.provisioned['public_address']}",
            "sudo bash -s",
            cwd=self.clone,
            env=base_environment(),
            check=check,
            text=script,
            timeout_s=timeout_s,
        ).stdout


def assert_nothing_changes(deployment: Deployment, *arguments: str) -> None:
    """Run the two commands again, the second with arguments: nothing is left to do."""
    assert "nothing to do" in deployment.provision().stdout.lower()
    assert changes(deployment.playbook("site.yml", *arguments).stdout) == []


def compared(said: str) -> list[str]:
    """Of what examples/compare_runs.py says, the parameters of the runs, the best one first."""
    return re.findall(r"(?m)^accuracy [0-9.]+ with C=([0-9.]+)$", said)
