"""Run SQL as the owner role; runs on the host as MLflow's user, with the owner's password file.

Arguments: the database's host name, its port, the database, the SQL.
"""

import sys

import psycopg2

host, port, database, sql = sys.argv[1:]
connection = psycopg2.connect(
    host=host,
    port=port,
    user="mlflow_owner",
    dbname=database,
    sslmode="verify-full",
    sslrootcert="/etc/flowstead/rds-ca.pem",
)
with connection, connection.cursor() as cursor:
    cursor.execute(sql)
