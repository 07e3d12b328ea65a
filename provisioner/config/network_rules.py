"""What networks deployment.yml may name: who reaches the server, and where it is."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Sequence

from provisioner.config.file import Key, dotted, shown
from provisioner.config.rules import Mistakes, refuse

# https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html: a VPC and a subnet are /16 to /28.
widest_vpc_prefix, narrowest_vpc_prefix = 16, 28
# Wider than any organisation's own network: one of these, or many that add up to one, means "everybody".
ipv6 = 6
world_prefix = {4: 8, ipv6: 16}
# 60 rules in a group, and two ports for each network:
# https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
most_cidrs = 30
world_step = (
    "name the networks of the people who use the server, "
    "or set access.allow_world: true if it really is for everybody"
)

only_ipv4 = "what we make has IPv4 addresses only; name IPv4 networks"


def cidr(value: str) -> str:
    """Check an IPv4 network and write it as AWS does."""
    try:
        return str(ipaddress.IPv4Network(value))
    except ValueError:
        pass
    try:
        right = ipaddress.IPv4Interface(value).network
    except ValueError as error:
        raise ValueError(f"{value!r} is not an IPv4 network; write it like 10.80.0.0/16") from error
    raise ValueError(f"{value!r} is an address inside a network, not the network; did you mean {right}?")


def access_cidrs(value: object) -> object:
    """Check the networks that may reach something: `auto`, or a list with at least one."""
    if value == "auto":
        return value
    if not isinstance(value, list | tuple):
        msg = f"must be `auto` or a list of networks like [203.0.113.0/24], is {shown(value)}"
        raise ValueError(msg)  # noqa: TRY004 - pydantic takes ValueError as a finding, TypeError as a crash
    if not value:
        raise ValueError("is an empty list: nobody could get in; write `auto` or your networks")
    mistakes: Mistakes = []
    found: list[str] = []
    for index, item in enumerate(value):
        try:
            found.append(_access_cidr(item))
        except ValueError as error:
            mistakes.append(((index,), str(error)))
    refuse(mistakes)
    different = tuple(dict.fromkeys(found))
    if len(different) > most_cidrs:
        raise ValueError(
            f"has {len(different)} networks; AWS has room for {most_cidrs} (60 rules in a security group, "
            "two for each network): join those that lie side by side, or name wider ones"
        )
    return different


def database_cidrs(value: object) -> object:
    """Check the networks that may reach the database itself, if any: never a large part of the internet."""
    checked = () if value in ((), []) else access_cidrs(value)
    if isinstance(checked, tuple):
        step = "name the networks of the people who use it: a database is not for the whole internet"
        refuse([(key[1:], text) for key, text in access_width(checked, allow_world=False, step=step)])
    return checked


def _access_cidr(item: object) -> str:
    if not isinstance(item, str):
        raise ValueError(f"must be a network like 203.0.113.0/24, is {shown(item)}")  # noqa: TRY004 - as above
    try:
        network = ipaddress.ip_network(item)
    except ValueError:
        return cidr(item)
    if network.version == ipv6 and network.prefixlen >= world_prefix[ipv6]:
        raise ValueError(f"{item!r}: {only_ipv4}")
    return str(network)


def access_width(cidrs: Sequence[object], *, allow_world: bool, step: str = world_step) -> Mistakes:
    """Find networks that are, or add up to, a large part of the internet, when that is not meant.

    Args:
        cidrs: the list as written; items that are no network are skipped (they are reported by themselves).
        allow_world: the user's word that it is meant.
        step: what to do otherwise.

    Returns:
        The mistakes, keys below `access`.

    """
    networks = []
    for index, item in enumerate(cidrs):
        try:
            networks.append((index, ipaddress.ip_network(_access_cidr(item))))
        except ValueError:
            continue
    if allow_world:
        return [(("cidrs", index), f"{one}: {only_ipv4}") for index, one in networks if one.version == ipv6]
    mistakes: Mistakes = []
    for version, prefix in world_prefix.items():
        ours = [(index, one) for index, one in networks if one.version == version]
        for whole in ipaddress.collapse_addresses(one for _, one in ours):  # type: ignore[type-var]  # one version only
            if whole.prefixlen < prefix:
                inside = [(i, one) for i, one in ours if one.subnet_of(whole)]  # type: ignore[arg-type]  # as above
                mistakes += [
                    (("cidrs", i), f"{_world_sentence(str(one), str(whole))}; {step}") for i, one in inside
                ]
    return mistakes


def _world_sentence(one: str, whole: str) -> str:
    what = f"{one} is" if one == whole else f"{one} with its neighbours in the list is {whole},"
    return f"{what} open to the internet"


def network_layout(vpc: object, public: Sequence[object], private: Sequence[object]) -> Mistakes:
    """Find wrong sizes, subnets outside the network, and subnets that overlap.

    Args:
        vpc: the network as written.
        public: public subnets as written; what is no network is skipped (it is reported by itself).
        private: private subnets, likewise.

    Returns:
        The mistakes, keys below `network`.

    """
    written: list[tuple[Key, object]] = [(("cidr",), vpc)]
    written += [(("public_subnets", index), one) for index, one in enumerate(public)]
    written += [(("private_subnets", index), one) for index, one in enumerate(private)]
    networks: dict[Key, ipaddress.IPv4Network] = {}
    for key, item in written:
        with contextlib.suppress(ValueError):
            networks[key] = ipaddress.IPv4Network(item if isinstance(item, str) else "")
    mistakes: Mistakes = [
        (key, f"{one} has prefix /{one.prefixlen}; AWS allows /16 to /28")
        for key, one in networks.items()
        if not widest_vpc_prefix <= one.prefixlen <= narrowest_vpc_prefix
    ]
    whole = networks.pop(("cidr",), None)
    if whole and any(whole.overlaps(one) for one in _unusable):
        mistakes.append((("cidr",), f"{whole} is not for networks of your own; use 10., 172.16. or 192.168."))
    for index, (key, one) in enumerate(networks.items()):
        if whole and not one.subnet_of(whole):
            mistakes.append((key, f"{one} is outside network.cidr {whole}; choose a part of it"))
        for other_key, other in list(networks.items())[:index]:
            if one.overlaps(other):
                place = f"network.{dotted(other_key)}"
                mistakes.append((key, f"{one} overlaps {other} of {place}; subnets must not share addresses"))
    return mistakes


# Loopback, link-local, multicast and reserved blocks (RFC 6890): nobody's own network.
_unusable = tuple(
    ipaddress.IPv4Network(one) for one in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")
)
