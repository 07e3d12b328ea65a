"""Action plugin `flowstead_own_certificate`: refuses a certificate that clients would refuse.

The module of the same name has the documentation.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

OPTIONS: dict[str, dict[str, Any]] = {
    "certificate": {"type": "path", "required": True},
    "key": {"type": "path", "required": True},
    "authority": {"type": "path", "default": ""},
    "names": {"type": "list", "elements": "str", "required": True},
}
# It is told the chain, the authority or an empty text, and the names; it tells what OpenSSL says of each name
# that is refused. As strict as Python 3.13, which asks for more than OpenSSL by itself.
ASK = """
import ipaddress, json, os, subprocess, sys, tempfile
asked = json.load(sys.stdin)
def is_address(name):
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return False
with tempfile.TemporaryDirectory() as place:
    chain, authority = os.path.join(place, "chain"), os.path.join(place, "authority")
    open(chain, "w").write(asked["chain"])
    open(authority, "w").write(asked["authority"])
    trust = ["-no-CApath", "-no-CAstore", "-CAfile", authority] if asked["authority"] else []
    for name in asked["names"]:
        question = ["-verify_ip" if is_address(name) else "-verify_hostname", name]
        files = [*trust, "-untrusted", chain, chain]
        answer = subprocess.run(
            ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", *question, *files],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
        if answer.returncode != 0:
            lines = answer.stdout.splitlines()
            print(name + ": " + "\\n".join([line for line in lines if line.startswith("error ")] or lines))
"""


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """The task `flowstead_own_certificate`."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task.

        Args:
            tmp: unused; Ansible passes it.
            task_vars: unused; Ansible passes them.

        Returns:
            The result: nothing changes.

        Raises:
            AnsibleActionFail: the files are not a certificate and its key, or clients would refuse it.

        """
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(OPTIONS)
        chain, key = self._read(args["certificate"]), self._read(args["key"])
        authority = self._read(args["authority"]) if args["authority"] else b""
        try:
            certificate, *_ = x509.load_pem_x509_certificates(chain)
            is_pair = load_pem_private_key(key, None).public_key() == certificate.public_key()
        except (TypeError, ValueError) as error:
            raise AnsibleActionFail(
                f"{args['certificate']} and {args['key']} must be a certificate and its key without a "
                f"password, both in PEM: {error}"
            ) from error
        if not is_pair:
            raise AnsibleActionFail(
                f"{args['key']} is not the key of the first certificate in {args['certificate']}: give the "
                "pair that belongs together, the server's certificate before the intermediate ones."
            )
        if refusals := self._ask(chain.decode(), authority.decode(), args["names"]):
            raise AnsibleActionFail(_complaint(args, refusals))
        return result | {"changed": False}

    def _read(self, path: str) -> bytes:
        """Return what a file here contains, decrypted if ansible-vault encrypted it."""
        return Path(self._loader.get_real_file(path)).read_bytes()

    def _ask(self, chain: str, authority: str, names: list[str]) -> str:
        """Ask the host what its OpenSSL says of a chain; empty: nothing against it."""
        asked = json.dumps({"chain": chain, "authority": authority, "names": names})
        command = shlex.join(["python3", "-I", "-c", ASK])
        said = self._low_level_execute_command(command, in_data=asked.encode())
        if said["rc"] != 0:
            raise AnsibleActionFail(
                f"The host could not check the certificate: {said['stderr'].strip()[-500:]}"
            )
        return str(said["stdout"]).strip()


def _complaint(args: dict[str, Any], refusals: str) -> str:
    """Say what clients would refuse, and what would be right."""
    trust = (
        f"Their authority must be the one in gateway_certificate_ca, {args['authority']}."
        if args["authority"]
        else "Where their authority is not one that systems trust, name the file with its certificate in "
        "gateway_certificate_ca."
    )
    return (
        f"Clients would refuse {args['certificate']}. OpenSSL says (at depth 0 is the server's, at 1 the one "
        f"that signed that):\n{refusals}\nThe file must hold the server's certificate, for every name in "
        f"tracking_server_names, and after it the intermediate ones, all valid today.\n{trust}"
    )
