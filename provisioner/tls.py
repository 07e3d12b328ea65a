"""The deployment's own certificate authority: made once, kept in Secrets Manager, trusted by clients."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

# Long enough that no client loses its trust by surprise; the certificates that it signs are short.
AUTHORITY_DAYS = 3650


@dataclass(frozen=True)
class Authority:
    """A certificate authority.

    Args:
        certificate_pem: its certificate; clients trust it.
        private_key_pem: its key (PKCS 8, not encrypted); secret.

    """

    certificate_pem: str
    private_key_pem: str


def make_authority(deployment: str) -> Authority:
    """Make a certificate authority that signs for this deployment's gateway and for nothing below it.

    Args:
        deployment: the deployment's name; stands in the subject.

    Returns:
        The authority, EC P-256, valid for ten years.

    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Flowstead"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{deployment} authority"),
        ]
    )
    # An hour back: clocks of clients differ.
    start = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Authority(certificate.public_bytes(pem).decode(), private.decode())
