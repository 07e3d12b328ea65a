#!/usr/bin/python
"""Module `flowstead_pools`: how many connections to the database a worker of MLflow may keep and open."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: flowstead_pools
short_description: Choose how many connections to the database a worker of MLflow may have
description:
  - Asks PostgreSQL how many connections it has for users, where no number is given. There is no other way
    to know what is reserved. The password is in libpq's own file.
  - Changes nothing.
options:
  uri:
    description: The database, without a password.
    type: str
    required: true
  passfile:
    description: libpq's password file.
    type: path
    required: true
  connections:
    description: Connections that all releases together may take; 0 means those of the database, less some.
    type: int
    default: 0
  workers:
    description: Worker processes of a release.
    type: int
    required: true
  size:
    description: Connections that each of a worker's pools keeps open; 0 means chosen here.
    type: int
    default: 0
  overflow:
    description: Connections that each opens on top under load; 0 means chosen here.
    type: int
    default: 0
  requests:
    description: Requests that a worker works on at a time, where the connections are enough.
    type: int
    required: true
attributes:
  check_mode:
    support: full
    description: On a new host, which has no password yet, a usual number is taken.
author:
  - The Flowstead authors
"""

EXAMPLES = r"""
- name: The server's connections are chosen
  flowstead_pools:
    uri: postgresql://mlflow_application@database.example.com:5432/mlflow?sslmode=verify-full
    passfile: /run/flowstead/pgpass
    workers: 2
    requests: 4
  register: chosen
"""

RETURN = r"""
size:
  description: Connections that each pool keeps open.
  returned: success
  type: int
overflow:
  description: Connections that each opens on top.
  returned: success
  type: int
requests:
  description: Requests that a worker works on at a time.
  returned: success
  type: int
"""

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
QUESTION = """
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
- coalesce(current_setting('reserved_connections', true)::int, 0)
- coalesce(current_setting('rds.rds_superuser_reserved_connections', true)::int, 0)
"""


class PoolsError(Exception):
    """What is wrong, as a sentence."""


class Runner(Protocol):
    """What of AnsibleModule is needed."""

    check_mode: bool

    def run_command(
        self, args: list[str], *, environ_update: dict[str, str], handle_exceptions: bool
    ) -> tuple[int, str, str]:
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


def available(runner: Runner, uri: str, passfile: str, sleep: Callable[[float], None] = time.sleep) -> int:
    """Return how many connections the database has for users.

    Args:
        runner: what runs commands; says whether this is check mode.
        uri: the database.
        passfile: libpq's password file.
        sleep: what waits between the tries: the database may be restarting.

    Raises:
        PoolsError: it does not answer.

    """
    command = ["psql", "--no-psqlrc", "--tuples-only", "--no-align", f"--command={QUESTION}", uri]
    stderr = ""
    for left in reversed(range(1 if runner.check_mode else TRIES)):
        try:
            status, stdout, stderr = runner.run_command(
                command, environ_update={"PGPASSFILE": passfile}, handle_exceptions=False
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


def main() -> None:
    """Run the task."""
    module = AnsibleModule(
        argument_spec={
            "uri": {"type": "str", "required": True},
            "passfile": {"type": "path", "required": True},
            "connections": {"type": "int", "default": 0},
            "workers": {"type": "int", "required": True},
            "size": {"type": "int", "default": 0},
            "overflow": {"type": "int", "default": 0},
            "requests": {"type": "int", "required": True},
        },
        supports_check_mode=True,
    )
    given: dict[str, Any] = module.params
    try:
        connections = given["connections"] or available(module, given["uri"], given["passfile"]) - KEPT_BACK
    except PoolsError as error:
        module.fail_json(msg=str(error))
    wanted = Pools(size=given["size"], overflow=given["overflow"], requests=given["requests"])
    module.exit_json(changed=False, **asdict(pools(connections, given["workers"], wanted)))


if __name__ == "__main__":
    main()
