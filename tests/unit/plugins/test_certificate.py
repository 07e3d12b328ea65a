"""The task `flowstead_certificate`: the host's key stays there, and certificates follow each other."""

from __future__ import annotations

import datetime as dt
import getpass
import importlib.util
import ipaddress
import itertools
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

PROJECT = Path(__file__).resolve().parents[3]
NAMES = ["mlflow.example.com", "192.0.2.7", "localhost"]
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
DAY = dt.timedelta(days=1)
SIGNS = x509.KeyUsage(
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


class Host:
    """This machine, whose OpenSSL is asked."""

    check_mode = False

    def run_command(self, args: list[str], *, encoding: str | None = "utf-8") -> tuple[int, Any, Any]:
        done = subprocess.run(args, capture_output=True, encoding=encoding, check=False)
        return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def module(load: Any) -> Any:
    return load("flowstead_certificate")


@pytest.fixture(scope="module")
def action() -> Any:
    path = PROJECT / "plugins/action/flowstead_certificate.py"
    spec = importlib.util.spec_from_file_location("flowstead_certificate_action", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def authority() -> tuple[str, bytes]:
    """Certificate and key of a new authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + 3650 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(SIGNS, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM).decode(), pem


class Gateway:
    """A gateway in a directory, with the authority that signs for it."""

    def __init__(self, module: Any, action: Any, tls: Path) -> None:
        self.action = action
        self.host = Host()
        self.authority, self.authority_key = authority()
        self.place = module.Place(
            key=tls / "issued.key",
            certificate=tls / "issued.pem",
            authority=tls / "ca.pem",
            count=3,
            shown_s=30 * 86_400,
            last_s=400 * 86_400,
            owner=getpass.getuser(),
        )
        self.program = tls.parent / "take"
        self.program.write_text(f"#!/bin/sh\ncp {self.place.issued}/0.pem {self.place.certificate}\n")
        self.program.chmod(0o755)

    def issue(self, **how: Any) -> list[str]:
        given = {
            "public_key": self.place.prepare(self.host, self.authority),
            "authority": self.authority,
            "authority_key": self.authority_key,
            "names": NAMES,
            "days": 365,
            "step_days": 305,
            "count": 3,
            "now": NOW,
        }
        return list(self.action.issue(**(given | how)))

    def converge(self) -> None:
        self.place.take(self.host, self.issue(), str(self.program))

    @property
    def is_good(self) -> bool:
        """What the module says on the host, and the command that is tried before one is sent."""
        place = self.place
        sent = {name: str(getattr(place, name)) for name in ("key", "certificate", "authority")}
        sent |= {name: getattr(place, name) for name in ("count", "shown_s", "last_s")}
        done = subprocess.run(self.action.look(sent), shell=True, capture_output=True, text=True, check=False)  # noqa: S602 - as Ansible does
        good = bool(place.is_good(self.host))
        assert (done.returncode == 0) is good, done.stderr
        assert not good or [line.split()[0] for line in done.stdout.splitlines()] == ["600", "644", "644"]
        return good


@pytest.fixture
def gateway(module: Any, action: Any, tmp_path: Path) -> Gateway:
    return Gateway(module, action, tmp_path / "tls")


def test_what_was_issued_is_good_and_stays(gateway: Gateway) -> None:
    assert not gateway.is_good
    gateway.converge()
    assert gateway.is_good
    assert gateway.place.key.stat().st_mode & 0o777 == 0o600
    key = gateway.place.key.read_bytes()
    gateway.converge()
    assert gateway.place.key.read_bytes() == key


def test_certificates_are_for_the_names_and_for_nothing_else(gateway: Gateway) -> None:
    (first, *_) = map(x509.load_pem_x509_certificate, map(str.encode, gateway.issue()))
    names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["mlflow.example.com", "localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("192.0.2.7")]
    assert not first.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    gateway.converge()
    strict = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", NAMES[0]]
    status, _, said = gateway.host.run_command(
        [*strict, "-CAfile", str(gateway.place.authority), str(gateway.place.certificate)]
    )
    assert status == 0, said


def test_each_begins_before_the_one_before_ends(gateway: Gateway) -> None:
    issued = [x509.load_pem_x509_certificate(text.encode()) for text in gateway.issue()]
    assert issued[0].not_valid_before_utc < NOW
    for before, after in itertools.pairwise(issued):
        assert after.not_valid_before_utc == before.not_valid_after_utc - 60 * DAY
    assert len({one.serial_number for one in issued}) == 3


def test_a_long_name_is_cut_where_a_certificate_has_no_room_for_it(gateway: Gateway) -> None:
    long = "a" * 63 + ".example.com"
    (first, *_) = gateway.issue(names=[long])
    assert x509.load_pem_x509_certificate(first.encode()).subject.rfc4514_string() == f"CN={long[:64]}"


@pytest.mark.parametrize(
    "spoilt", ["key", "key of another kind", "authority", "certificate", "last", "soon over"]
)
def test_what_is_not_right_any_more_is_issued_anew(gateway: Gateway, spoilt: str) -> None:
    gateway.converge()
    place = gateway.place
    if spoilt == "key":
        place.key.unlink()
    elif spoilt == "key of another kind":
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", place.key], check=True)
    elif spoilt == "authority":
        gateway.authority, gateway.authority_key = authority()
        place.authority.write_text(gateway.authority)
    elif spoilt == "certificate":
        place.certificate.unlink()
    elif spoilt == "last":
        place.number(2).unlink()
    else:
        place.certificate.write_text(gateway.issue(now=NOW - 340 * DAY)[0])
    assert not gateway.is_good
    gateway.converge()
    assert gateway.is_good
    assert place.has_key(gateway.host)


def test_permissions_are_put_right(gateway: Gateway) -> None:
    gateway.converge()
    place = gateway.place
    assert not place.put_right(check=False)
    place.key.chmod(0o644)
    assert place.put_right(check=True)
    assert place.key.stat().st_mode & 0o777 == 0o644
    assert place.put_right(check=False)
    assert place.key.stat().st_mode & 0o777 == 0o600


def test_a_program_that_takes_none_is_told(gateway: Gateway, module: Any) -> None:
    gateway.program.write_text("#!/bin/sh\necho 'No certificate is valid now.' >&2\nexit 1\n")
    with pytest.raises(module.CertificateError, match="put in place: No certificate is valid now"):
        gateway.converge()


def test_a_key_that_is_not_the_authoritys_signs_nothing(gateway: Gateway) -> None:
    with pytest.raises(AnsibleActionFail, match="is not that of its certificate"):
        gateway.issue(authority_key=authority()[1])


@pytest.mark.parametrize("secret", ["{}", "[]", "no json"])
def test_a_secret_without_a_key_is_named(action: Any, monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    client = SimpleNamespace(get_secret_value=lambda **_: {"SecretString": secret})
    session = SimpleNamespace(Session=lambda: SimpleNamespace(client=lambda *_, **__: client))
    monkeypatch.setattr(action, "boto3", SimpleNamespace(session=session))
    with pytest.raises(AnsibleActionFail, match="arn:ca is not JSON with the key private_key_pem"):
        action.read_key("eu-central-1", "arn:ca")
    client.get_secret_value = lambda **_: {"SecretString": json.dumps({"private_key_pem": "key"})}
    assert action.read_key("eu-central-1", "arn:ca") == b"key"
