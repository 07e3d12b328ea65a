"""A server on one's own machine: `fab laptop`, from the container image, with SQLite and a folder."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from deployed import BIN, run
from pushing import CLIENT, Pushed

pytestmark = pytest.mark.timeout(1200)


@dataclass(frozen=True)
class Laptop:
    """A server of `fab laptop`, under a name of the tests' own."""

    pushed: Pushed
    name: str
    port: int

    def fab(self, *words: str) -> str:
        command = ("fab", "laptop", f"--name={self.name}", *words)
        done = run(*command, cwd=self.pushed.deployment.clone, env=self.pushed.environment, check=False)
        return done.stdout + done.stderr

    def start(self) -> str:
        return self.fab(f"--port={self.port}", f"--image={self.pushed.image}")

    def client(self, said: str, program: str) -> str:
        """Run a client with the lines that the task has printed."""
        lines = "\n".join(line for line in said.splitlines() if line.startswith("export "))
        script = f'{lines}\nexec python -c "$1"'
        own = {**self.pushed.environment, "PATH": f"{BIN}:/usr/bin:/bin"}
        return run("bash", "-euc", script, "-", program, cwd=self.pushed.deployment.clone, env=own).stdout


@pytest.fixture
def laptop(pushed: Pushed) -> Iterator[Laptop]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    made = Laptop(pushed, "flowstead-test-laptop", port)
    yield made
    pushed.podman("rm", "--force", "--ignore", "--time", "0", made.name)
    pushed.podman("volume", "rm", "--force", made.name)


def test_on_a_laptop_a_server_is_one_command_and_keeps_its_runs(laptop: Laptop) -> None:
    said = laptop.start()
    assert f"MLflow runs: http://127.0.0.1:{laptop.port}" in said
    assert laptop.client(said, CLIENT).split("\n")[-3:-1] == ["0.5", "logged in a container"]
    assert "It runs already" in laptop.start()
    assert f"It runs already, at port {laptop.port}" in laptop.fab(
        f"--image={laptop.pushed.image}", "--port=1"
    )
    # What does not exist takes nothing's place.
    assert "podman pull ended with" in laptop.fab(
        f"--port={laptop.port}", "--image=localhost/there-is-none:1"
    )
    assert "It runs already" in laptop.start()
    assert "It is stopped; its runs are kept." in laptop.fab("--stop")
    assert "Nothing to do: it does not run." in laptop.fab("--stop")
    count = "import mlflow; print(len(mlflow.search_runs(experiment_names=['container'])))"
    assert laptop.client(laptop.start(), count).strip() == "1"


def test_a_laptop_that_cannot_says_why_and_leaves_others_alone(laptop: Laptop) -> None:
    with socket.create_server(("127.0.0.1", laptop.port)):
        assert f"Port {laptop.port} is taken on this machine" in laptop.start()
    assert "is no port" in laptop.fab("--port=70000")
    podman = laptop.pushed.podman
    podman("run", "--detach", "--name", laptop.name, "--entrypoint", "sleep", laptop.pushed.image, "600")
    for said in (laptop.start(), laptop.fab("--stop")):
        assert f"The container {laptop.name} is none of fab laptop's" in said
    assert podman("inspect", "--format", "{{.State.Running}}", laptop.name) == "true"
