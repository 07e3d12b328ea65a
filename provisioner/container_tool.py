"""podman or docker: the only place where the provisioner runs one of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from provisioner.errors import FlowsteadError

_NO_ROOM = "no space left on device"
_SHOWN_LINES = 5


@dataclass(frozen=True)
class Login:
    """Who pushes where.

    Args:
        host: the registry's name, with its port if it has one.
        username: the name.
        password: the password.
        directory: an empty directory that is this login's alone: what the tool keeps of it goes with it.

    """

    host: str
    username: str
    password: str = field(repr=False)
    directory: Path


@dataclass(frozen=True)
class ContainerTool:
    """A program that builds and pushes container images.

    Args:
        program: its path.
        is_docker: it is docker; otherwise podman.

    """

    program: str
    is_docker: bool

    @property
    def name(self) -> str:
        """What people call it."""
        return "docker" if self.is_docker else "podman"

    def has(self, image: str) -> bool:
        """Tell whether an image is on this machine."""
        return self.run("image", "inspect", image, check=False) is not None

    def size_mib(self, image: str) -> int:
        """Give an image's size, unpacked."""
        said = self.run("image", "inspect", "--format", "{{.Size}}", image) or "0"
        return round(int(said) / 2**20)

    def build(self, image: str, context: Path, pip_conf: Path, labels: Mapping[str, str], base: str) -> None:
        """Build an image; what the tool says goes to standard error.

        Args:
            image: its name and tag.
            context: the directory with the Containerfile and all that it copies.
            pip_conf: pip's configuration, which no layer gets.
            labels: the image's labels.
            base: the image that it builds on.

        Raises:
            FlowsteadError: it failed.

        """
        words = ["build", "--tag", image, "--file", str(context / "Containerfile")]
        words += ["--build-arg", f"BASE={base}", "--secret", f"id=pip.conf,src={pip_conf}"]
        words += [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]
        # OCI's own format has no health check.
        words += [] if self.is_docker else ["--format", "docker"]
        environment = os.environ | ({"DOCKER_BUILDKIT": "1"} if self.is_docker else {})
        done = subprocess.run(
            [self.program, *words, str(context)],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            env=environment,
            check=False,
        )
        if done.returncode:
            raise FlowsteadError(
                f"The image could not be built ({self.name} build ended with {done.returncode}).",
                next_step=f"What it said is above. The base is images.base of deployment.yml, {base}.",
            )

    def push(self, image: str, as_name: str, login: Login) -> None:
        """Push an image with a login of its own, of which nothing is left on this machine.

        Args:
            image: its name here.
            as_name: its name there, the registry's in front.
            login: who pushes.

        Raises:
            FlowsteadError: the registry cannot be reached, or refuses.

        """
        options, environment = self._log_in(login)
        self.run("tag", image, as_name)
        self.run("push", *options, as_name, environment=environment)

    def pull(self, image: str, login: Login) -> None:
        """Pull an image with a login of its own, likewise.

        Args:
            image: its name, the registry's in front.
            login: who pulls.

        Raises:
            FlowsteadError: the registry cannot be reached, or refuses.

        """
        options, environment = self._log_in(login)
        self.run("pull", "--quiet", *options, image, environment=environment)

    def _log_in(self, login: Login) -> tuple[list[str], dict[str, str]]:
        """Log in, and say how the tool is told where the login is, and which authorities to trust besides."""
        options, environment = self._login_options(login)
        words = ["login", *options, "--username", login.username, "--password-stdin", login.host]
        self.run(*words, text=login.password, environment=environment)
        return options, environment

    def _login_options(self, login: Login) -> tuple[list[str], dict[str, str]]:
        if self.is_docker:
            # Of the user's own configuration it would need the daemon's place.
            daemon = self.run("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
            own = {"DOCKER_CONFIG": str(login.directory)} | ({"DOCKER_HOST": daemon} if daemon else {})
            return [], own
        options = ["--authfile", str(login.directory / "auth.json")]
        if bundle := os.environ.get("AWS_CA_BUNDLE"):
            # Whom boto3 is to trust shows AWS's certificates here: a company's proxy, as a rule.
            shutil.copyfile(bundle, login.directory / "aws.crt")
            options += ["--cert-dir", str(login.directory)]
        return options, {}

    def run(
        self,
        *words: str,
        text: str = "",
        environment: Mapping[str, str] | None = None,
        check: bool = True,
        both: bool = False,
    ) -> str | None:
        """Run it.

        Args:
            words: its command line, without a secret.
            text: what it reads.
            environment: further variables.
            check: a failure is an error.
            both: return what it says on standard error, too.

        Returns:
            what it says; None: it failed, without `check`.

        Raises:
            FlowsteadError: it failed.

        """
        done = subprocess.run(
            [self.program, *words],
            input=text,
            capture_output=True,
            text=True,
            env=os.environ | dict(environment or {}),
            check=False,
        )
        if done.returncode == 0:
            return (done.stdout + done.stderr if both else done.stdout).strip()
        if not check:
            return None
        said = " ".join(done.stderr.strip().splitlines()[-_SHOWN_LINES:])
        step = "Run the same command again: what is there already is not sent again." * (words[0] == "push")
        if _NO_ROOM in said.lower():
            step = f"Make room on this machine's disk ({self.name} system prune), and run it again."
        raise FlowsteadError(f"{self.name} {words[0]} ended with {done.returncode}: {said}", next_step=step)


def find() -> ContainerTool:
    """Find podman, or a docker whose daemon answers.

    Raises:
        FlowsteadError: there is neither.

    """
    silent = []
    for name in ("podman", "docker"):
        program = shutil.which(name)
        if program is None:
            continue
        asked = subprocess.run([program, "info"], capture_output=True, stdin=subprocess.DEVNULL, check=False)
        if asked.returncode == 0:
            return ContainerTool(program, is_docker=name == "docker")
        silent.append(name)
    if silent:
        raise FlowsteadError(
            f"{' and '.join(silent)} cannot build here: `{silent[0]} info` says why.",
            next_step="Start its service (podman machine start, systemctl start docker).",
        )
    raise FlowsteadError(
        "Neither podman nor docker is on PATH.", next_step="Install one of them: podman, best."
    )
