#!/usr/bin/python
"""Module `flowstead_certificate`: the part of the task of that name which runs on the host."""

from __future__ import annotations

import os
import pwd
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: flowstead_certificate
short_description: Give a host certificates of an authority whose key stays on the controller
description:
  - The host's key is made on the host and stays there. The controller signs, with the authority's key from
    AWS Secrets Manager, which is never written anywhere.
  - Several certificates are issued ahead, each for the time after the one before, so that the host needs
    nobody to take the next one. A program on the host puts the one in place whose time it is.
options:
  names:
    description: Names and addresses that the certificates are for.
    type: list
    elements: str
    required: true
  days:
    description: Days that a certificate is valid.
    type: int
    required: true
  renew_days:
    description: Days before its end that the next one is taken.
    type: int
    required: true
  count:
    description: How many are issued ahead.
    type: int
    required: true
  key:
    description: The host's private key.
    type: path
    required: true
  certificate:
    description: The certificate that is shown. The issued ones are in a directory of its name without ending.
    type: path
    required: true
  authority:
    description: The authority's certificate on the host.
    type: path
    required: true
  authority_file:
    description: The authority's certificate on the controller.
    type: str
    required: true
  authority_secret_arn:
    description: Secret with C(private_key_pem), the authority's key.
    type: str
    required: true
  region:
    description: AWS region of the secret.
    type: str
    required: true
  take:
    description: Program on the host that puts the certificate in place whose time it is.
    type: path
    required: true
attributes:
  check_mode:
    support: full
    description: Issues nothing.
author:
  - The Flowstead authors
"""

EXAMPLES = r"""
- name: The certificates are issued
  flowstead_certificate:
    names: [mlflow.example.com, 192.0.2.7]
    days: 365
    renew_days: 60
    count: 4
    key: /etc/nginx/tls/issued.key
    certificate: /etc/nginx/tls/issued.pem
    authority: /etc/nginx/tls/ca.pem
    authority_file: ca.pem
    authority_secret_arn: arn:aws:secretsmanager:eu-central-1:123456789012:secret:ca
    region: eu-central-1
    take: /usr/local/sbin/flowstead-certificate
"""

RETURN = r"""#"""

# What the DER form of a public key on the curve P-256 begins with (RFC 5480, section 2)
P256 = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")


class CertificateError(Exception):
    """What is wrong, as a sentence."""


class Runner(Protocol):
    """What of AnsibleModule is needed."""

    check_mode: bool

    def run_command(self, args: list[str], *, encoding: str | None = "utf-8") -> tuple[int, Any, Any]:
        """Run a command."""
        ...


