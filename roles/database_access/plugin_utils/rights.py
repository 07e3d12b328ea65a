"""The application's rights in one database: those it holds, and what the owner runs to set them right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .statements import Rights, Statement, quoted

if TYPE_CHECKING:
    from .server import Session

TABLE_RIGHTS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
SEQUENCE_RIGHTS = frozenset({"SELECT", "USAGE"})

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


def rights_corrections(session: Session, database: str, owner: str, application: str) -> Iterator[Statement]:
    """Yield what the owner has to run so that the application has its rights and no more."""
    if not session.rows("SELECT 1 WHERE to_regnamespace('public') IS NOT NULL"):
        # A restore that was interrupted between dropping it and making it again
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
