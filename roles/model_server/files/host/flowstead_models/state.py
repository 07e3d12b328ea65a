"""What is served, in files that are whole after a crash. Managed by Ansible."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

# Nobody but root looks in; each model's process is shown its own version alone.
HOME = Path("/var/lib/mlflow-models")


@dataclass(frozen=True)
class Failure:
    """A version that could not be served.

    Args:
        of: what was tried: the version, and what its entry in the list says.
        why: the reason, as a sentence.
        at_s: when, in seconds since 1970.
    """

    of: str
    why: str
    at_s: float


@dataclass(frozen=True)
class State:
    """What is served of a model.

    Args:
        version: which version; empty: none.
        build: the name of its build.
        port: its port on 127.0.0.1.
        before: the build that served before; it is kept for the way back.
        failure: what was tried last, if that failed.
    """

    version: str = ""
    build: str = ""
    port: int = 0
    before: str = ""
    failure: Failure | None = field(default=None)


@dataclass(frozen=True)
class Place:
    """Where everything of a model lies.

    Args:
        project: whose model it is.
        name: the registered model.
        home: directory of all of them.
    """

    project: str
    name: str
    home: Path = HOME

    @property
    def key(self) -> str:
        """What the model is called on the host. A project's name has no dot, so that none is ambiguous."""
        return f"{self.project}.{self.name}"

    @property
    def directory(self) -> Path:
        """Where it lies."""
        return self.home / self.key

    def build(self, build: str) -> Path:
        """Return the directory of a build: the model's files, and its environment."""
        return self.directory / build

    @property
    def cache(self) -> Path:
        """Packages that its environments were built from. One model's build cannot reach another's."""
        return self.directory / "cache"

    def unit(self, version: str, port: int) -> str:
        """Return the unit that serves a version on a port."""
        return f"mlflow-model@{self.key}.{version}.{port}.service"

    def read(self) -> State:
        """Return what is served of it."""
        try:
            told = json.loads((self.directory / "state.json").read_text())
        except FileNotFoundError:
            return State()
        failure = told.pop("failure")
        return State(**told, failure=Failure(**failure) if failure else None)

    def write(self, state: State) -> None:
        """Note what is served of it."""
        write(self.directory / "state.json", json.dumps(asdict(state), indent=4) + "\n")

    def builds(self) -> list[str]:
        """Name the builds that lie here."""
        if not self.directory.exists():
            return []
        return sorted(one.name for one in self.directory.iterdir() if one.name[0].isdigit())

    def drop(self, build: str) -> None:
        """Remove a build."""
        shutil.rmtree(self.build(build), ignore_errors=True)


def places(project: str, home: Path = HOME) -> list[Place]:
    """Return all models of a project that have something on this host."""
    if not home.exists():
        return []
    names = sorted(one.name for one in home.iterdir() if one.name.startswith(f"{project}."))
    return [Place(project, name.partition(".")[2], home) for name in names]


def ports(home: Path = HOME) -> set[int]:
    """Return the ports of what is served, in all projects."""
    found = home.glob("*/state.json")
    return {json.loads(one.read_text())["port"] for one in found}


def write(path: Path, text: str) -> bool:
    """Write a file so that after a crash it is the old one or the new one; say whether it changed."""
    if path.exists() and path.read_text() == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    with draft.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return True
