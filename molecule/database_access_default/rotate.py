"""Put a new password into the secret of the serving role; runs on the controller.

Argument: the secret's ARN.
"""

import json
import secrets
import sys

import boto3

client = boto3.client("secretsmanager")
value = json.loads(client.get_secret_value(SecretId=sys.argv[1])["SecretString"])
value["password"] = secrets.token_urlsafe(24) + ":\\ '\"%"
client.put_secret_value(SecretId=sys.argv[1], SecretString=json.dumps(value))
