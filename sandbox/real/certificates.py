"""The sandbox's certificate authority: for the API, for databases, for names under amazonaws.com."""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.real.locks import exclusive_lock

_AUTHORITY_DAYS = 3650
_CERTIFICATE_DAYS = 397
"""The longest life that clients accept of a server's certificate."""
_RENEW_DAYS = 30


class Authority:
    """A certificate authority kept in a directory; made at first use, good for all sandboxes of a clone.

    Attributes:
        ca_pem_path: its certificate, for clients.
    """

    def __init__(self, directory: Path) -> None:
        """Open the authority in a directory, or make one there."""
        self._directory = directory
        self.ca_pem_path = directory / "ca.pem"
        self._key_path = directory / "ca.key"
        directory.mkdir(parents=True, exist_ok=True)
        # Two sandboxes that start together; images, which are made for longer, lock the directory itself.
        with exclusive_lock(directory.parent):
            if not (self.ca_pem_path.exists() and self._key_path.exists()):
                self._make()
        self._certificate = x509.load_pem_x509_certificate(self.ca_pem_path.read_bytes())
        key = serialization.load_pem_private_key(self._key_path.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{self._key_path} holds another kind of key than this authority makes")
        self._key = key

    def issue(self, names: list[str], ips: list[str] | None = None) -> tuple[Path, Path]:
        """Return the files of a server certificate (with its chain) and its key, made or renewed as needed.

        Args:
            names: DNS names the server answers to; the first is the subject.
            ips: addresses it answers at.
        """
        addresses = ips or []
        stem = hashlib.sha256("\n".join([*names, "", *addresses]).encode()).hexdigest()[:16]
        certificate, key = self._directory / f"{stem}.pem", self._directory / f"{stem}.key"
        with exclusive_lock(self._directory.parent):
            if not (certificate.exists() and key.exists() and _is_fresh(certificate)):
                self._issue(names, addresses, certificate, key)
        return certificate, key

    def _make(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Flowstead sandbox CA")])
        certificate = (
            _dated(_AUTHORITY_DAYS)
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        _write(self._key_path, _pem(key), 0o600)
        _write(self.ca_pem_path, certificate.public_bytes(serialization.Encoding.PEM), 0o644)

    def _issue(self, names: list[str], addresses: list[str], certificate_path: Path, key_path: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = (names + addresses)[0][:64]
        alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        authority_key = self._key.public_key()
        certificate = (
            _dated(_CERTIFICATE_DAYS)
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        _write(key_path, _pem(key), 0o600)
        _write(
            certificate_path,
            certificate.public_bytes(serialization.Encoding.PEM) + self.ca_pem_path.read_bytes(),
            0o644,
        )


def _dated(days: int) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=days))
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _is_fresh(certificate: Path) -> bool:
    expires = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    return expires > dt.datetime.now(dt.UTC) + dt.timedelta(days=_RENEW_DAYS)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file whole or not at all, never readable by more than `mode` says."""
    part = path.with_suffix(f"{path.suffix}.{os.getpid()}")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as opened:
        opened.write(content)
    part.replace(path)
