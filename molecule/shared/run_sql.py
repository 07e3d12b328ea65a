"""Run SQL in PostgreSQL; runs on the host with the password file that PGPASSFILE names.

Arguments: user, host name, port, database, CA file, SQL. Prints the rows as JSON; a refusal is the error.
"""

import json
import sys

import psycopg2

user, host, port, database, ca_file, sql = sys.argv[1:]
try:
    connection = psycopg2.connect(
        host=host, port=port, user=user, dbname=database, sslmode="verify-full", sslrootcert=ca_file
    )
    with connection, connection.cursor() as cursor:
        cursor.execute(sql)
        print(json.dumps(cursor.fetchall() if cursor.description else []))
except psycopg2.Error as error:
    sys.exit(" ".join(str(error).split()))
