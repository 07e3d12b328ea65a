"""Look up the hosts, and say plainly why they cannot be looked up."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleError
from ansible.plugins.inventory import auto

DOCUMENTATION = """
name: flowstead_hosts
short_description: Looks up the hosts, and says plainly why they cannot be looked up
description:
  - Hands C(*.aws_ec2.yml) files to the inventory plugin that each of them names, amazon.aws.aws_ec2.
  - When that one fails, Ansible tries its other plugins on the file, warns about each, and ends with
    "Completely failed to parse inventory source". Here the run ends with one error, which has the reason.
  - Variables next to it, in C(group_vars), that are not YAML end the run too, with file and line.
  - Where C(any_unparsed_is_failed) is off, a failed lookup is left to Ansible.
  - Each project but the default one is a host of its own at the same address, C(<instance id>.<project>), in
    the groups C(tracking_servers), C(projects) and C(project_<project>), with the variables
    C(tracking_server_project_name), C(tracking_server_host), which is the host that it runs on, and
    C(tracking_server_port), the first of its ports. Which there are, provision.py wrote next to the file.
options: {}
"""

# Linux takes 32768 and up for connections (net.ipv4.ip_local_port_range).
FIRST_PORT, EACH, PORTS = 10000, 4, 5000


class InventoryModule(auto.InventoryModule):  # type: ignore[misc]  # Ansible has no types
    """Reads the inventory files that look hosts up in EC2."""

    NAME = "flowstead_hosts"

    def verify_file(self, path: str) -> bool:
        """Tell whether a file is one of those."""
        return path.endswith((".aws_ec2.yml", ".aws_ec2.yaml")) and bool(super().verify_file(path))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Fill the inventory.

        Raises:
            SystemExit: it could not be filled; the error has been shown. After any other exception Ansible
                tries its next plugin.

        """
        try:
            # Ansible reads them only later, and drops an error's file and line then.
            for variables in sorted(Path(path).parent.glob("group_vars/**/*.yml")):
                loader.load_from_file(str(variables), trusted_as_template=True)
        except AnsibleError as error:
            self.display.error(error)
            sys.exit(1)
        try:
            super().parse(inventory, loader, path, cache=cache)
            add_projects(inventory, projects(loader, Path(path).parent))
        except AnsibleError as error:
            if not constants.INVENTORY_ANY_UNPARSED_IS_FAILED:
                raise
            self.display.error(
                f"The hosts of {path} cannot be looked up: {error}. They are looked up with the AWS "
                "credentials that provision.py uses too: once `python provision.py status` works in this "
                "shell, run this again."
            )
            sys.exit(1)


def projects(loader: Any, directory: Path) -> list[str]:
    """Name the projects that there are but for the default one, which the hosts themselves are."""
    written = directory / "group_vars" / "all" / "provisioned.yml"
    told = loader.load_from_file(str(written)) if written.is_file() else {}
    # What another release has written, check_configuration.yml refuses.
    return [one["name"] for one in told.get("flowstead", {}).get("projects", ())][1:]


def add_projects(inventory: Any, names: list[str]) -> None:
    """Add a host for each project to each that there is, at the same address."""
    # It is there without any, too: playbooks leave it out.
    inventory.add_group("projects")
    ports = {name: port(name) for name in names}
    if len(set(ports.values())) < len(ports):
        raise AnsibleError(f"two of the projects {', '.join(names)} would have the same ports: rename one")
    hosts = inventory.groups["tracking_servers"].get_hosts() if "tracking_servers" in inventory.groups else []
    for name in names:
        own = inventory.add_group(f"project_{name.replace('-', '_')}")
        # What is said of one project counts for more than what is said of all (the default is 1).
        inventory.set_variable(own, "ansible_group_priority", 10)
        for host in hosts:
            alias = f"{host.name}.{name}"
            for group in ("tracking_servers", "projects", own):
                inventory.add_host(alias, group)
            variables = {
                "tracking_server_project_name": name,
                "tracking_server_host": host.name,
                "tracking_server_port": ports[name],
            }
            for variable, value in (host.vars | variables).items():
                inventory.set_variable(alias, variable, value)


def port(name: str) -> int:
    """Give the first of a project's ports, the same for good."""
    return FIRST_PORT + EACH * (int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % PORTS)
