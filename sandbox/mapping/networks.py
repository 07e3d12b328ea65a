"""Makes VPCs real when something is put into them, and keeps them as the account says."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sandbox import account, checkip
from sandbox.mapping import names, topology
from sandbox.mapping.metadata import Metadata
from sandbox.mapping.topology import Topology
from sandbox.real import firewall
from sandbox.real.commands import RealError
from sandbox.real.dns import Resolver
from sandbox.real.site import Site
from sandbox.real.vpc import API_ADDRESS, METADATA_ADDRESS, RESOLVER_ADDRESS, TRUST_STORE_ADDRESS, Vpc
from sandbox.tls import Certificates
from sandbox.web import Application, HttpRequest, HttpResponse, Listener

log = logging.getLogger(__name__)

_TRUST_STORE = "truststore.pki.rds.amazonaws.com"
_CHECK_IP = "checkip.amazonaws.com"


@dataclass
class _Network:
    """A VPC that is real. ``nics`` maps interfaces to the paths of their network namespaces."""

    region: str
    vpc: Vpc
    listeners: list[Listener] = field(default_factory=list)
    dns: bool = False
    nics: dict[str, str] = field(default_factory=dict)
    public: dict[str, str] = field(default_factory=dict)
    translated: dict[str, frozenset[str]] = field(default_factory=dict)
    internet: frozenset[str] = frozenset()
    subnets: set[str] = field(default_factory=set)
    rules: dict[str, tuple[firewall.Rule, ...]] = field(default_factory=dict)


class Networks:
    """The real VPCs of a sandbox.

    Args:
        site: its piece of the machine's network.
        certificates: makes the TLS contexts of the API's listeners.
        api: answers AWS calls.
        ca_pem: the authority's certificate, which stands for RDS's own.
    """

    def __init__(
        self,
        site: Site,
        certificates: Certificates,
        api: Application,
        ca_pem: Callable[[], bytes],
    ) -> None:
        self._site = site
        self._certificates = certificates
        self._api = api
        self._ca_pem = ca_pem
        self._sites: dict[str, Application] = {
            _TRUST_STORE: self.answer_trust_store,
            _CHECK_IP: checkip.answer,
        }
        self._lock = threading.RLock()
        self._networks: dict[str, _Network] = {}
        self._resolver = Resolver(self._resolve)

    def attach(self, region: str, nic_id: str) -> str:
        """Plug a network interface in: addressed, routed and firewalled before anything runs in it.

        Args:
            region: the region.
            nic_id: the interface.

        Returns:
            The path of the namespace.
        """
        with account.lock:
            nic = account.ec2(region).get_network_interface(nic_id)
            vpc_id, address, subnet = nic.subnet.vpc_id, nic.private_ip_address, nic.subnet.cidr_block
            wanted = topology.work_out(region, vpc_id)
        if wanted is None:
            raise RealError(f"{vpc_id} is gone")
        with self._lock:
            network = self._ensure(region, vpc_id, wanted)
            path = network.vpc.attach(nic_id, address, subnet)
            rules = wanted.rules.get(nic_id, ())
            firewall.apply(path, rules, resolver=network.vpc.resolver)
            network.nics[nic_id], network.rules[nic_id] = str(path), rules
        self.reconcile()
        return str(path)

    def detach(self, nic_id: str) -> None:
        """Unplug a network interface; one that is not plugged in is ignored.

        Args:
            nic_id: the interface.
        """
        with self._lock:
            for network in self._networks.values():
                if nic_id in network.nics:
                    network.vpc.detach(nic_id)
                    network.nics.pop(nic_id)
                    network.rules.pop(nic_id, None)

    def reconcile(self) -> None:
        """Make every real VPC what the account says now."""
        with self._lock:
            for vpc_id, network in list(self._networks.items()):
                with account.lock:
                    wanted = topology.work_out(network.region, vpc_id)
                if wanted is None:
                    self._remove(vpc_id)
                else:
                    self._follow(network, wanted)

    def _follow(self, network: _Network, wanted: Topology) -> None:
        for cidr in wanted.subnets:
            if cidr not in network.subnets:
                network.vpc.add_subnet(cidr)
                network.subnets.add(cidr)
        self._follow_addresses(network, wanted)
        if wanted.dns != network.dns:
            self._serve_names(network, wanted.dns)
        for nic_id, path in network.nics.items():
            rules = wanted.rules.get(nic_id, ())
            if rules != network.rules.get(nic_id):
                firewall.apply(path, rules, resolver=network.vpc.resolver)
                network.rules[nic_id] = rules

    @staticmethod
    def _follow_addresses(network: _Network, wanted: Topology) -> None:
        for public, private in list(network.public.items()):
            if wanted.public.get(public) != private:
                network.vpc.unmap_public(public)
                del network.public[public]
        for public, private in wanted.public.items():
            if public not in network.public:
                network.vpc.map_public(public, private)
                network.public[public] = private
        if wanted.internet != network.internet:
            network.vpc.allow_internet(set(wanted.internet))
            network.internet = wanted.internet
        for gateway in {*network.translated, *wanted.translated}:
            behind = wanted.translated.get(gateway, frozenset())
            if behind != network.translated.get(gateway, frozenset()):
                network.vpc.translate(behind, gateway)
        network.translated = dict(wanted.translated)

    def _ensure(self, region: str, vpc_id: str, wanted: Topology) -> _Network:
        network = self._networks.get(vpc_id)
        if network is None:
            vpc = Vpc(self._site, vpc_id, wanted.cidr)
            vpc.ensure()
            network = _Network(region, vpc)
            self._networks[vpc_id] = network
            for cidr in wanted.subnets:
                vpc.add_subnet(cidr)
                network.subnets.add(cidr)
            self._serve(vpc_id, network)
            log.info("network %s (%s) is up", vpc_id, wanted.cidr)
        return network

    def _serve(self, vpc_id: str, network: _Network) -> None:
        """Start what answers inside the VPC: metadata, the API, DNS."""

        def find(address: str) -> Any:
            backend = account.ec2(network.region)
            nics = topology.interfaces(backend, vpc_id)
            return next((n.instance for n in nics if n.private_ip_address == address), None)

        vpc = network.vpc
        tls = self._certificates.context([API_ADDRESS])
        network.listeners = [
            Listener(vpc.listen_tcp(METADATA_ADDRESS, 80), Metadata(find), origin=vpc_id),
            Listener(vpc.listen_tcp(API_ADDRESS, 443), self._answer, tls, origin=vpc_id),
            Listener(vpc.listen_tcp(TRUST_STORE_ADDRESS, 443), self._answer, tls, origin=vpc_id),
        ]
        for listener in network.listeners:
            listener.start()

    def _serve_names(self, network: _Network, wanted: bool) -> None:
        """Answer DNS questions in a VPC, or stop: what enableDnsSupport says."""
        vpc = network.vpc
        if wanted:
            for address in (vpc.resolver, RESOLVER_ADDRESS):
                self._resolver.serve(vpc.vpc_id, vpc.listen_udp(address, 53), vpc.listen_tcp(address, 53))
        else:
            self._resolver.stop(vpc.vpc_id)
        network.dns = wanted

    def _resolve(self, name: str, vpc_id: str) -> str | None:
        if name == _TRUST_STORE:
            return TRUST_STORE_ADDRESS
        network = self._networks.get(vpc_id)
        return names.resolve(network.region, vpc_id, name) if network is not None else None

    def resolver_of(self, vpc_id: str) -> str:
        """Name the address of a real VPC's resolver.

        Args:
            vpc_id: the VPC.

        Returns:
            The address.
        """
        return self._networks[vpc_id].vpc.resolver

    def _answer(self, request: HttpRequest) -> HttpResponse | None:
        """Answer at the address where all of amazonaws.com is, seen from hosts."""
        host = request.headers.get("Host", "").split(":")[0].lower()
        return self._sites.get(host, self._api)(request)

    def answer_trust_store(self, request: HttpRequest) -> HttpResponse:
        """Answer as RDS's trust store, which has the authorities that sign certificates of databases."""
        if request.path.endswith("-bundle.pem"):
            return HttpResponse(200, [("Content-Type", "binary/octet-stream")], self._ca_pem())
        return HttpResponse(404)

    def _remove(self, vpc_id: str) -> None:
        network = self._networks.pop(vpc_id)
        for listener in network.listeners:
            listener.stop()
        self._resolver.stop(vpc_id)
        for nic_id in network.nics:
            network.vpc.detach(nic_id)
        network.vpc.remove()

    def close(self) -> None:
        """Remove all real VPCs."""
        with self._lock:
            for vpc_id in list(self._networks):
                with suppress(RealError):
                    self._remove(vpc_id)

    def status(self) -> list[dict[str, Any]]:
        """List the real VPCs."""
        with self._lock:
            return [
                {
                    "id": vpc_id,
                    "region": n.region,
                    "interfaces": len(n.nics),
                    "public": ", ".join(sorted(n.public)),
                }
                for vpc_id, n in self._networks.items()
            ]
