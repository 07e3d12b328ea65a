"""Everything real that one sandbox has: the one place where its parts are put together."""

from __future__ import annotations

import logging
from typing import Any

from sandbox import account
from sandbox.files import Files
from sandbox.mapping.clusters import Clusters
from sandbox.mapping.databases import Databases
from sandbox.mapping.hosts import Hosts
from sandbox.mapping.images import Images
from sandbox.mapping.lifecycle_policies import LifecyclePolicies
from sandbox.mapping.networks import Networks
from sandbox.mapping.public_names import PublicNames
from sandbox.mapping.registry import Registry
from sandbox.mapping.topology import interfaces
from sandbox.mapping.volumes import Volumes
from sandbox.real.certificates import Authority
from sandbox.real.registry import Registry as RealRegistry
from sandbox.real.site import PUBLIC, Site
from sandbox.tls import Certificates
from sandbox.web import Application, HttpRequest

log = logging.getLogger(__name__)

REGISTRY_PORT = 4568


class Infrastructure:
    """The real things of one sandbox.

    Args:
        site: its piece of the machine's network.
        files: its files.
        authority: signs the certificates of databases.
        certificates: makes the listeners' TLS contexts.
    """

    def __init__(self, site: Site, files: Files, authority: Authority, certificates: Certificates) -> None:
        self.site = site
        self.files = files
        self._api: Application | None = None
        self.networks = Networks(site, certificates, self._answer, authority.ca_pem_path.read_bytes)
        self.images = Images(files.clone, authority)
        self.hosts = Hosts(site, self.networks, self.images)
        self.volumes = Volumes(site, self.hosts)
        self.lifecycle_policies = LifecyclePolicies(self.volumes)
        names = PublicNames(site)
        self.databases = Databases(site, self.networks, authority, names)
        self.clusters = Clusters(site, self.networks, authority, names)
        self.registry = Registry(RealRegistry(site), f"{site.gateway}:{REGISTRY_PORT}")

    def public_addresses(self) -> list[str]:
        """List the addresses that stand for public ones."""
        return [f"{self.site.gateway.rpartition('.')[0]}.{last}" for last in PUBLIC]

    def serve_api_with(self, api: Application) -> None:
        """Name what answers AWS calls that come from hosts."""
        self._api = api

    def _answer(self, request: HttpRequest) -> Any:
        return self._api(request) if self._api is not None else None

    def describe_source(self, request: HttpRequest) -> str:
        """Name who sent a request: ``controller``, or an instance's id."""
        if not request.origin:
            return "controller"
        with account.lock:
            for region in account.ec2_regions():
                for nic in interfaces(account.ec2(region), request.origin):
                    if nic.private_ip_address == request.peer and nic.instance is not None:
                        return str(nic.instance.id)
        return request.peer

    def status(self) -> dict[str, Any]:
        """List what runs."""
        return {
            "networks": self.networks.status(),
            "instances": self.hosts.status(),
            "databases": self.databases.status(),
        }

    def night(self) -> dict[str, Any]:
        """Let a night pass; says which snapshots it began and which it removed."""
        return self.lifecycle_policies.night()

    def close(self) -> None:
        """Remove everything."""
        self.hosts.close()
        self.clusters.close()
        self.databases.close()
        self.networks.close()
        self.registry.real.close()
        self.images.prune()
