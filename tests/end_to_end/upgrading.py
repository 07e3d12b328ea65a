"""What the tests of upgrades hold in their hands: a client that logs without a pause, and kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from deployed import BIN, Deployment, ask, run, until

NEWEST = "3.17.2"
# The same schema as the newest, and an older one.
SAME_SCHEMA, OLDER_SCHEMA = "3.17.1", "3.16.1"
PROGRAM = "/usr/bin/python3 -B /usr/local/lib/flowstead/mlflow/change.py"
JOURNAL = "/var/lib/mlflow-change/journal.json"
KILL = "systemctl kill --signal=SIGKILL {unit}"
# As a person's `kill`; systemd takes what SIGTERM ends for done.
END = "systemctl kill --kill-whom=main --signal=SIGTERM {unit}"
CUT_POWER = "systemctl reboot --force --force"
CLIENT = Path(__file__).with_name("logging_client.py")


def use(version: str) -> tuple[str, ...]:
    """The arguments that ask for a release; those with published holes must be asked for twice."""
    return (
        "-e",
        f"mlflow_release_version={version}",
        "-e",
        f"mlflow_release_insecure_version_accepted={version}",
    )


def version(client: Mapping[str, str]) -> str:
    """The version that the server says it is."""
    return ask(client, "/version")[1].decode().strip()


def running(deployment: Deployment) -> list[str]:
    """The MLflow units that run."""
    listed = deployment.host("systemctl list-units --plain --no-legend --state=running 'mlflow@*' 'mlflow-*'")
    return [line.split()[0] for line in listed.splitlines() if "timer" not in line]


def serves(deployment: Deployment, client: Mapping[str, str], wanted: str) -> bool:
    """Whether a release serves, and nothing else of MLflow's runs."""
    return (version(client), running(deployment)) == (wanted, [f"mlflow@{wanted}.service"])


def settled(deployment: Deployment) -> str:
    """Wait until nothing changes the host's MLflow any more; return which release serves."""
    script = (
        f"test -e {JOURNAL} || systemctl is-active --quiet mlflow-recover 'mlflow-change-*' "
        "|| cat /etc/mlflow/serving.json"
    )
    said = until(
        lambda: deployment.host(script, check=False), "an end of the change", timeout_s=600, pause_s=2
    )
    return str(json.loads(said)["version"])


def at_step(step: str) -> str:
    """Wait on the host until a change is at a step, or end with status 9 if none ever was.

    Steps that take less time than a look every few hundredths of a second, as `switch the store`, are missed.
    """
    look = f'until grep -qs "step.: .{step}[^a-z ]" {JOURNAL}; do sleep 0.02; done'
    return f"timeout 500 sh -c '{look}' || {{ echo missed; exit 9; }}; "


def begin_change(
    deployment: Deployment, wanted: str, *words: str, step: str, then: str = "", change: str = "upgrade"
) -> None:
    """Have the host itself begin a change, as a run does, and do something as soon as it is at a step.

    To cut the power ends the connection too, and so never succeeds.
    """
    unit = f"mlflow-change-test-{time.time_ns()}"
    deployment.host(
        f"systemd-run --quiet --collect --property=OnFailure=mlflow-recover.service --unit={unit} "
        f"{PROGRAM} {change} {wanted} {' '.join(words)}; {at_step(step)}{then.format(unit=unit)}",
        check=then != CUT_POWER,
        timeout_s=600,
    )


def descendants(pid: int) -> list[int]:
    """The processes that a process began, and those that they began."""
    listed = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        # It may end at any moment.
        with suppress(OSError):
            listed.append(task.read_text())
    children = [int(word) for word in " ".join(listed).split()]
    return [one for child in children for one in (child, *descendants(child))]


@contextmanager
def begun(deployment: Deployment, playbook: str) -> Iterator[subprocess.Popen[str]]:
    """Begin a playbook; at the end it and all its processes are killed with -9."""
    process = subprocess.Popen(
        [BIN / "ansible-playbook", playbook],
        cwd=deployment.clone,
        env=dict(deployment.environment),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        for one in [process.pid, *descendants(process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        process.communicate()


def killed_at(deployment: Deployment, task: str, seconds: float) -> None:
    """Run site.yml, and kill it so many seconds after it begins a task.

    A run that finds the host busy with what an earlier one began there says so, and is run again.
    """
    busy = True
    while busy:
        busy = False
        with begun(deployment, "site.yml") as process:
            assert process.stdout
            for line in process.stdout:
                busy = busy or "is busy with" in line
                if task in line:
                    time.sleep(seconds)
                    return
    pytest.fail(f"the run ended before {task}")


@dataclass
class Logging:
    """A client that logs without a pause."""

    client: Mapping[str, str]
    record: Path
    stop: Path
    cwd: Path
    process: subprocess.Popen[bytes] | None = None
    result: dict[str, Any] = field(default_factory=dict)

    def start(self) -> None:
        """Let it begin, and wait until it has logged something."""
        self.process = subprocess.Popen(
            [BIN / "python", CLIENT, self.record, self.stop], env=dict(self.client), cwd=self.cwd
        )
        until(
            lambda: self.record.is_file() and self.record.read_text().count("\n") > 10, "a client that logs"
        )

    def end(self) -> None:
        """Let it finish what it does."""
        self.stop.touch()
        assert self.process
        assert self.process.wait(timeout=400) == 0

    def check(self) -> dict[str, Any]:
        """Read everything that was acknowledged back."""
        checked = run("python", str(CLIENT), "--check", str(self.record), cwd=self.cwd, env=self.client)
        self.result = json.loads(checked.stdout)
        return self.result


@contextmanager
def without_loss(
    logging: Logging, capsys: pytest.CaptureFixture[str], what: str, *, undone: bool = False
) -> Iterator[None]:
    """Log all the while: everything that was acknowledged is there, and no call fails.

    While a change is `undone`, a call may: clients are held off for longer than they try on a slow machine.
    """
    logging.start()
    began = time.monotonic()
    try:
        yield
    finally:
        seconds = time.monotonic() - began
        logging.end()
    seen = logging.check()
    with capsys.disabled():
        print(
            f"\n{what}: {seconds:.0f} s, {seen['calls']} calls in {seen['runs']} runs, "
            f"{len(seen['failed'])} failed, {len(seen['lost'])} lost, "
            f"longest pause {seen['longest_pause_s']:.1f} s"
        )
    assert seen["lost"] == []
    assert undone or seen["failed"] == []
    assert seen["calls"] > 20


@contextmanager
def asking(client: Mapping[str, str]) -> Iterator[list[tuple[int, bytes]]]:
    """Ask again and again, on a new connection each time and without a second try; yields the answers."""
    answers: list[tuple[int, bytes]] = []
    stop = threading.Event()

    def ask_on() -> None:
        while not stop.is_set():
            answers.append(ask(client))
            time.sleep(0.1)

    thread = threading.Thread(target=ask_on)
    thread.start()
    try:
        yield answers
    finally:
        stop.set()
        thread.join()
