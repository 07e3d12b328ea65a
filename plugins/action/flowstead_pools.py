"""Action plugin `flowstead_pools`: chooses how many connections to the database a worker of MLflow may have.

The module of the same name has the documentation.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

OPTIONS: dict[str, dict[str, Any]] = {
    "python": {"type": "str", "required": True},
    "uri": {"type": "str", "required": True},
    "passfile": {"type": "str", "required": True},
    "connections": {"type": "int", "default": 0},
    "workers": {"type": "int", "required": True},
    "size": {"type": "int", "default": 0},
    "overflow": {"type": "int", "default": 0},
    "requests": {"type": "int", "required": True},
    "servers": {"type": "int", "default": 1},
}
# What a shell says where there is no such program (POSIX, "Exit Status for Commands"), and env as well
NOT_FOUND = 127
# Backups, people and this role ask too
KEPT_BACK = 6
# What a small database of RDS has at least
USUAL = 80
# More gain nothing: 2, 3, 4, 6 and 8 requests at a time were tried, and a request has two connections at most
LARGEST_POOL = 10
# Each worker has three: runs, models, logins
POOLS = 3
# Two run together during an upgrade
RELEASES = 2
TRIES = 6
PAUSE_S = 5
# The release's own driver asks: on a new host there is no other program for it yet
PROGRAMS = {
    "mysql": """
import sqlalchemy, sys
with sqlalchemy.create_engine(sys.argv[1]).connect() as connection:
    print(connection.exec_driver_sql(sys.argv[2]).scalar())
""",
    # Every run asks, and SQLAlchemy takes half a second to load.
    "postgresql": """
import psycopg2, sys
cursor = psycopg2.connect(sys.argv[1].replace("+psycopg2", "", 1)).cursor()
cursor.execute(sys.argv[2])
print(cursor.fetchone()[0])
""",
}
QUESTIONS = {
    "mysql": "SELECT @@max_connections",
    "postgresql": """
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
- coalesce(current_setting('reserved_connections', true)::int, 0)
- coalesce(current_setting('rds.rds_superuser_reserved_connections', true)::int, 0)
""",
}


class PoolsError(Exception):
    """What is wrong, as a sentence."""


class Runner(Protocol):
    """What runs commands on the host."""

    check_mode: bool

    def run_command(self, args: list[str], *, environ_update: dict[str, str]) -> tuple[int, str, str]:
        """Run a command."""
        ...


@dataclass(frozen=True)
class Pools:
    """What a worker may have.

    Args:
        size: connections that each of its pools keeps open.
        overflow: connections that each opens on top under load.
        requests: requests that it works on at a time.

    """

    size: int
    overflow: int
    requests: int


def pools(connections: int, workers: int, wanted: Pools) -> Pools:
    """Return what a worker may have, so that two releases together stay within the database's connections.

    A release has one connection more, of the process that starts the workers. A request takes a second
    connection while it holds its first: one more than requests, and none waits for ever; twice as many, and
    none waits.

    Args:
        connections: what all releases together may take.
        workers: worker processes of a release.
        wanted: fixed numbers, 0 where there is none; and the most requests at a time.

    """
    pool = max(2, min((connections // RELEASES - 1) // (POOLS * workers), LARGEST_POOL))
    overflow = wanted.overflow or pool // 2
    size = wanted.size or max(1, pool - overflow)
    return Pools(size=size, overflow=overflow, requests=max(1, min(wanted.requests, size + overflow - 1)))


def available(
    runner: Runner, python: str, uri: str, passfile: str, sleep: Callable[[float], None] = time.sleep
) -> int:
    """Return how many connections the database has for users.

    Args:
        runner: runs commands on the host; says whether this is check mode.
        python: an interpreter on the host with SQLAlchemy and the database's driver.
        uri: the database, as SQLAlchemy has it.
        passfile: libpq's password file.
        sleep: what waits between the tries: the database may be restarting.

    Raises:
        PoolsError: it does not answer.

    """
    engine = re.split("[+:]", uri)[0]
    command = [python, "-I", "-c", PROGRAMS[engine], uri, QUESTIONS[engine]]
    stderr = ""
    for left in reversed(range(1 if runner.check_mode else TRIES)):
        try:
            status, stdout, stderr = runner.run_command(
                command,
                environ_update={"PGPASSFILE": passfile},
            )
        except OSError as error:
            status, stdout, stderr = 1, "", str(error)
        if status == 0:
            return int(stdout)
        if left:
            sleep(PAUSE_S)
    if runner.check_mode:
        return USUAL
    raise PoolsError(
        f"The database could not be asked how many connections it has: {stderr.strip()}. "
        "Run this again when it answers."
    )


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """The task `flowstead_pools`."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task.

        Args:
            tmp: unused; Ansible passes it.
            task_vars: the host's variables.

        Returns:
            The result, as the module's documentation has it.

        Raises:
            AnsibleActionFail: the database does not say how many connections it has.

        """
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(OPTIONS)
        try:
            connections = args["connections"] or (
                available(self, args["python"], args["uri"], args["passfile"]) - KEPT_BACK
            )
        except PoolsError as failed:
            raise AnsibleActionFail(str(failed)) from failed
        wanted = Pools(size=args["size"], overflow=args["overflow"], requests=args["requests"])
        return {"changed": False} | asdict(pools(connections // args["servers"], args["workers"], wanted))

    @property
    def check_mode(self) -> bool:
        """Whether there is nothing to change."""
        return bool(self._task.check_mode)

    def run_command(
        self, args: list[str], *, environ_update: dict[str, str] | None = None
    ) -> tuple[int, str, str]:
        """Run a command on the host; a module would take three times as long.

        Raises:
            FileNotFoundError: the host has no such program.

        """
        variables = [f"{name}={value}" for name, value in (environ_update or {}).items()]
        # With something to read it has no terminal, on which its errors would stand among the answer
        said = self._low_level_execute_command(shlex.join(["env", *variables, *args]), in_data=b"\n")
        if said["rc"] == NOT_FOUND:
            raise FileNotFoundError(2, "No such file or directory", args[0])
        return said["rc"], said["stdout"], said["stderr"]
