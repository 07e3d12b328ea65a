"""Somebody's own machine, on which `fab serve-here` runs servers of a deployment's projects."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from deployed import BIN, Deployment, run

LAST = "export MLFLOW_TRACKING_PASSWORD"


@dataclass
class Here:
    """A server here, by what `fab serve-here` says."""

    deployment: Deployment
    environment: dict[str, str]
    port: int
    process: subprocess.Popen[str]
    project: str = "default"
    said: str = ""

    @property
    def container(self) -> str:
        return f"flowstead-{self.deployment.provisioned['deployment']}-{self.project}-{self.port}"

    def client(self, program: str) -> str:
        """Run a client with the lines that the task has printed."""
        lines = "\n".join(line for line in self.said.splitlines() if line.startswith("export "))
        script = f"{lines}\nunset {' '.join(one for one in self.environment if one.startswith('AWS_'))}\n"
        # There is no gateway here: files come straight from the bucket, whose certificate a machine trusts.
        trust = {"REQUESTS_CA_BUNDLE": self.environment["AWS_CA_BUNDLE"]}
        own = {**self.environment, "PATH": f"{BIN}:/usr/bin:/bin", **trust}
        words = ("bash", "-euc", f'{script}exec python -c "$1"', "-", program)
        return run(*words, cwd=self.deployment.clone, env=own).stdout

    def podman(self, *words: str) -> str:
        return run("podman", *words, cwd=self.deployment.clone, env=self.environment).stdout.strip()

    def secrets_shown(self) -> list[str]:
        """Name the secrets that others on this machine see."""
        shown = self.podman("inspect", self.container) + self.said
        process = self.podman("inspect", "--format", "{{.State.Pid}}", self.container)
        for part in ("cmdline", "environ"):
            shown += Path(f"/proc/{self.process.pid}/{part}").read_text(errors="replace")
        shown += Path(f"/proc/{process}/cmdline").read_text(errors="replace")
        secrets = self.deployment.sandbox.secrets()
        assert len(secrets) > 3
        return [name for name, secret in secrets.items() if secret in shown]

    def end(self, by: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(by)
        return self.process.wait(timeout=120)


@dataclass
class Desk:
    """Somebody's own machine."""

    deployment: Deployment
    environment: dict[str, str]
    begun: list[Here] = field(default_factory=list)

    def command(self, port: int, *words: str) -> list[str]:
        return [str(BIN / "fab"), "serve-here", f"--port={port}", *words]

    def start(self, port: int, *words: str, project: str = "default") -> Here:
        process = subprocess.Popen(
            self.command(port, f"--project={project}", *words),
            cwd=self.deployment.clone,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        here = Here(self.deployment, self.environment, port, process, project)
        self.begun.append(here)
        assert process.stdout
        for line in process.stdout:
            here.said += line
            if line.startswith(LAST):
                return here
        raise AssertionError(here.said)

    def clear_up(self) -> None:
        """End what was begun."""
        for here in self.begun:
            if here.process.poll() is None:
                here.end()
            here.podman("rm", "--force", "--ignore", "--time", "0", here.container)

    def refused(self, port: int, *words: str) -> str:
        done = run(*self.command(port, *words), cwd=self.deployment.clone, env=self.environment, check=False)
        assert done.returncode != 0
        return " ".join((done.stdout + done.stderr).split())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def own_directories() -> list[str]:
    roots = [Path(os.environ.get("XDG_RUNTIME_DIR", "/dev/shm")), Path("/dev/shm")]  # noqa: S108 - where the task's are
    return [str(one) for root in roots for one in root.glob(f"flowstead-{os.getuid()}/*-default-*")]
