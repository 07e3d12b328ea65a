"""Containers of MLflow's server on one's own machine."""

from __future__ import annotations

import socket
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass

from provisioner.container_image import LOCAL
from provisioner.container_tool import ContainerTool
from provisioner.errors import FlowsteadError, UsageError

START_S = 120
MOST_PORT = 65535
SHUT_IN = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges")


@dataclass(frozen=True)
class Container:
    """A container of one name, whether it is there or not.

    Args:
        tool: podman or docker.
        name: its name.
        label: what tells that it was made by a task.
        task: the task.

    """

    tool: ContainerTool
    name: str
    label: str
    task: str

    def asked(self, form: str) -> str | None:
        """Ask for some of its description; None: there is none of that name."""
        return self.tool.run("inspect", "--type", "container", "--format", form, self.name, check=False)

    @property
    def is_there(self) -> bool:
        """Tell whether it is there.

        Raises:
            UsageError: one of that name is somebody else's.

        """
        label = self.asked(f'{{{{index .Config.Labels "{self.label}"}}}}')
        if label not in {None, "yes"}:
            raise UsageError(f"The container {self.name} is none of {self.task}'s: rename or remove it.")
        return label is not None

    @property
    def is_running(self) -> bool:
        """Tell whether its server runs."""
        return self.asked("{{.State.Running}}") == "true"

    def start(self, image: str, *words: str) -> None:
        """Run an image as it should be: read-only, without any right; in the background.

        Args:
            image: the image.
            words: further options.

        """
        self.tool.run(
            *("run", "--detach", "--name", self.name, "--label", f"{self.label}=yes"),
            *(*SHUT_IN, *self._temporary()),
            *words,
            image,
        )

    def run(self, image: str, *words: str, command: Sequence[str], text: str = "") -> str:
        """Run a program of an image's Python to its end, as read-only and without any right as a server.

        Args:
            image: the image.
            words: further options.
            command: the program, as it is called in the image, and its arguments.
            text: what it reads.

        Returns:
            what it prints.

        Raises:
            FlowsteadError: it failed.

        """
        python = self.tool.run("image", "inspect", "--format", "{{index .Config.Entrypoint 0}}", image) or ""
        if self.is_there:
            self.tool.run("rm", "--force", self.name)
        said = self.tool.run(
            *("run", "--rm", "--interactive", "--name", self.name, "--label", f"{self.label}=yes"),
            *(*SHUT_IN, *self._temporary(), *words, "--entrypoint", python, image, "-B", *command),
            text=text,
        )
        return said or ""

    def _temporary(self) -> tuple[str, ...]:
        # podman has these two by itself.
        return ("--tmpfs", "/tmp", "--tmpfs", "/var/tmp") if self.tool.is_docker else ()  # noqa: S108 - the container's

    def remove(self) -> None:
        """Let what is in flight finish; volumes stay."""
        self.tool.run("stop", "--time", "60", self.name, check=False)
        self.tool.run("rm", "--force", self.name)

    def wait(self, port: int) -> None:
        """Wait until it answers.

        Args:
            port: where, on this machine.

        Raises:
            FlowsteadError: it does not.

        """
        deadline = time.monotonic() + START_S
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                    return
            except OSError:
                if not self.is_running or time.monotonic() > deadline:
                    raise FlowsteadError(f"It does not start: {self.last_words()}") from None
            time.sleep(0.3)

    def last_words(self) -> str:
        """Return what it said last."""
        return (self.tool.run("logs", "--tail", "3", self.name, both=True) or "").strip()


def checked_port(port: int) -> int:
    """Check the number of a port.

    Raises:
        UsageError: it is none.

    """
    if not 0 < int(port) <= MOST_PORT:
        raise UsageError(f"{port} is no port: give a number from 1 to {MOST_PORT}.")
    return int(port)


def check_free(port: int, task: str) -> None:
    """See that nobody has a port of this machine.

    Raises:
        FlowsteadError: somebody has.

    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise FlowsteadError(
                f"Port {port} is taken on this machine ({error.strerror}).",
                next_step=f"Choose another one: {task} --port {port + 1}",
            ) from error


def newest(tool: ContainerTool) -> str:
    """Name the image that was built last.

    Raises:
        FlowsteadError: there is none.

    """
    listed = tool.run("images", "--format", "{{.Repository}}:{{.Tag}}", LOCAL) or ""
    if not listed:
        raise FlowsteadError(
            "There is no image on this machine.",
            next_step="Run python provision.py image --no-push, or name one with --image.",
        )
    return listed.splitlines()[0]
