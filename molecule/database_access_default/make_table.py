"""Make a table as the owner role; runs on the host as MLflow's user, with the owner's password file.

Arguments: the database's host name, its port.
"""

import sys

import psycopg2

connection = psycopg2.connect(
    host=sys.argv[1],
    port=sys.argv[2],
    user="mlflow_owner",
    dbname="mlflow",
    sslmode="verify-full",
    sslrootcert="/etc/flowstead/rds-ca.pem",
)
with connection, connection.cursor() as cursor:
    cursor.execute("DROP TABLE IF EXISTS verify; CREATE TABLE verify (id serial PRIMARY KEY, text text)")
