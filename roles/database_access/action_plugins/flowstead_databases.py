"""Action plugin `flowstead_databases`: MLflow's databases, a role that migrates and a role that serves.

Runs on the controller. One SSH tunnel through the host carries every SQL connection, with the database's
certificate checked in full. The passwords are read from Secrets Manager with the operator's AWS credentials
and go straight into the connections: never into a variable, an argument, a diff, a fact or a log. The server
is sent SCRAM verifiers only. The master's secret is read only when a statement needs the master.

Arguments: region, endpoint, port, ca_file (on the host), master_secret_arn, owner_secret_arn,
application_secret_arn, databases (list), maintenance_database. Returns `changed`, `statements` (those that
were, or in check mode would be, run) and `diff`. Needs PostgreSQL 15 or later: there the owner of a database
owns its schema `public` too.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shlex
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import psycopg2
import psycopg2.extensions
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

TUNNEL_TIMEOUT_S = 30
CONNECT_TIMEOUT_S = 15
OLDEST_SERVER = 150000
TABLE_RIGHTS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
SEQUENCE_RIGHTS = frozenset({"SELECT", "USAGE"})
# The attributes that neither role may have, by their column in pg_roles
FORBIDDEN_ATTRIBUTES = {"rolcreatedb": "NOCREATEDB", "rolcreaterole": "NOCREATEROLE"}


# Who may do what on the database, on its schema public, and on what the owner is going to make there
RIGHTS_QUERY = """
SELECT what, CASE grantee WHEN 0 THEN '' ELSE pg_get_userbyid(grantee) END, privilege_type
  FROM (SELECT 'database' AS what, acl.*
          FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) acl
         WHERE datname = current_database()
         UNION ALL
        SELECT 'schema', acl.*
          FROM pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) acl
         WHERE nspname = 'public'
         UNION ALL
        SELECT 'default ' || defaclobjtype::text, acl.*
          FROM pg_default_acl, aclexplode(defaclacl) acl
         WHERE defaclrole = %(owner)s::regrole AND defaclnamespace = to_regnamespace('public')) AS acls
"""
# The owner's tables or sequences, each with the privileges that the application has on it
RELATIONS_QUERY = """
SELECT c.oid::regclass::text,
       coalesce(array_agg(acl.privilege_type) FILTER (WHERE acl.privilege_type IS NOT NULL), '{}')
  FROM pg_class c
  LEFT JOIN LATERAL aclexplode(c.relacl) acl ON acl.grantee = %(application)s::regrole
 WHERE c.relnamespace = to_regnamespace('public') AND c.relowner = %(owner)s::regrole
   AND CASE %(kind)s WHEN 'S' THEN c.relkind = 'S' ELSE c.relkind IN ('r', 'p', 'v', 'm', 'f') END
 GROUP BY c.oid ORDER BY 1
"""
TEXT_ARGUMENTS = (
    "region",
    "endpoint",
    "ca_file",
    "master_secret_arn",
    "owner_secret_arn",
    "application_secret_arn",
    "maintenance_database",
)


@dataclass(frozen=True)
class Login:
    """A user of the database; the password never shows in a representation."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Statement:
    """One SQL statement to run, as text fit to be shown; `password_of`: the login whose password it sets."""

    sql: str
    password_of: Login | None = None


@dataclass(frozen=True)
class Rights:
    """Who may do what on one object: privilege names by grantee; PUBLIC is the empty name."""

    on: str
    held: dict[str, frozenset[str]]

    def corrections(self, grantee: str, wanted: Iterable[str]) -> Iterator[Statement]:
        """Yield the statements that leave the grantee exactly the wanted privileges."""
        name = quoted(grantee) if grantee else "PUBLIC"
        held, wanted = self.held.get(grantee, frozenset()), frozenset(wanted)
        if held - wanted:
            yield Statement(f"REVOKE {', '.join(sorted(held - wanted))} ON {self.on} FROM {name}")
        if wanted - held:
            yield Statement(f"GRANT {', '.join(sorted(wanted - held))} ON {self.on} TO {name}")


