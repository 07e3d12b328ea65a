"""Users of the database, with their passwords from Secrets Manager."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import botocore.exceptions

from .errors import DatabaseAccessError, one_line


@dataclass(frozen=True)
class Login:
    """A user of the database; the password never shows in a representation."""

    username: str
    password: str = field(repr=False)


def read_login(client: Any, arn: str) -> Login:
    """Return the login in a secret.

    Args:
        client: boto3's client of Secrets Manager.
        arn: the secret, a JSON object with username and password.

    Raises:
        DatabaseAccessError: the secret cannot be read, or is no login.
    """
    try:
        value = json.loads(client.get_secret_value(SecretId=arn)["SecretString"])
        return Login(value["username"], value["password"])
    except botocore.exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
        raise DatabaseAccessError(
            f"Secrets Manager refused to give {arn} to this machine's AWS credentials ({code}). "
            "Use the credentials that provision.py was run with, or run provision.py if the secret is gone."
        ) from error
    except botocore.exceptions.BotoCoreError as error:
        raise DatabaseAccessError(f"The secret {arn} could not be read: {one_line(error)}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise DatabaseAccessError(
            f"The secret {arn} is not JSON with the keys username and password."
        ) from error
