"""The files that provision.py writes for Ansible and for clients: seam 2, nothing secret but the ssh key."""

from __future__ import annotations

import json
import math
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import yaml

from provisioner import files, known_hosts, rendering, ssh_key
from provisioner.aws import Aws
from provisioner.errors import FlowsteadError, UsageError
from provisioner.outputs import Outputs, file_in

# Before the certificate in its file stands which secret it was read from: another secret is another CA.
_written_for = re.compile(r"^# Written by provision\.py.* deployment ([a-z0-9-]+)\.", re.MULTILINE)
# Indented since the variables are one; release 0.1.0 wrote `flowstead_` before each.
_place = re.compile(r"""^(?:  |flowstead_)(account_id|region): ["']?([a-z0-9-]+)["']?$""", re.MULTILINE)
_endpoint = re.compile(r"""^(?:  |flowstead_)endpoint_url: ["']?([^"'\s]+)["']?$""", re.MULTILINE)
_origin = "# CA of Flowstead's deployment "


@dataclass(frozen=True)
class Inventory:
    """The inventory directory of a deployment.

    Args:
        directory: the directory, absolute.
        deployment: the deployment's name.

    """

    directory: Path
    deployment: str

    @property
    def known_hosts(self) -> Path:
        """Pinned host keys."""
        return self.directory / "known_hosts"

    @property
    def ca_file(self) -> Path:
        """The certificate that clients trust."""
        return self.directory / f"{self.deployment}.ca.pem"

    @property
    def serve_here(self) -> Path:
        """What Ansible writes for servers on people's own machines, where there is none of ours."""
        return self.directory / "serve_here"

    @property
    def provisioned(self) -> Path:
        """Variables for Ansible."""
        return file_in(self.directory)

    @property
    def hosts(self) -> Path:
        """Configuration of the dynamic inventory."""
        return self.directory / f"{self.deployment}.aws_ec2.yml"

    @property
    def endpoint(self) -> str:
        """The configured endpoint that the files were written with; empty for AWS's own."""
        found = _endpoint.search(_text(self.provisioned))
        return found[1] if found else ""

    def check_owner(self, account_id: str, region: str) -> None:
        """See that the directory is free or this deployment's: Ansible would mix two of them up.

        Args:
            account_id: the AWS account that is spoken to.
            region: the AWS region.

        Raises:
            UsageError: another deployment is in it, or the one of this name in another account or region.

        """
        written = [(path, _text(path)) for path in [self.provisioned, *self.directory.glob("*.aws_ec2.yml")]]
        for path, text in written:
            owner = _written_for.search(text)
            if owner and owner[1] != self.deployment:
                raise UsageError(
                    f"{path} belongs to the deployment {owner[1]!r}, and Ansible would mix it with "
                    f"{self.deployment!r}.",
                    next_step="Give each deployment a directory of its own: provision.py --inventory PATH "
                    f"and ansible-playbook -i PATH. If {owner[1]!r} is gone, remove the file.",
                )
        self._check_place(account_id, region)

    def _check_place(self, account_id: str, region: str) -> None:
        """See that the files are of this account and region: a name may be used in each."""
        here = {"account_id": account_id, "region": region}
        there = here | dict(_place.findall(_text(self.provisioned)))
        if there == here:
            return
        # The private key is not among them: the other deployment's hosts are lost without it.
        mine = " ".join(str(path) for path in (self.hosts, self.provisioned, self.ca_file) if path.exists())
        raise UsageError(
            f"{self.provisioned} is about {self.deployment!r} in the account {there['account_id']}, "
            f"{there['region']}; you are in {account_id}, {region}, and would lose the way to its hosts.",
            next_step="Give each its own directory: provision.py --inventory PATH and ansible-playbook -i "
            f"PATH. If that one is gone, or was a try-out: rm {mine}",
        )

    def write(self, outputs: Outputs, private_key: Path | None, aws: Aws) -> list[Path]:
        """Write what is not as it should be.

        Args:
            outputs: what the deployment tells.
            private_key: file of the ssh key; None when only the ssh agent has it.
            aws: the AWS client; asked only when the CA's certificate is not here.

        Returns:
            The files that changed.

        Raises:
            FlowsteadError: a file cannot be written, or the CA cannot be read.

        """
        data = outputs.as_data() | {"ca_file": self._as_template(self.ca_file)}
        variables = yaml.safe_dump({"flowstead": data}, sort_keys=False, width=math.inf)
        texts = {
            self.hosts: rendering.render(
                "inventory.aws_ec2.yml.j2", deployment=outputs.deployment, region=outputs.region
            ),
            self.provisioned: rendering.render(
                "provisioned.yml.j2",
                deployment=outputs.deployment,
                variables=variables,
                has_server=outputs.server is not None,
                private_key=json.dumps(self._as_template(private_key)) if private_key else "",
            ),
        }
        changed = [path for path, text in texts.items() if files.write(path, text)]
        return [*changed, self.ca_file] if self.write_ca(outputs, aws) else changed

    def write_ca(self, outputs: Outputs, aws: Aws) -> bool:
        """Write the CA's certificate, unless it is there already.

        Args:
            outputs: what the deployment tells.
            aws: the AWS client; asked only when the certificate is not here.

        Returns:
            True when it was written.

        Raises:
            FlowsteadError: the secret cannot be read, or holds no certificate.

        """
        arn = outputs.ca_secret_arn
        head = f"{_origin}{self.deployment}, from {arn}\n"
        if _text(self.ca_file).startswith(head):
            return False
        pem = secret_value(aws, arn, "certificate_pem")
        return files.write(self.ca_file, head + pem)

    def remove(self) -> None:
        """Remove what was written for a deployment that is gone."""
        for path in (self.hosts, self.provisioned, self.ca_file):
            files.remove(path)
        shutil.rmtree(self.serve_here, ignore_errors=True)
        known_hosts.keep(self.known_hosts, ())
        private = ssh_key.path_of(self.deployment, self.directory)
        files.remove(private)
        files.remove(private.with_name(private.name + ".pub"))
        if private.parent.is_dir() and not any(private.parent.iterdir()):
            shutil.rmtree(private.parent)

    def _as_template(self, path: Path) -> str:
        """Write a path as Ansible fills it in, wherever the inventory directory is moved."""
        if not path.is_relative_to(self.directory):
            return str(path)
        # Plays for localhost read group_vars/all too, and localhost is in no inventory directory.
        inventory = "{{ inventory_dir | default('inventory') }}"
        return f"{inventory}/{path.relative_to(self.directory).as_posix()}"


def secret_value(aws: Aws, secret: str, key: str) -> str:
    """Read one value of a secret.

    Args:
        aws: the AWS client.
        secret: its ARN or name.
        key: which value of its JSON.

    Returns:
        The value.

    Raises:
        FlowsteadError: it cannot be read, or has no such value.

    """
    text = aws.call("secretsmanager", "get_secret_value", SecretId=secret).get("SecretString", "")
    try:
        value = json.loads(text)[key]
    except (ValueError, KeyError, TypeError) as error:
        raise FlowsteadError(
            f"The secret {secret} holds no {key!r}.", next_step="Correct it in Secrets Manager."
        ) from error
    return str(value)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