def quoted(name: str) -> str:
    """Return an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def role_corrections(role: Login, attributes: dict[str, bool] | None) -> Iterator[Statement]:
    """Yield the statements that make a role right; `attributes` are its columns of pg_roles, if it exists."""
    name = quoted(role.username)
    if attributes is None:
        yield Statement(f"CREATE ROLE {name} LOGIN NOCREATEDB NOCREATEROLE")
        return
    wrong = [word for column, word in FORBIDDEN_ATTRIBUTES.items() if attributes[column]]
    wrong += [] if attributes["rolcanlogin"] else ["LOGIN"]
    if wrong:
        yield Statement(f"ALTER ROLE {name} {' '.join(wrong)}")


def database_corrections(name: str, owner: str, current_owner: str | None) -> Iterator[Statement]:
    """Yield the statements that make a database exist and belong to its owner."""
    if current_owner is None:
        yield Statement(
            f"CREATE DATABASE {quoted(name)} OWNER {quoted(owner)} TEMPLATE template0 ENCODING 'UTF8'"
        )
    elif current_owner != owner:
        yield Statement(f"ALTER DATABASE {quoted(name)} OWNER TO {quoted(owner)}")


def rights_corrections(session: Session, database: str, owner: str, application: str) -> Iterator[Statement]:
    """Yield what the owner has to run so that the application has its rights and no more."""
    if not session.rows("SELECT 1 WHERE to_regnamespace('public') IS NOT NULL"):
        # A restore that broke off between dropping it and making it again
        yield Statement("CREATE SCHEMA public")
    held: dict[str, dict[str, set[str]]] = {}
    for what, grantee, right in session.rows(RIGHTS_QUERY, {"owner": quoted(owner)}):
        held.setdefault(what, {}).setdefault(grantee, set()).add(right)

    def rights(what: str, on: str) -> Rights:
        return Rights(on, {grantee: frozenset(names) for grantee, names in held.get(what, {}).items()})

    of_database = rights("database", f"DATABASE {quoted(database)}")
    yield from of_database.corrections("", ())
    yield from of_database.corrections(application, ("CONNECT",))
    of_schema = rights("schema", "SCHEMA public")
    yield from of_schema.corrections("", ("USAGE",))
    yield from of_schema.corrections(application, ("USAGE",))
    for kind, word, wanted in (("r", "TABLE", TABLE_RIGHTS), ("S", "SEQUENCE", SEQUENCE_RIGHTS)):
        prefix = f"ALTER DEFAULT PRIVILEGES FOR ROLE {quoted(owner)} IN SCHEMA public "
        for statement in rights(f"default {kind}", f"{word}S").corrections(application, wanted):
            yield Statement(prefix + statement.sql)
        # What was there before the default privileges were
        roles = {"owner": quoted(owner), "application": quoted(application), "kind": kind}
        for relation, names in session.rows(RELATIONS_QUERY, roles):
            existing = Rights(f"{word} {relation}", {application: frozenset(names)})
            yield from existing.corrections(application, wanted)


class Session:
    """A connection to one database as one user."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def rows(self, sql: str, values: dict[str, str] | None = None) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall())

    def run(self, statements: Iterable[Statement]) -> None:
        """Run statements one after the other; a password goes as the verifier that the server would store."""
        with self.connection.cursor() as cursor:
            for statement in statements:
                login = statement.password_of
                if login is None:
                    cursor.execute(statement.sql)
                    continue
                verifier = psycopg2.extensions.encrypt_password(
                    login.password, login.username, self.connection, "scram-sha-256"
                )
                cursor.execute(f"ALTER ROLE {quoted(login.username)} PASSWORD %s", (verifier,))


class Server:
    """The PostgreSQL server, at the near end of a tunnel."""

    def __init__(self, *, endpoint: str, local_port: int, ca_path: Path) -> None:
        self.where = {
            "host": endpoint,
            "hostaddr": "127.0.0.1",
            "port": local_port,
            "sslmode": "verify-full",
            "sslrootcert": str(ca_path),
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": "flowstead",
        }

    @contextlib.contextmanager
    def session(self, database: str, login: Login, *, one_by_one: bool = False) -> Iterator[Session]:
        """Log in for the block, which is one transaction; with `one_by_one`, each statement is its own."""
        connection = psycopg2.connect(
            **self.where, dbname=database, user=login.username, password=login.password
        )
        try:
            connection.autocommit = one_by_one
            yield Session(connection)
            if not one_by_one:
                connection.commit()
        finally:
            connection.close()

    def password_is_right(self, database: str, login: Login) -> bool:
        """Tell whether the server takes this password, whatever else stands in the way of the login."""
        try:
            with self.session(database, login):
                return True
        except psycopg2.OperationalError as error:
            text = str(error)
            if "does not exist" in text or "permission denied for database" in text:
                return '"' + login.username + '" does not exist' not in text
            if "password authentication failed" in text or "is not permitted to log in" in text:
                return False
            raise


