"""MLflow's server on one's own machine, from the container image: fab laptop."""

from __future__ import annotations

import shlex
import socket
import time
import urllib.request
from typing import Any

from fabric import task

from day_two.sentences import sentences
from provisioner import container_tool
from provisioner.container_image import LOCAL
from provisioner.container_tool import ContainerTool
from provisioner.errors import FlowsteadError, UsageError

NAME = "flowstead-laptop"
LABEL = "flowstead.laptop"
PASSWORD = "/data/secrets/MLFLOW_AUTH_ADMIN_PASSWORD"  # noqa: S105 - a file's name
START_S = 120
INSIDE = 5000
MOST = 65535


@task(
    help={
        "port": "Port on this machine.",
        "image": "The image; otherwise the newest that `provision.py image` has built here.",
        "name": "Of the container, and of the volume that keeps its data; another one is another server.",
        "stop": "Stop it; its runs stay, and the next `fab laptop` has them.",
    }
)
def laptop(_context: Any, port: int = 5001, image: str = "", name: str = NAME, stop: bool = False) -> None:
    """Run MLflow on this machine, with SQLite and a folder: no AWS is needed."""
    with sentences():
        if not 0 < int(port) <= MOST:
            raise UsageError(f"{port} is no port: give a number from 1 to {MOST}.")
        tool = container_tool.find()
        if stop:
            is_there = _port(tool, name) > 0
            if is_there:
                _remove(tool, name)
            print("It is stopped; its runs are kept." if is_there else "Nothing to do: it does not run.")
            return
        wanted = image or _newest(tool)
        if not tool.has(wanted):
            # Before anything else goes: there may be no such image.
            tool.run("pull", "--quiet", wanted)
        serving = _serving(tool, name, wanted)
        if serving and serving != int(port):
            raise UsageError(
                f"It runs already, at port {serving}.",
                next_step="Stop it first (fab laptop --stop); its runs are kept.",
            )
        if not serving:
            _start(tool, name, wanted, int(port))
        url = f"http://127.0.0.1:{port}"
        _wait(tool, name, url)
        shown = shlex.join([tool.name, "exec", name, "cat", PASSWORD])
        print(f"{'It runs already' if serving else 'MLflow runs'}: {url}, user admin. For a client:\n")
        print(f"export MLFLOW_TRACKING_URI={url} MLFLOW_TRACKING_USERNAME=admin")
        print(f'export MLFLOW_TRACKING_PASSWORD="$({shown})"')


def _newest(tool: ContainerTool) -> str:
    """Name the image that was built last."""
    listed = tool.run("images", "--format", "{{.Repository}}:{{.Tag}}", LOCAL) or ""
    if not listed:
        raise FlowsteadError(
            "There is no image on this machine.",
            next_step="Run python provision.py image --no-push, or name one with --image.",
        )
    return listed.splitlines()[0]


def _port(tool: ContainerTool, name: str) -> int:
    """Give the port at which the container is to be reached; 0: there is none.

    Raises:
        UsageError: one of that name is somebody else's.

    """
    form = f'{{{{index .Config.Labels "{LABEL}"}}}} {{{{json .HostConfig.PortBindings}}}}'
    said = tool.run("inspect", "--type", "container", "--format", form, name, check=False)
    if said is None:
        return 0
    label, _, bound = said.partition(" ")
    if label != "yes":
        raise UsageError(f"The container {name} is none of fab laptop's: give another --name.")
    return int(bound.rpartition('"HostPort":"')[2].partition('"')[0])


def _remove(tool: ContainerTool, name: str) -> None:
    """Let what is in flight finish; the volume stays."""
    tool.run("stop", "--time", "60", name, check=False)
    tool.run("rm", "--force", name)


def _serving(tool: ContainerTool, name: str, image: str) -> int:
    """Give the port of a container that runs this image; 0: there is none. One that does not goes."""
    port = _port(tool, name)
    if not port:
        return 0
    form = "{{.State.Running}} {{.Image}}"
    state = tool.run("inspect", "--type", "container", "--format", form, name) or ""
    own = tool.run("image", "inspect", "--format", "{{.Id}}", image, check=False) or "another"
    running, _, of = state.partition(" ")
    if running == "true" and of.removeprefix("sha256:") == own.removeprefix("sha256:"):
        return port
    _remove(tool, name)
    return 0


def _start(tool: ContainerTool, name: str, image: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise FlowsteadError(
                f"Port {port} is taken on this machine ({error.strerror}).",
                next_step="Choose another one: fab laptop --port 5002",
            ) from error
    # podman has these two by itself.
    temporary = ("--tmpfs", "/tmp", "--tmpfs", "/var/tmp") if tool.is_docker else ()  # noqa: S108 - the container's
    tool.run(
        *("run", "--detach", "--name", name, "--label", f"{LABEL}=yes"),
        *("--publish", f"127.0.0.1:{port}:{INSIDE}", "--volume", f"{name}:/data"),
        *("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", *temporary),
        image,
    )


def _wait(tool: ContainerTool, name: str, url: str) -> None:
    """Wait until it answers."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):  # noqa: S310 - our own address
                return
        except OSError:
            state = tool.run(
                "inspect", "--type", "container", "--format", "{{.State.Running}}", name, check=False
            )
            if state != "true" or time.monotonic() > deadline:
                said = (tool.run("logs", "--tail", "3", name, both=True) or "").strip()
                raise FlowsteadError(f"It does not start: {said}") from None
        time.sleep(0.3)
