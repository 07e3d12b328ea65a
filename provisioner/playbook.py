"""Run one of the playbooks: the only place where the provisioner starts Ansible."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import FlowsteadError
from provisioner.session import PROJECT

_END_DEADLINE_S = 10
"""How long an interrupted playbook may take to end by itself."""


def find() -> Path:
    """Find ansible-playbook: the one installed next to this Python, or the one on PATH.

    Raises:
        FlowsteadError: there is none.

    """
    beside = Path(sys.executable).with_name("ansible-playbook")
    found = str(beside) if beside.is_file() else shutil.which("ansible-playbook")
    if not found:
        raise FlowsteadError(
            "ansible-playbook is neither next to this Python nor on PATH.",
            next_step="Run `make tools`, then `. .venv/bin/activate`.",
        )
    return Path(found)


@dataclass(frozen=True)
class Runner:
    """Ansible as this project configures it.

    Args:
        program: ansible-playbook.

    """

    program: Path

    def run(self, arguments: Sequence[str]) -> int:
        """Run it to its end; what it says goes to standard error, for the result is ours to print.

        Args:
            arguments: its command line, without the program.

        Returns:
            Its exit status.

        Raises:
            FlowsteadError: it cannot be started.

        """
        environment = os.environ | {"ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg")}
        try:
            # A process group of its own: an interrupt from the keyboard reaches it through us alone, once.
            process = subprocess.Popen(
                [self.program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
                env=environment,
                process_group=0,
            )
        except OSError as error:
            raise FlowsteadError(f"{self.program} cannot be started: {error.strerror}.") from error
        try:
            return process.wait()
        except BaseException:
            _end(process)
            raise


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a playbook with its workers and connections."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_DEADLINE_S)