@dataclass(frozen=True)
class Wish:
    """What there is to be: the databases and the two roles."""

    databases: tuple[str, ...]
    owner: Login
    application: Login

    def server_corrections(self, session: Session, wrong_passwords: Iterable[Login]) -> Iterator[Statement]:
        """Yield the statements, for the master, that make roles, passwords and databases right."""
        columns = ("rolcanlogin", *FORBIDDEN_ATTRIBUTES)
        found = session.rows(f"SELECT rolname, {', '.join(columns)} FROM pg_roles")  # noqa: S608 - constants
        roles = {name: dict(zip(columns, values, strict=True)) for name, *values in found}
        for login in (self.owner, self.application):
            attributes = roles.get(login.username)
            yield from role_corrections(login, attributes)
            if attributes is None or login in wrong_passwords:
                yield Statement(
                    f"ALTER ROLE {quoted(login.username)} PASSWORD '(from its secret)'", password_of=login
                )
        owners = dict(session.rows("SELECT datname, pg_get_userbyid(datdba) FROM pg_database"))
        corrections = [
            statement
            for name in self.databases
            for statement in database_corrections(name, self.owner.username, owners.get(name))
        ]
        if corrections and not self._may_give_away(session, known=self.owner.username in roles):
            # As on RDS: the master is no superuser, and gives a database only to a role that it belongs to
            yield Statement(f"GRANT {quoted(self.owner.username)} TO CURRENT_USER")
        yield from corrections

    def _may_give_away(self, session: Session, *, known: bool) -> bool:
        """Tell whether the session's user belongs to the owner role already."""
        if not known:
            return bool(session.rows("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")[0][0])
        question = "SELECT pg_has_role(current_user, %(owner)s::regrole, 'USAGE')"
        return bool(session.rows(question, {"owner": quoted(self.owner.username)})[0][0])


class Convergence:
    """Brings a server to a wish with the least power that does it, and remembers the statements."""

    def __init__(self, server: Server, wish: Wish, *, maintenance_database: str, check: bool) -> None:
        self.server = server
        self.wish = wish
        self.maintenance_database = maintenance_database
        self.check = check
        self.statements: list[tuple[str, Statement]] = []

    def run(self, read_master: Any) -> None:
        """Find what is missing and run it; `read_master` returns the master's login, if it must."""
        if self._needs_master():
            master = read_master()
            try:
                self._as_master(master)
            except psycopg2.OperationalError as error:
                raise AnsibleActionFail(
                    f"The master user {master.username} cannot use the database server: {one_line(error)}"
                ) from error
        for database in self.wish.databases:
            self._as_owner(database)

    def _needs_master(self) -> bool:
        """Tell whether roles, passwords or databases are wrong, as far as owner and application can see."""
        try:
            for database in self.wish.databases:
                with self.server.session(database, self.wish.owner) as session:
                    if any(self.wish.server_corrections(session, ())):
                        return True
        except psycopg2.OperationalError:
            return True
        return not self.server.password_is_right(self.wish.databases[0], self.wish.application)

    def _as_master(self, master: Login) -> None:
        with self.server.session(self.maintenance_database, master, one_by_one=True) as session:
            if session.connection.server_version < OLDEST_SERVER:
                version = session.connection.server_version // 10000
                raise AnsibleActionFail(
                    f"The database server is PostgreSQL {version}; Flowstead needs 15 or later."
                )
            place = self.maintenance_database
            wrong = [
                login
                for login in (self.wish.owner, self.wish.application)
                if not self.server.password_is_right(place, login)
            ]
            statements = list(self.wish.server_corrections(session, wrong))
            self.statements += [(place, statement) for statement in statements]
            if not self.check:
                session.run(statements)

    def _as_owner(self, database: str) -> None:
        owner, application = self.wish.owner.username, self.wish.application.username
        if self.check and self.statements:
            try:
                with self.server.session(database, self.wish.owner) as session:
                    statements = list(rights_corrections(session, database, owner, application))
            except psycopg2.Error:
                # The database or the owner's password is only going to be made: nobody can look yet
                statements = [
                    Statement("-- what the application's rights lack, seen once the owner can log in")
                ]
            self.statements += [(database, statement) for statement in statements]
            return
        with self.server.session(database, self.wish.owner) as session:
            statements = list(rights_corrections(session, database, owner, application))
            self.statements += [(database, statement) for statement in statements]
            if self.check or not statements:
                return
            session.run(statements)
            left = list(rights_corrections(session, database, owner, application))
            if left:
                raise AnsibleActionFail(
                    f"In the database {database} this has no effect: {'; '.join(one.sql for one in left)}"
                )


