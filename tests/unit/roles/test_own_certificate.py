"""A certificate of one's own is refused for what clients would refuse it for."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PROJECT = Path(__file__).resolve().parents[3]
NAME = "mlflow.example.com"
ADDRESS = ipaddress.ip_address("192.0.2.7")
NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)
# What is wrong, and words of the answer.
REFUSED = {
    "without its intermediate": "unable to get local issuer certificate",
    "of an authority that systems do not trust": "name the file with its certificate",
    "of another authority": "unable to get local issuer certificate",
    "for another name": "other.example.com: error 62 at 0 depth lookup: hostname mismatch",
    "for clients": "unsuitable certificate purpose",
    "that is over": "certificate has expired",
    "that is yet to come": "certificate is not yet valid",
    "of an authority without key usage": "CA cert does not include key usage extension",
    "with another's key": "is not the key of the first certificate",
}
ACCEPTED = ("as it should be", "for an address", "signed by itself")


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def sign(
    by: Pair | None = None,
    *,
    authority: bool = False,
    key_usage: bool = True,
    name: x509.GeneralName = x509.DNSName(NAME),  # noqa: B008 - never changed
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
    days: tuple[int, int] = (-1, 90),
) -> Pair:
    """Make a certificate; signed by itself unless somebody else is named."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, f"{'authority' if authority else 'server'} {id(key)}")]
    )
    signing = by.key if by else key
    made = (
        x509.CertificateBuilder(by.certificate.subject if by else subject, subject, key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + days[0] * DAY)
        .not_valid_after(NOW + days[1] * DAY)
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False
        )
    )
    if key_usage:
        signs = (authority, authority)
        usage = x509.KeyUsage(not authority, False, False, False, False, *signs, False, False)  # noqa: FBT003
        made = made.add_extension(usage, critical=True)
    if not authority:
        made = made.add_extension(x509.SubjectAlternativeName([name]), critical=False)
        made = made.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    return Pair(made.sign(signing, hashes.SHA256()), key)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the role says of each, in one run; an empty text where it has nothing to say."""
    root = sign(authority=True)
    between = sign(root, authority=True)
    loose = sign(authority=True, key_usage=False)
    by_itself = sign()
    good = sign(between)
    cases = {
        "as it should be": (good, [between], root),
        "for an address": (sign(root, name=x509.IPAddress(ADDRESS)), [], root),
        "signed by itself": (by_itself, [], by_itself),
        "without its intermediate": (good, [], root),
        "of an authority that systems do not trust": (good, [between], None),
        "of another authority": (good, [between], sign(authority=True)),
        "for another name": (good, [between], root),
        "for clients": (sign(root, purpose=ExtendedKeyUsageOID.CLIENT_AUTH), [], root),
        "that is over": (sign(root, days=(-90, -1)), [], root),
        "that is yet to come": (sign(root, days=(1, 90)), [], root),
        "of an authority without key usage": (sign(loose), [], loose),
        "with another's key": (good, [between], root),
    }
    directory = tmp_path_factory.mktemp("certificates")
    hosts = {}
    for number, (case, (server, chain, authority)) in enumerate(cases.items()):
        place = directory / str(number)
        place.mkdir()
        (place / "own.pem").write_text("".join(one.pem for one in (server, *chain)))
        (place / "own.key").write_text((between if case == "with another's key" else server).key_pem)
        if authority:
            (place / "ca.pem").write_text(authority.pem)
        names = {"for an address": [], "for another name": [NAME, "other.example.com"]}.get(case, [NAME])
        hosts[f"case{number}"] = {
            "gateway_certificate": str(place / "own.pem"),
            "gateway_certificate_key": str(place / "own.key"),
            "gateway_certificate_ca": str(place / "ca.pem") if authority else "",
            "gateway_server_names": [str(ADDRESS), "localhost", *names],
        }
    everywhere = {
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
    }
    (directory / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": everywhere}}))
    role = {"name": "gateway", "tasks_from": "check_own_certificate"}
    play = {"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.include_role": role}]}
    (directory / "play.yml").write_text(yaml.safe_dump([play]))
    done = subprocess.run(
        ["ansible-playbook", f"--inventory={directory / 'hosts.yml'}", str(directory / "play.yml")],
        cwd=PROJECT,
        env=os.environ
        | {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_INVENTORY_ENABLED": "yaml"},
        capture_output=True,
        text=True,
        check=False,
    )
    (played,) = json.loads(done.stdout)["plays"]
    said = dict.fromkeys(hosts, "")
    for task in played["tasks"]:
        said |= {host: answer["msg"] for host, answer in task["hosts"].items() if answer.get("failed")}
    return dict(zip(cases, said.values(), strict=True))


@pytest.mark.parametrize("case", REFUSED)
def test_a_certificate_that_clients_would_refuse_is_refused(case: str, answers: dict[str, str]) -> None:
    assert REFUSED[case] in answers[case]


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_certificate_that_clients_accept_is_accepted(case: str, answers: dict[str, str]) -> None:
    assert answers[case] == ""


def test_every_case_is_told_of(answers: dict[str, str]) -> None:
    assert set(answers) == {*REFUSED, *ACCEPTED}
