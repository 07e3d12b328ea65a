"""A VPC: a router in a network namespace of its own, between the VPC's subnets and the site.

Nothing of a VPC's addresses exists in the machine's own namespace, so two sandboxes may use the same ranges.
The router is every subnet's gateway (.1), the internet gateway's address translation, and where the services
listen that a host finds at fixed addresses.
"""

from __future__ import annotations

import hashlib
import ipaddress
import socket
import threading
from collections.abc import Iterable

from sandbox.real import firewall, namespaces
from sandbox.real.commands import attempt, run
from sandbox.real.site import Site

METADATA_ADDRESS = "169.254.169.254"
RESOLVER_ADDRESS = "169.254.169.253"
API_ADDRESS = "169.254.170.1"
TRUST_STORE_ADDRESS = "169.254.170.3"
SERVICE_ADDRESSES = (METADATA_ADDRESS, RESOLVER_ADDRESS, API_ADDRESS, TRUST_STORE_ADDRESS)
"""Where hosts find metadata, DNS, the AWS API and the RDS certificate bundle; on every router."""


class Vpc:
    """A VPC of a site.

    Attributes:
        vpc_id: the account's name for it.
        cidr: its range.
        netns: the router's network namespace.
        resolver: the address of its DNS, the range's third.
    """

    def __init__(self, site: Site, vpc_id: str, cidr: str) -> None:
        """Describe a VPC; `ensure` makes it."""
        network = ipaddress.ip_network(cidr)
        self.site = site
        self.vpc_id = vpc_id
        self.cidr = cidr
        self.netns = site.namespace(vpc_id)
        self.resolver = str(network[2])
        self._lock = threading.RLock()
        self._uplink: str | None = None
        self._subnets: set[str] = set()
        self._public: dict[str, str] = {}  # public address -> private address
        self._translated: dict[str, str] = {}  # private address -> NAT gateway's public address
        self._internet: frozenset[str] = frozenset()

    def ensure(self) -> None:
        """Make the router; one that stands is kept.

        Raises:
            RealError: the site has no room for another VPC.
        """
        with self._lock:
            if self._uplink is not None:
                return
            uplink = self.site.take_uplink()
            try:
                self._make(uplink)
            except BaseException:
                namespaces.remove(self.netns)
                self.site.give_back_uplink(uplink)
                raise
            self._uplink = uplink

    def listen_tcp(self, address: str, port: int) -> socket.socket:
        """Return a listening socket on the router; the address (its own or link-local) is added when absent.

        Raises:
            RealError: the port is taken, or the VPC is not made.
        """
        self._add_service_address(address)
        return namespaces.listen(self.netns, socket.SOCK_STREAM, address, port)

    def listen_udp(self, address: str, port: int) -> socket.socket:
        """Return a bound datagram socket on the router; as `listen_tcp`."""
        self._add_service_address(address)
        return namespaces.listen(self.netns, socket.SOCK_DGRAM, address, port)

    def add_subnet(self, cidr: str) -> None:
        """Make the router the gateway of a subnet, at its first address; one that is there is kept."""
        with self._lock:
            if cidr not in self._subnets:
                network = ipaddress.ip_network(cidr)
                attempt(
                    "ip",
                    "-netns",
                    self.netns,
                    "address",
                    "add",
                    f"{network[1]}/{network.prefixlen}",
                    "dev",
                    "br0",
                )
                self._subnets.add(cidr)

    def attach(self, nic_id: str, private_ip: str, subnet_cidr: str, *, mac: str | None = None) -> str:
        """Make the network namespace of a host or database in its subnet, with everything still forbidden.

        Args:
            nic_id: names it, such as the instance's id.
            private_ip: its address.
            subnet_cidr: the subnet's range; added to the router when absent.
            mac: its hardware address; made from the private address when absent.

        Returns:
            The path of the namespace, for `podman run --network ns:PATH` and `firewall.apply`.
        """
        network = ipaddress.ip_network(subnet_cidr)
        netns, port = self.site.namespace(nic_id), _port(nic_id)
        with self._lock:
            self.ensure()
            self.add_subnet(subnet_cidr)
            attempt("ip", "-netns", self.netns, "link", "delete", port)
            namespaces.make(netns)
            firewall.apply(netns, (), resolver=self.resolver)
            run(
                "ip", "-netns", self.netns, "link", "add", port, "type", "veth",
                "peer", "name", "eth0", "address", mac or mac_address(private_ip), "netns", netns,
            )  # fmt: skip
            namespaces.ip(self.netns, "link", "set", port, "master", "br0", "up")
            namespaces.ip(netns, "address", "add", f"{private_ip}/{network.prefixlen}", "dev", "eth0")
            namespaces.ip(netns, "link", "set", "eth0", "up")
            namespaces.ip(netns, "route", "add", "default", "via", str(network[1]))
        return str(namespaces.path(netns))

    def detach(self, nic_id: str) -> None:
        """Remove the namespace of a host or database; nothing to do without one."""
        with self._lock:
            attempt("ip", "-netns", self.netns, "link", "delete", _port(nic_id))
            namespaces.remove(self.site.namespace(nic_id))

    def map_public(self, public_ip: str, private_ip: str) -> None:
        """Have a public address lead to a private one, which goes out with it; replaces what it led to."""
        with self._lock:
            self.ensure()
            for other in [
                public for public, private in self._public.items() if private == private_ip != public_ip
            ]:
                self.unmap_public(other)
            attempt("ip", "-netns", self.netns, "address", "add", f"{public_ip}/32", "dev", "up0")
            attempt("ip", "neighbour", "flush", "to", public_ip, "dev", self.site.bridge)
            self._public[public_ip] = private_ip
            self._apply()

    def unmap_public(self, public_ip: str) -> None:
        """Take a public address away; nothing to do when it leads nowhere."""
        with self._lock:
            if self._public.pop(public_ip, None) is not None:
                attempt("ip", "-netns", self.netns, "address", "delete", f"{public_ip}/32", "dev", "up0")
                self._apply()

    def translate(self, private_ips: Iterable[str], public_ip: str) -> None:
        """Have private addresses go out with a NAT gateway's public address; replaces the set it had."""
        with self._lock:
            self.ensure()
            kept = {private: public for private, public in self._translated.items() if public != public_ip}
            added = dict.fromkeys(private_ips, public_ip)
            self._translated = kept | added
            change = "add" if added else "delete"
            attempt("ip", "-netns", self.netns, "address", change, f"{public_ip}/32", "dev", "up0")
            self._apply()

    def allow_internet(self, private_ips: Iterable[str]) -> None:
        """Say which private addresses have a route to the internet; with a public address they get out."""
        with self._lock:
            allowed = frozenset(private_ips)
            if allowed != self._internet:
                self._internet = allowed
                if self._uplink is not None:
                    self._apply()

    def remove(self) -> None:
        """Remove the router; hosts and databases must be detached before."""
        with self._lock:
            attempt("ip", "link", "delete", self._outer())
            namespaces.remove(self.netns)
            if self._uplink is not None:
                self.site.give_back_uplink(self._uplink)
            self._uplink = None
            self._subnets.clear()
            self._public.clear()
            self._translated.clear()
            self._internet = frozenset()

    def _outer(self) -> str:
        return f"{self.site.bridge}v{_digest(self.vpc_id, 8)}"

    def _make(self, uplink: str) -> None:
        site, netns, outer = self.site, self.netns, self._outer()
        namespaces.make(netns)
        attempt("ip", "link", "delete", outer)
        run("ip", "link", "add", outer, "type", "veth", "peer", "name", "up0", "netns", netns)
        run("ip", "link", "set", outer, "master", site.bridge, "up")
        namespaces.ip(netns, "link", "add", "br0", "type", "bridge", "forward_delay", "0")
        namespaces.ip(netns, "address", "add", f"{uplink}/24", "dev", "up0")
        namespaces.ip(netns, "address", "add", f"{self.resolver}/32", "dev", "lo")
        for address in SERVICE_ADDRESSES:
            namespaces.ip(netns, "address", "add", f"{address}/32", "dev", "lo")
        namespaces.ip(netns, "link", "set", "br0", "up")
        namespaces.ip(netns, "link", "set", "up0", "up")
        namespaces.ip(netns, "route", "add", "default", "via", site.gateway)
        namespaces.settings(
            netns,
            {
                "net/ipv4/ip_forward": "1",
                "net/ipv4/conf/all/send_redirects": "0",
                "net/ipv4/conf/br0/send_redirects": "0",
                "net/ipv4/conf/all/rp_filter": "0",
                "net/ipv4/conf/up0/rp_filter": "0",
            },
        )
        self._apply()

    def _add_service_address(self, address: str) -> None:
        if ipaddress.ip_address(address).is_link_local:
            attempt("ip", "-netns", self.netns, "address", "add", f"{address}/32", "dev", "lo")

    def _apply(self) -> None:
        namespaces.nft(self.netns, render(self._public, self._translated, self._internet))


