"""Values that are made up once, when a secret is created."""

import base64
import secrets
import string
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_LETTERS = string.ascii_letters + string.digits
_CA_DAYS = 3650
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
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Flowstead {deployment} CA")])
        now = datetime.now(UTC)
        public = key.public_key()
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=_CA_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_ca_usage(), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return {
            "certificate_pem": certificate.public_bytes(serialization.Encoding.PEM).decode(),
            "private_key_pem": private.decode(),
        }

    return make


def _ca_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        key_cert_sign=True,
        crl_sign=True,
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
