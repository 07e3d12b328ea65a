"""Real packets on the sandbox's networks: what reaches what, and what does not. Needs root."""

import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest
import small_metadata
from dnslib import DNSRecord
from networks import (
    CLONE,
    FIRST,
    OUT,
    PRIVATE,
    SECOND,
    SSH_FROM_ALL,
    answering,
    claimed,
    connect,
    is_shut_out,
    ours,
    plug,
    reaches,
    subnet,
)

from sandbox.real import firewall, namespaces
from sandbox.real.commands import run
from sandbox.real.dns import Resolver
from sandbox.real.firewall import Rule
from sandbox.real.site import Site
from sandbox.real.vpc import METADATA_ADDRESS, Vpc

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")


def test_a_new_interface_is_closed_before_anything_can_run_in_it(vpc):
    first = plug(vpc, FIRST, OUT)
    second = vpc.attach("eni-new", SECOND, subnet(SECOND))
    with answering(second, SECOND, 22):
        assert is_shut_out(first, SECOND, 22)


def test_security_groups_follow_changes_and_leave_open_connections(vpc):
    first, second = plug(vpc, FIRST, OUT), plug(vpc, SECOND, Rule("in", "tcp", 22, 22, (f"{FIRST}/32",)))
    with answering(second, SECOND, 22), answering(second, SECOND, 23):
        assert connect(first, SECOND, 22) == FIRST
        assert is_shut_out(first, SECOND, 23)
        firewall.apply(second, (Rule("in", "tcp", 23, 23, (f"{FIRST}/32",)),))
        assert connect(first, SECOND, 23) == FIRST
        assert is_shut_out(first, SECOND, 22)
        firewall.apply(first, ())
        assert is_shut_out(first, SECOND, 23)


def test_only_the_ranges_of_a_rule_get_in(vpc):
    first, other = plug(vpc, FIRST, OUT), plug(vpc, "10.80.0.11", OUT)
    second = plug(vpc, SECOND, Rule("in", "tcp", 22, 22, (f"{FIRST}/32",)))
    with answering(second, SECOND, 22):
        assert reaches(first, SECOND, 22)
        assert is_shut_out(other, SECOND, 22)


def test_a_public_address_leads_in_and_out_and_can_be_taken_away(site, vpc):
    first = plug(vpc, FIRST, OUT, SSH_FROM_ALL)
    public = site.public_addresses.take()
    vpc.map_public(public, FIRST)
    vpc.allow_internet({FIRST})
    outside = socket.create_server((site.gateway, 0))
    with outside, answering(first, FIRST, 22):
        assert connect(None, public, 22) == site.gateway
        threading.Thread(target=_greet, args=(outside,), daemon=True).start()
        assert connect(first, site.gateway, outside.getsockname()[1]) == public
        vpc.unmap_public(public)
        assert is_shut_out(None, public, 22)
        assert is_shut_out(first, site.gateway, outside.getsockname()[1])


def _greet(listening):
    connection, sender = listening.accept()
    with connection:
        connection.sendall(sender[0].encode())


def test_a_public_address_moves_to_another_host(site, vpc):
    first, second = plug(vpc, FIRST, SSH_FROM_ALL), plug(vpc, SECOND, SSH_FROM_ALL)
    public = site.public_addresses.take()
    vpc.allow_internet({FIRST, SECOND})
    vpc.map_public(public, FIRST)
    with answering(first, FIRST, 22):
        assert reaches(None, public, 22)
        vpc.map_public(public, SECOND)
        assert is_shut_out(None, public, 22)
    with answering(second, SECOND, 22):
        assert reaches(None, public, 22)


@pytest.mark.parametrize(("mapped", "routed"), [(True, False), (False, True)])
def test_without_a_route_or_a_public_address_there_is_no_way_out(site, vpc, mapped, routed):
    first = plug(vpc, FIRST, OUT, SSH_FROM_ALL)
    public = site.public_addresses.take()
    if mapped:
        vpc.map_public(public, FIRST)
    vpc.allow_internet({FIRST} if routed else set())
    with socket.create_server((site.gateway, 0)) as outside, answering(first, FIRST, 22):
        assert is_shut_out(first, site.gateway, outside.getsockname()[1])
        assert is_shut_out(None, public, 22)


def test_behind_a_nat_gateway_a_host_gets_out_but_nobody_in(site, vpc):
    private = plug(vpc, PRIVATE, OUT, SSH_FROM_ALL)
    public = site.public_addresses.take()
    vpc.allow_internet({PRIVATE})
    vpc.translate({PRIVATE}, public)
    with socket.create_server((site.gateway, 0)) as outside, answering(private, PRIVATE, 22):
        threading.Thread(target=_greet, args=(outside,), daemon=True).start()
        assert connect(private, site.gateway, outside.getsockname()[1]) == public
        assert is_shut_out(None, public, 22)


def test_a_host_reaches_its_neighbour_by_the_public_address_as_itself_in_public(site, vpc):
    first, second = plug(vpc, FIRST, OUT), plug(vpc, "10.80.0.20", SSH_FROM_ALL)
    mine, theirs = site.public_addresses.take(), site.public_addresses.take()
    vpc.map_public(mine, FIRST)
    vpc.map_public(theirs, "10.80.0.20")
    vpc.allow_internet({FIRST, "10.80.0.20"})
    with answering(second, "10.80.0.20", 22):
        assert connect(first, theirs, 22) == mine