@dataclass(frozen=True)
class Place:
    """Where everything is on the host, and for how long it must be good.

    Args:
        key: the private key.
        certificate: the one that is shown.
        authority: the authority's certificate.
        count: how many are issued ahead.
        shown_s: for how many seconds the one that is shown must be valid still.
        last_s: for how many the last of those that were issued.
        owner: whose the files are.

    """

    key: Path
    certificate: Path
    authority: Path
    count: int
    shown_s: int
    last_s: int
    owner: str = "root"

    @property
    def issued(self) -> Path:
        """Directory of those that were issued."""
        return self.certificate.with_suffix("")

    def number(self, number: int) -> Path:
        """Return the file of one of those."""
        return self.issued / f"{number}.pem"

    def is_good(self, runner: Runner) -> bool:
        """Tell whether what is shown is the key's and the authority's, and all are valid long enough."""
        # On a new host there is no program to ask yet either
        if not self.certificate.exists():
            return False
        here, last = str(self.certificate), str(self.number(self.count - 1))
        questions = (
            ["openssl", "x509", "-in", here, "-noout", "-checkend", str(self.shown_s)],
            ["openssl", "x509", "-in", last, "-noout", "-checkend", str(self.last_s)],
            ["openssl", "verify", "-CAfile", str(self.authority), here],
        )
        if any(runner.run_command(question)[0] for question in questions):
            return False
        status, shown, _ = runner.run_command(["openssl", "x509", "-in", here, "-noout", "-pubkey"])
        return status == 0 and shown == self.public_key(runner)

    def public_key(self, runner: Runner) -> str:
        """Return the key's public half, an empty text where there is no key."""
        status, stdout, _ = runner.run_command(["openssl", "pkey", "-in", str(self.key), "-pubout"])
        return "" if status else str(stdout)

    def has_key(self, runner: Runner) -> bool:
        """Tell whether there is a key of the kind that is wanted."""
        question = ["openssl", "pkey", "-in", str(self.key), "-pubout", "-outform", "DER"]
        status, stdout, _ = runner.run_command(question, encoding=None)
        return status == 0 and bytes(stdout).startswith(P256)

    def make_key(self, runner: Runner) -> None:
        """Make the key; nobody else may ever read it.

        Raises:
            CertificateError: OpenSSL makes none.

        """
        number, draft = tempfile.mkstemp(dir=self.key.parent, prefix=".key.")
        os.close(number)
        status, _, stderr = runner.run_command(
            ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", draft]
        )
        if status:
            Path(draft).unlink()
            raise CertificateError(f"The key {self.key} could not be made: {str(stderr).strip()}.")
        Path(draft).replace(self.key)

    def prepare(self, runner: Runner, authority: str) -> str:
        """Have all that a certificate is issued for, and return the key's public half."""
        make_directory(self.key.parent)
        put(self.authority, authority)
        if not self.has_key(runner):
            self.make_key(runner)
        return self.public_key(runner)

    def put_right(self, *, check: bool) -> bool:
        """Let only root read the key, and all read the certificates; return whether that changed them."""
        wrong = [
            (path, mode)
            for path, mode in ((self.key, 0o600), (self.certificate, 0o644), (self.authority, 0o644))
            if path.exists() and not self.is_right(path, mode)
        ]
        if not check:
            owner = pwd.getpwnam(self.owner)
            for path, mode in wrong:
                os.chown(path, owner.pw_uid, owner.pw_gid)
                path.chmod(mode)
        return bool(wrong)

    def is_right(self, path: Path, mode: int) -> bool:
        """Tell whether a file has its mode and its owner."""
        found, owner = path.stat(), pwd.getpwnam(self.owner)
        return (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (mode, owner.pw_uid, owner.pw_gid)

    def take(self, runner: Runner, certificates: list[str], program: str) -> None:
        """Put the issued certificates next to each other, and the one in place whose time it is.

        Raises:
            CertificateError: the program refused.

        """
        make_directory(self.issued)
        for number, text in enumerate(certificates):
            put(self.number(number), text)
        status, _, stderr = runner.run_command([program])
        if status:
            raise CertificateError(f"No certificate was put in place: {str(stderr).strip()}")


def make_directory(path: Path) -> None:
    """Make a directory that everybody may enter."""
    if not path.is_dir():
        path.mkdir()
        path.chmod(0o755)


def put(path: Path, text: str) -> None:
    """Replace a file as a whole; everybody may read it."""
    number, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(number, "w") as stream:
        stream.write(text)
    Path(draft).chmod(0o644)
    Path(draft).replace(path)


def main() -> None:
    """Run the task."""
    module = AnsibleModule(
        argument_spec={
            "key": {"type": "path", "required": True, "no_log": False},
            "certificate": {"type": "path", "required": True},
            "authority": {"type": "path", "required": True},
            "count": {"type": "int", "required": True},
            "shown_s": {"type": "int", "required": True},
            "last_s": {"type": "int", "required": True},
            "take": {"type": "path", "required": True},
            # From the action plugin: the authority's certificate, then what was issued
            "authority_text": {"type": "str", "required": True},
            "certificates": {"type": "list", "elements": "str"},
        },
        supports_check_mode=True,
    )
    given: dict[str, Any] = module.params
    place = Place(
        key=Path(given["key"]),
        certificate=Path(given["certificate"]),
        authority=Path(given["authority"]),
        count=given["count"],
        shown_s=given["shown_s"],
        last_s=given["last_s"],
    )
    try:
        if given["certificates"]:
            place.take(module, given["certificates"], given["take"])
            place.put_right(check=False)
            module.exit_json(changed=True)
        corrected = place.put_right(check=module.check_mode)
        if place.is_good(module):
            module.exit_json(changed=corrected, is_good=True)
        public_key = "" if module.check_mode else place.prepare(module, given["authority_text"])
    except CertificateError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, is_good=False, public_key=public_key)


if __name__ == "__main__":
    main()
