"""Action plugin `flowstead_certificate`: signs, with a key that never leaves this machine's memory.

The module of the same name, which has the documentation, looks and writes on the host.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import shlex
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

OPTIONS: dict[str, dict[str, Any]] = {
    "names": {"type": "list", "elements": "str", "required": True},
    "days": {"type": "int", "required": True},
    "renew_days": {"type": "int", "required": True},
    "count": {"type": "int", "required": True},
    "key": {"type": "str", "required": True},
    "certificate": {"type": "str", "required": True},
    "authority": {"type": "str", "required": True},
    "authority_file": {"type": "str", "required": True},
    "authority_secret_arn": {"type": "str", "required": True},
    "region": {"type": "str", "required": True},
    "take": {"type": "str", "required": True},
}
DAY = dt.timedelta(days=1)
# Of the key, of what is shown, and of the authority
PERMISSIONS = ["600 root root", "644 root root", "644 root root"]
# The clocks of clients differ
EARLY = dt.timedelta(hours=1)
# The longest common name (RFC 5280, appendix A.1)
COMMON_NAME_CHARACTERS = 64


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """The task `flowstead_certificate`."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task.

        Args:
            tmp: unused; Ansible passes it.
            task_vars: the host's variables.

        Returns:
            The module's result, without anything secret.

        Raises:
            AnsibleActionFail: the authority's certificate or key could not be read.

        """
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(OPTIONS)
        found = self._find_needle("files", args["authority_file"])
        authority = Path(self._loader.get_real_file(found)).read_text(encoding="utf-8")
        step, last = args["days"] - args["renew_days"], args["count"] - 1
        places = "key", "certificate", "authority", "count", "take"
        sent = {name: args[name] for name in places} | {
            # With half the time left that the next one needs: two runs never both find it just so
            "shown_s": int(args["renew_days"] * DAY / dt.timedelta(seconds=2)),
            "last_s": int((last * step + args["days"]) * DAY / dt.timedelta(seconds=2)),
            "authority_text": authority,
        }
        if self._is_good(sent):
            return {"changed": False}
        result: dict[str, Any] = self._execute_module(module_args=sent, task_vars=task_vars)
        if result.get("failed") or result.get("is_good") or self._task.check_mode:
            return result
        certificates = issue(
            public_key=result["public_key"],
            authority=authority,
            authority_key=read_key(args["region"], args["authority_secret_arn"]),
            names=args["names"],
            days=args["days"],
            step_days=step,
            count=args["count"],
        )
        taken: dict[str, Any] = self._execute_module(
            module_args=sent | {"certificates": certificates}, task_vars=task_vars
        )
        return taken

    def _is_good(self, sent: dict[str, Any]) -> bool:
        """Look whether there is anything to do; a module would take three times as long to find that out."""
        # With something to read it has no terminal, on which errors would stand among the answer
        said = self._low_level_execute_command(look(sent), in_data=b"\n")
        return bool(said["rc"] == 0 and said["stdout"].splitlines() == PERMISSIONS)


def look(sent: dict[str, Any]) -> str:
    """Return the command that succeeds where all is good, and says the permissions."""
    shown, key, authority = sent["certificate"], sent["key"], sent["authority"]
    last = f"{shown.removesuffix('.pem')}/{sent['count'] - 1}.pem"
    questions = (
        ["stat", "--format=%a %U %G", key, shown, authority],
        ["openssl", "x509", "-in", shown, "-noout", "-checkend", str(sent["shown_s"])],
        ["openssl", "x509", "-in", last, "-noout", "-checkend", str(sent["last_s"])],
        ["openssl", "verify", "-CAfile", authority, shown],
    )
    public = (
        ["openssl", "x509", "-in", shown, "-noout", "-pubkey"],
        ["openssl", "pkey", "-in", key, "-pubout"],
    )
    same = " = ".join(f'"$({shlex.join(command)})"' for command in public)
    first, *others = map(shlex.join, questions)
    return " && ".join([first, *(f"{one} >&2" for one in others), f"test {same}"])


def read_key(region: str, arn: str) -> bytes:
    """Return the authority's key, as PEM.

    Raises:
        AnsibleActionFail: the secret cannot be read, or holds no key.

    """
    try:
        client = boto3.session.Session().client("secretsmanager", region_name=region)
        value = json.loads(client.get_secret_value(SecretId=arn)["SecretString"])
        return str(value["private_key_pem"]).encode()
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
        raise AnsibleActionFail(
            f"The authority's key {arn} could not be read: {error}. Use the credentials that provision.py "
            "was run with, or run provision.py if the secret is gone."
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise AnsibleActionFail(
            f"The secret {arn} is not JSON with the key private_key_pem: run provision.py."
        ) from error


def alternative(name: str) -> x509.GeneralName:
    """Return a name or an address in the form of a certificate."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def issue(
    *,
    public_key: str,
    authority: str,
    authority_key: bytes,
    names: list[str],
    days: int,
    step_days: int,
    count: int,
    now: dt.datetime | None = None,
) -> list[str]:
    """Return certificates for a server, one for now and the others each for the time after the one before.

    Args:
        public_key: the server's, as PEM.
        authority: the authority's certificate, as PEM.
        authority_key: its private key, as PEM.
        names: names and addresses of the server.
        days: how long each is valid.
        step_days: how long after the beginning of one the next begins.
        count: how many.
        now: the time; the clock's by default.

    """
    issuer = x509.load_pem_x509_certificate(authority.encode())
    signer: Any = serialization.load_pem_private_key(authority_key, password=None)
    if signer.public_key() != issuer.public_key():
        raise AnsibleActionFail("The authority's key is not that of its certificate: run provision.py.")
    key: Any = serialization.load_pem_public_key(public_key.encode())
    begins = now or dt.datetime.now(dt.UTC)
    usages = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    certificates = []
    for number in range(count):
        start = begins + number * step_days * DAY
        certificate = (
            x509.CertificateBuilder()
            .subject_name(
                x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:COMMON_NAME_CHARACTERS])])
            )
            .issuer_name(issuer.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start if number else start - EARLY)
            .not_valid_after(start + days * DAY)
            .add_extension(x509.SubjectAlternativeName(map(alternative, names)), critical=False)
            .add_extension(x509.KeyUsage(digital_signature=True, **usages), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
            )
            .sign(signer, hashes.SHA256())
        )
        certificates.append(certificate.public_bytes(serialization.Encoding.PEM).decode())
    return certificates
