"""Action plugin `flowstead_databases`: MLflow's databases, a role that migrates and a role that serves.

Runs on the controller. One SSH tunnel through the host carries every SQL connection; for localhost there is
none. The database's certificate is checked in full. The passwords are read from Secrets Manager with the
operator's AWS credentials and go straight into the connections: never into a variable, an argument, a diff,
a fact or a log. The server is sent SCRAM verifiers only. The master's secret is read only when a statement
needs the master.

Arguments: region, endpoint, port, ca_file (on the host), master_secret_arn, owner_secret_arn,
application_secret_arn, databases (list), maintenance_database, engine (postgresql or mysql). Returns
`changed`, `statements` (those that were, or in check mode would be, run) and `diff`. Needs PostgreSQL 15 or
later: there the owner of a database owns its schema `public` too. MySQL is sent the passwords themselves,
under TLS.
"""

from __future__ import annotations

import importlib.util
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

import boto3
import psycopg2
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

# Ansible gives a role's plugins no way to import their neighbours; a collection has this file by a link
PACKAGE = "flowstead_database_access"
if PACKAGE not in sys.modules:
    _directory = Path(__file__).resolve().parent.parent / "plugin_utils"
    _spec = importlib.util.spec_from_file_location(
        PACKAGE, _directory / "__init__.py", submodule_search_locations=[str(_directory)]
    )
    if _spec is None or _spec.loader is None:
        raise ImportError(f"{_directory} is missing: the role is not complete")
    sys.modules[PACKAGE] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[PACKAGE])

from flowstead_database_access.convergence import Convergence, Desired  # noqa: E402 - it is found from here on
from flowstead_database_access.errors import DatabaseAccessError, one_line  # noqa: E402
from flowstead_database_access.logins import read_login  # noqa: E402
from flowstead_database_access.server import Server  # noqa: E402
from flowstead_database_access.tunnel import no_tunnel, tunnel  # noqa: E402

NOT_LET_IN = (
    ". Or this machine is in none of the networks of database.access_cidrs: python provision.py lets it in"
)
TEXT_ARGUMENTS = (
    "region",
    "endpoint",
    "ca_file",
    "master_secret_arn",
    "owner_secret_arn",
    "application_secret_arn",
    "maintenance_database",
)


class ActionModule(ActionBase):
    """The task `flowstead_databases`."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task; the result says which statements were, or would be, run."""
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(
            {name: {"type": "str", "required": True} for name in TEXT_ARGUMENTS}
            | {
                "port": {"type": "int", "required": True},
                "engine": {"type": "str", "choices": ["postgresql", "mysql"], "default": "postgresql"},
                "databases": {"type": "list", "elements": "str", "required": True},
            }
        )
        if self._connection.transport not in {"ssh", "local"}:
            raise AnsibleActionFail(
                "The databases are reached through the host's SSH connection (ansible_connection: ssh), or "
                "from this machine (local)."
            )
        try:
            return self._converge(args)
        except DatabaseAccessError as error:
            step = NOT_LET_IN if self._connection.transport == "local" else ""
            raise AnsibleActionFail(f"{error}{step}") from error
        except psycopg2.Error as error:
            raise AnsibleActionFail(
                f"The database server {args['endpoint']} refused: {one_line(error)}"
            ) from error

    def _converge(self, args: dict[str, Any]) -> dict[str, Any]:
        where_to = args["endpoint"], args["port"]
        is_here = self._connection.transport == "local"
        # ssh connects while the certificates and the secrets are fetched
        with no_tunnel(*where_to) if is_here else tunnel(self._connection.get_option, *where_to) as opened:
            # A module would take four times as long
            answer = self._low_level_execute_command(f"cat {shlex.quote(args['ca_file'])}", in_data=b"\n")
            if answer["rc"] != 0:
                if self._task.check_mode:
                    message = f"{args['ca_file']} is not on the host yet: not looked at"
                    return {"changed": True, "statements": [], "msg": message}
                raise AnsibleActionFail(
                    f"The database's CA certificates could not be read: {answer['stderr'].strip()}"
                )
            secrets = boto3.session.Session().client("secretsmanager", region_name=args["region"])
            desired = Desired(
                databases=tuple(args["databases"]),
                owner=read_login(secrets, args["owner_secret_arn"]),
                application=read_login(secrets, args["application_secret_arn"]),
            )
            with tempfile.NamedTemporaryFile(prefix="flowstead-ca-") as ca:
                ca.write(answer["stdout"].encode())
                ca.flush()
                where = {"endpoint": args["endpoint"], "at": opened(), "ca_path": Path(ca.name)}
                is_checked = self._task.check_mode
                convergence: Any
                if args["engine"] == "mysql":
                    # Its driver is only needed here.
                    from flowstead_database_access import mysql  # noqa: PLC0415

                    convergence = mysql.MysqlConvergence(
                        mysql.MysqlServer(**where), desired, check=is_checked
                    )
                else:
                    maintenance = args["maintenance_database"]
                    convergence = Convergence(
                        Server(**where), desired, maintenance_database=maintenance, check=is_checked
                    )
                convergence.run(lambda: read_login(secrets, args["master_secret_arn"]))
        shown = [f"{database}: {statement.sql}" for database, statement in convergence.statements]
        diff = {"before": "", "after": "".join(f"{line}\n" for line in shown)} if shown else {}
        return {"changed": bool(shown), "statements": shown, "diff": diff}