def one_line(error: Exception) -> str:
    """Return an error's text in one line."""
    return " ".join(str(error).split())


def read_login(client: Any, arn: str) -> Login:
    """Return the login in a secret."""
    try:
        value = json.loads(client.get_secret_value(SecretId=arn)["SecretString"])
        return Login(value["username"], value["password"])
    except botocore.exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
        raise AnsibleActionFail(
            f"Secrets Manager refused to give {arn} to this machine's AWS credentials ({code}). "
            "Use the credentials that provision.py was run with, or run provision.py if the secret is gone."
        ) from error
    except botocore.exceptions.BotoCoreError as error:
        raise AnsibleActionFail(f"The secret {arn} could not be read: {one_line(error)}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise AnsibleActionFail(
            f"The secret {arn} is not JSON with the keys username and password."
        ) from error


@contextlib.contextmanager
def tunnel(connection: Any, endpoint: str, port: int) -> Iterator[int]:
    """Open a tunnel to the endpoint through the host of an SSH connection; yield its port on 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        local_port = int(probe.getsockname()[1])
    option = connection.get_option
    command = [option("ssh_executable"), "-N", "-L", f"127.0.0.1:{local_port}:{endpoint}:{port}"]
    # Its own connection, which ends with this process; ssh takes the first value it is given, so these win
    for setting in ("ControlMaster=no", "ControlPath=none", "ExitOnForwardFailure=yes", "BatchMode=yes"):
        command += ["-o", setting]
    for arguments in ("ssh_args", "ssh_common_args", "ssh_extra_args"):
        command += shlex.split(option(arguments) or "")
    command += ["-o", f"ConnectTimeout={option('timeout')}"]
    command += ["-p", str(option("port"))] if option("port") else []
    command += ["-i", option("private_key_file")] if option("private_key_file") else []
    command += ["-l", option("remote_user")] if option("remote_user") else []
    command.append(option("host"))
    with (
        tempfile.TemporaryFile() as words,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=words
        ) as process,
    ):
        try:
            deadline = time.monotonic() + TUNNEL_TIMEOUT_S
            while True:
                with (
                    contextlib.suppress(OSError),
                    socket.create_connection(("127.0.0.1", local_port), timeout=1),
                ):
                    break
                if process.poll() is not None or time.monotonic() > deadline:
                    words.seek(0)
                    said = " ".join(words.read().decode(errors="replace").split()) or "ssh said nothing"
                    raise AnsibleActionFail(
                        f"No SSH tunnel to {endpoint}:{port} through {option('host')}: {said}"
                    )
                time.sleep(0.02)
            yield local_port
        finally:
            process.terminate()


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
                "databases": {"type": "list", "elements": "str", "required": True},
            }
        )
        if self._connection.transport != "ssh":
            raise AnsibleActionFail(
                "The databases are reached through the host's SSH connection (ansible_connection: ssh)."
            )
        answer = self._execute_module("ansible.legacy.slurp", {"src": args["ca_file"]}, task_vars=task_vars)
        if answer.get("failed"):
            if self._task.check_mode:
                return {
                    "changed": True,
                    "statements": [],
                    "msg": f"{args['ca_file']} is not on the host yet: not looked at",
                }
            raise AnsibleActionFail(f"The database's CA certificates could not be read: {answer.get('msg')}")
        secrets = boto3.session.Session().client("secretsmanager", region_name=args["region"])
        wish = Wish(
            databases=tuple(args["databases"]),
            owner=read_login(secrets, args["owner_secret_arn"]),
            application=read_login(secrets, args["application_secret_arn"]),
        )
        with (
            tempfile.NamedTemporaryFile(prefix="flowstead-ca-") as ca,
            tunnel(self._connection, args["endpoint"], args["port"]) as local_port,
        ):
            ca.write(base64.b64decode(answer["content"]))
            ca.flush()
            server = Server(endpoint=args["endpoint"], local_port=local_port, ca_path=Path(ca.name))
            convergence = Convergence(
                server, wish, maintenance_database=args["maintenance_database"], check=self._task.check_mode
            )
            try:
                convergence.run(lambda: read_login(secrets, args["master_secret_arn"]))
            except psycopg2.Error as error:
                raise AnsibleActionFail(
                    f"The database server {args['endpoint']} refused: {one_line(error)}"
                ) from error
        shown = [f"{database}: {statement.sql}" for database, statement in convergence.statements]
        diff = {"before": "", "after": "".join(f"{line}\n" for line in shown)} if shown else {}
        return {"changed": bool(shown), "statements": shown, "diff": diff}
