"""Try what the serving role may and may not do; runs on the host as MLflow's user, with its password file.

Arguments: the database's host name, its port. Prints JSON: {what was tried: "" or the server's words}.
"""

import json
import sys

import psycopg2

HOST, PORT = sys.argv[1:3]
TLS = {"sslmode": "verify-full", "sslrootcert": "/etc/flowstead/rds-ca.pem"}
ATTEMPTS = {
    "create": "CREATE TABLE verify_forbidden (i int)",
    "insert": "INSERT INTO verify (text) VALUES ('a run')",
    "read": "SELECT * FROM verify",
    "change": "UPDATE verify SET text = 'b'",
    "delete": "DELETE FROM verify",
    "truncate": "TRUNCATE verify",
    "alter": "ALTER TABLE verify ADD more int",
    "drop": "DROP TABLE verify",
    "role": "CREATE ROLE verify_forbidden",
}


def attempt(sql: str, database: str = "mlflow", **options: str) -> str:
    """Return the server's refusal, empty when it obeyed."""
    try:
        connection = psycopg2.connect(
            host=HOST, port=PORT, user="mlflow_application", dbname=database, **(TLS | options)
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(sql)
        connection.close()
    except psycopg2.Error as error:
        return " ".join(str(error).split())
    return ""


answers = {name: attempt(sql) for name, sql in ATTEMPTS.items()}
answers["second database"] = attempt("SELECT 1", "mlflow_auth")
answers["rehearsal"] = attempt("INSERT INTO verify VALUES (1)", "mlflow_rehearsal")
answers["second rehearsal"] = attempt("SELECT * FROM verify", "mlflow_auth_rehearsal")
# A division by zero when somebody else could come in, too
answers["everybody"] = attempt(
    "SELECT 1 / (NOT has_database_privilege('public', current_database(), 'CONNECT'))::int"
)
answers["without TLS"] = attempt("SELECT 1", sslmode="disable")
print(json.dumps(answers))