def test_two_sandboxes_with_the_same_ranges_do_not_meet(site, vpc, tmp_path):
    first = plug(vpc, FIRST, OUT)
    public = site.public_addresses.take()
    vpc.map_public(public, FIRST)
    vpc.allow_internet({FIRST})
    with claimed("other", tmp_path / "other") as other:
        assert other.index != site.index
        theirs = Vpc(other, "vpc-1", "10.80.0.0/16")
        second = plug(theirs, SECOND, OUT, SSH_FROM_ALL)
        reached = other.public_addresses.take()
        theirs.map_public(reached, SECOND)
        theirs.allow_internet({SECOND})
        with answering(second, SECOND, 22):
            assert is_shut_out(first, SECOND, 22)
            assert is_shut_out(first, reached, 22)
            assert reaches(None, reached, 22)


def test_private_addresses_are_unknown_outside(vpc):
    first = plug(vpc, FIRST, SSH_FROM_ALL)
    with answering(first, FIRST, 22):
        assert is_shut_out(None, FIRST, 22)
        for link in run("ip", "-o", "address", "show").splitlines():
            assert "10.80." not in link


def test_services_are_reached_whatever_the_groups_say_and_see_who_asks(vpc):
    first = plug(vpc, FIRST)
    metadata = small_metadata.serve(
        vpc.listen_tcp(METADATA_ADDRESS, 80), {FIRST: {"meta-data/instance-id": "i-first"}}
    )
    resolver = Resolver(lambda name, vpc_id: "10.80.10.9" if (name, vpc_id) == ("db.mine", "vpc-1") else None)
    resolver.serve("vpc-1", vpc.listen_udp(vpc.resolver, 53), vpc.listen_tcp(vpc.resolver, 53))
    try:
        inside = ("nsenter", f"--net={first}")
        url = f"http://{METADATA_ADDRESS}/2021-03-23/meta-data/instance-id"
        assert run(*inside, "curl", "-sS", "-m", "3", url) == "i-first"
        with namespaces.entered(Path(first).name):
            answer = DNSRecord.question("db.mine").send(vpc.resolver, timeout=3)
        assert str(DNSRecord.parse(answer).rr[0].rdata) == "10.80.10.9"
    finally:
        resolver.close()
        metadata.shutdown()


@pytest.mark.parametrize(("hop_limit", "gets_there"), [(1, False), (2, True)])
def test_hop_limit_one_keeps_metadata_from_what_is_behind_a_host(vpc, hop_limit, gets_there):
    """A container on a host is one hop further away."""
    host = plug(vpc, FIRST, OUT)
    name = Path(host).name
    behind = f"{name}-behind"
    metadata = small_metadata.serve(
        vpc.listen_tcp(METADATA_ADDRESS, 80), {FIRST: {"meta-data/instance-id": "i-first"}}, hop_limit
    )
    namespaces.make(behind)
    try:
        namespaces.ip(name, "link", "add", "in0", "type", "veth", "peer", "name", "eth0", "netns", behind)
        for netns, link, address in ((name, "in0", "172.30.0.1/24"), (behind, "eth0", "172.30.0.2/24")):
            namespaces.ip(netns, "address", "add", address, "dev", link)
            namespaces.ip(netns, "link", "set", link, "up")
        namespaces.ip(behind, "route", "add", "default", "via", "172.30.0.1")
        namespaces.settings(name, {"net/ipv4/ip_forward": "1"})
        namespaces.nft(
            name,
            "table ip behind { chain out { type nat hook postrouting priority srcnat;"
            ' oifname "eth0" masquerade; }; }\n',
        )
        url = f"http://{METADATA_ADDRESS}/2021-03-23/meta-data/instance-id"
        ask = ("curl", "-sS", "-m", "2", url)
        assert run("nsenter", f"--net={host}", *ask) == "i-first"
        asked = subprocess.run(
            ("nsenter", f"--net=/run/netns/{behind}", *ask), capture_output=True, text=True, check=False
        )
        assert (asked.stdout == "i-first") is gets_there
    finally:
        namespaces.remove(behind)
        metadata.shutdown()


def test_release_leaves_nothing_and_twice_is_no_error(tmp_path):
    one = Site.claim("gone", tmp_path, CLONE)
    plug(Vpc(one, "vpc-1", "10.80.0.0/16"), FIRST, OUT)
    assert len(ours(one.index)) >= 5
    one.release()
    assert ours(one.index) == []
    one.release()


def test_the_remains_of_a_kill_or_a_reboot_are_cleared_and_only_they(site, vpc, tmp_path):
    plug(vpc, FIRST, OUT)
    before = ours(site.index)
    killed = Site.claim("killed", tmp_path, CLONE)
    plug(Vpc(killed, "vpc-1", "10.80.0.0/16"), FIRST, OUT)
    stale = namespaces.path(f"fs{killed.index}-left-by-a-reboot")
    stale.touch()
    Site.clear("killed", CLONE)
    assert ours(killed.index) == []
    assert ours(site.index) == before


def test_a_vpc_that_is_removed_makes_room_for_another(site):
    for number in range(12):
        made = Vpc(site, f"vpc-{number}", "10.80.0.0/16")
        made.ensure()
        made.remove()
