"""Security groups on real packets: one nftables table in the network namespace of a host or database."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from sandbox.real import namespaces

SERVICES = ("169.254.169.254", "169.254.169.253", "169.254.169.123")
"""Metadata, DNS and time: what security groups do not filter.

https://docs.aws.amazon.com/vpc/latest/userguide/vpc-security-groups.html
"""
_ANY = -1


@dataclasses.dataclass(frozen=True)
class Rule:
    """One thing that a security group allows.

    Attributes:
        direction: into the interface or out of it.
        protocol: "tcp", "udp", "icmp" or "-1" for all.
        from_port: first port; the type for icmp; -1 for all.
        to_port: last port; the code for icmp; -1 for all.
        cidrs: the other side's ranges (a group's members as /32); IPv6 ranges are left out.
    """

    direction: Literal["in", "out"]
    protocol: str
    from_port: int
    to_port: int
    cidrs: tuple[str, ...]


def apply(netns: str | Path, rules: Iterable[Rule], *, resolver: str | None = None) -> None:
    """Replace what an interface lets through, in one transaction; established connections go on.

    Args:
        netns: the namespace's name or path, as `Vpc.attach` returned it.
        rules: what is allowed; nothing else is.
        resolver: the VPC's own DNS address, always allowed besides the link-local one.

    Raises:
        CommandError: the namespace is gone, or nft refuses.
    """
    namespaces.nft(Path(netns).name, render(rules, resolver=resolver))


def render(rules: Iterable[Rule], *, resolver: str | None = None) -> str:
    """Return the nftables text for a set of rules."""
    allowed = list(rules)
    services = ", ".join(SERVICES + ((resolver,) if resolver else ()))
    return "\n".join(
        (
            "add table inet flowstead",
            "delete table inet flowstead",
            "table inet flowstead {",
            "chain input { type filter hook input priority filter; policy drop;",
            'iifname "lo" accept',
            "ct state established,related accept",
            *_lines("saddr", (rule for rule in allowed if rule.direction == "in")),
            "}",
            "chain output { type filter hook output priority filter; policy drop;",
            'oifname "lo" accept',
            "ct state established,related accept",
            f"ip daddr {{ {services} }} accept",
            *_lines("daddr", (rule for rule in allowed if rule.direction == "out")),
            "}",
            "}",
            "",
        )
    )


def _lines(side: str, rules: Iterable[Rule]) -> list[str]:
    lines = {f"ip {side} {cidr} {_match(rule)}accept" for rule in rules for cidr in _ipv4(rule.cidrs)}
    return sorted(lines)


def _ipv4(cidrs: Iterable[str]) -> list[str]:
    networks = (ipaddress.ip_network(cidr, strict=False) for cidr in cidrs)
    return [str(network) for network in networks if network.version == 4]  # noqa: PLR2004 - IPv4


def _match(rule: Rule) -> str:
    if rule.protocol == "-1":
        return ""
    if rule.protocol == "icmp":
        kind = "" if rule.from_port == _ANY else f"icmp type {rule.from_port} "
        code = "" if rule.to_port == _ANY or not kind else f"icmp code {rule.to_port} "
        return kind + code or "ip protocol icmp "
    if _ANY in (rule.from_port, rule.to_port):
        return f"meta l4proto {rule.protocol} "
    return f"{rule.protocol} dport {rule.from_port}-{rule.to_port} "
