"""MLflow's server on one's own machine, from the container image: fab laptop."""

from __future__ import annotations

import shlex
from typing import Any

from fabric import task

from day_two.containers import Container, check_free, checked_port, newest
from day_two.sentences import sentences
from provisioner import container_tool
from provisioner.errors import UsageError

NAME = "flowstead-laptop"
TASK = "fab laptop"
PASSWORD = "/data/secrets/MLFLOW_AUTH_ADMIN_PASSWORD"  # noqa: S105 - a file's name
INSIDE = 5000


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
        port, tool = checked_port(port), container_tool.find()
        container = Container(tool, name, "flowstead.laptop", TASK)
        if stop:
            is_there = container.is_there
            if is_there:
                container.remove()
            print("It is stopped; its runs are kept." if is_there else "Nothing to do: it does not run.")
            return
        wanted = image or newest(tool)
        if not tool.has(wanted):
            # Before anything else goes: there may be no such image.
            tool.run("pull", "--quiet", wanted)
        serving = _serving(container, wanted)
        if serving and serving != port:
            raise UsageError(
                f"It runs already, at port {serving}.",
                next_step="Stop it first (fab laptop --stop); its runs are kept.",
            )
        if not serving:
            check_free(port, TASK)
            published = ("--publish", f"127.0.0.1:{port}:{INSIDE}", "--volume", f"{name}:/data")
            container.start(wanted, *published)
        container.wait(port)
        url = f"http://127.0.0.1:{port}"
        shown = shlex.join([tool.name, "exec", name, "cat", PASSWORD])
        print(f"{'It runs already' if serving else 'MLflow runs'}: {url}, user admin. For a client:\n")
        print(f"export MLFLOW_TRACKING_URI={url} MLFLOW_TRACKING_USERNAME=admin")
        print(f'export MLFLOW_TRACKING_PASSWORD="$({shown})"')


def _serving(container: Container, image: str) -> int:
    """Give the port of a container that runs this image; 0: there is none. One that does not goes."""
    if not container.is_there:
        return 0
    own = container.tool.run("image", "inspect", "--format", "{{.Id}}", image, check=False) or "another"
    of = container.asked("{{.Image}}") or ""
    if container.is_running and of.removeprefix("sha256:") == own.removeprefix("sha256:"):
        bound = container.asked("{{json .HostConfig.PortBindings}}") or ""
        return int(bound.rpartition('"HostPort":"')[2].partition('"')[0])
    container.remove()
    return 0