def render(public: dict[str, str], translated: dict[str, str], internet: Iterable[str]) -> str:
    """Return the router's nftables text.

    Args:
        public: public address -> the private address it leads to.
        translated: private address -> the public address of its NAT gateway.
        internet: private addresses with a route to the internet.
    """
    outbound = translated | {private: address for address, private in public.items()}
    inside = sorted(set(internet) & set(outbound))
    return f"""
        add table ip flowstead
        delete table ip flowstead
        table ip flowstead {{
            set internet {{ type ipv4_addr; {_elements(inside)} }}
            map inbound {{ type ipv4_addr : ipv4_addr; {_pairs(public)} }}
            map outbound {{ type ipv4_addr : ipv4_addr; {_pairs(outbound)} }}
            chain prerouting {{
                type nat hook prerouting priority dstnat; policy accept;
                dnat to ip daddr map @inbound
            }}
            chain forward {{
                type filter hook forward priority filter; policy accept;
                ct state invalid drop
                iifname "br0" oifname "up0" ip saddr != @internet drop
                iifname "br0" ct direction original ct status dnat ip saddr != @internet drop
                iifname "up0" ip daddr != @internet drop
                iifname "up0" ct state new ct status dnat accept
                iifname "up0" ct state new drop
            }}
            chain postrouting {{
                type nat hook postrouting priority srcnat; policy accept;
                oifname "up0" snat to ip saddr map @outbound
                oifname "br0" ct status dnat snat to ip saddr map @outbound
            }}
        }}
    """


def mac_address(private_ip: str) -> str:
    """Return the hardware address of the interface with a private address."""
    return ":".join(f"{part:02x}" for part in (0x02, 0xF5, *ipaddress.IPv4Address(private_ip).packed))


def _elements(items: Iterable[str]) -> str:
    listed = ", ".join(items)
    return f"elements = {{ {listed} }}" if listed else ""


def _pairs(items: dict[str, str]) -> str:
    return _elements(f"{key} : {value}" for key, value in sorted(items.items()))


def _digest(name: str, length: int) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:length]


def _port(nic_id: str) -> str:
    return f"p{_digest(nic_id, 12)}"
