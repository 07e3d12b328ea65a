"""Loads a module by its file as Ansible does, and stands in for the host that it runs on."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def load() -> Callable[..., Any]:
    """What returns a module or an action plugin by its name: both may have the same."""

    def loaded(name: str, kind: str = "modules") -> Any:
        path = PROJECT / f"plugins/{kind}/{name}.py"
        spec = importlib.util.spec_from_file_location(f"{name}_{kind}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module

    return loaded


class FakeRunner:
    """A host that answers commands as told, and remembers them.

    Args:
        answer: what says status, output and error of a command.
        check_mode: as in Ansible.

    """

    def __init__(
        self, answer: Callable[[list[str]], tuple[int, str, str]], *, check_mode: bool = False
    ) -> None:
        self.answer = answer
        self.check_mode = check_mode
        self.commands: list[list[str]] = []
        self.words: list[str | None] = []
        self.environments: list[dict[str, str]] = []

    def run_command(
        self,
        args: list[str],
        *,
        data: str | None = None,
        environ_update: dict[str, str] | None = None,
        handle_exceptions: bool = True,  # noqa: ARG002 - as AnsibleModule has it
    ) -> tuple[int, str, str]:
        self.commands.append(args)
        self.words.append(data)
        self.environments.append(environ_update or {})
        return self.answer(args)


@pytest.fixture(scope="session")
def runner() -> type[FakeRunner]:
    return FakeRunner
