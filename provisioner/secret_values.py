"""Values that are made up once, when a secret is created."""

import base64
import secrets
import string
from collections.abc import Callable, Mapping

from provisioner.tls import make_authority

_LETTERS = string.ascii_letters + string.digits
_PASSWORD_LENGTH = 24
"""142 bits of the 62 letters and digits, which need no quoting anywhere; MLflow wants 12 characters or more
(mlflow/server/auth, as of 3.17)."""


def password() -> str:
    """Make up a password of letters and digits."""
    return "".join(secrets.choice(_LETTERS) for _ in range(_PASSWORD_LENGTH))


def login(username: str) -> Callable[[], Mapping[str, str]]:
    """Make up the password of a user.

    Args:
        username: who it is for.

    Returns:
        what makes up the secret's value: username and password.

    """
    return lambda: {"username": username, "password": password()}


def server_keys() -> Mapping[str, str]:
    """Make up the keys that MLflow's server signs and encrypts with (the webhook key is a Fernet key)."""
    return {
        "flask_secret_key": secrets.token_hex(32),
        "crypto_kek_passphrase": secrets.token_urlsafe(32),
        "webhook_encryption_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    }


def certificate_authority(deployment: str) -> Callable[[], Mapping[str, str]]:
    """Make a certificate authority that signs the gateway's certificate.

    Args:
        deployment: the deployment's name, a part of the authority's.

    Returns:
        what makes the secret's value: certificate and private key (EC P-256, ten years), both PEM.

    """

    def make() -> Mapping[str, str]:
        authority = make_authority(deployment)
        return {
            "certificate_pem": authority.certificate_pem,
            "private_key_pem": authority.private_key_pem,
        }

    return make
