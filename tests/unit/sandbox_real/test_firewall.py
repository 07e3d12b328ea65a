"""What security groups become on packets."""

import re

import pytest

from sandbox.real import vpc
from sandbox.real.firewall import Rule, render


def chain(ruleset: str, name: str) -> str:
    return re.search(rf"chain {name} {{(.*?)\n}}", ruleset, re.DOTALL)[1]


def test_without_rules_nothing_is_let_in_and_only_services_are_reached():
    text = render((), resolver="10.0.0.2")
    assert "ip saddr" not in chain(text, "input")
    assert chain(text, "output").count("ip daddr") == 1
    assert "10.0.0.2" in chain(text, "output")
    assert text.count("policy drop") == 2


def test_the_table_is_replaced_in_one_transaction():
    assert render(()).startswith(
        "add table inet flowstead\ndelete table inet flowstead\ntable inet flowstead {"
    )


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        (Rule("in", "tcp", 22, 22, ("198.18.0.1/32",)), "ip saddr 198.18.0.1/32 tcp dport 22-22 accept"),
        (Rule("in", "udp", 1000, 2000, ("10.0.0.0/8",)), "ip saddr 10.0.0.0/8 udp dport 1000-2000 accept"),
        (Rule("in", "tcp", -1, -1, ("10.0.0.0/8",)), "ip saddr 10.0.0.0/8 meta l4proto tcp accept"),
        (Rule("in", "-1", -1, -1, ("0.0.0.0/0",)), "ip saddr 0.0.0.0/0 accept"),
        (Rule("in", "icmp", -1, -1, ("0.0.0.0/0",)), "ip saddr 0.0.0.0/0 ip protocol icmp accept"),
        (Rule("in", "icmp", 8, -1, ("0.0.0.0/0",)), "ip saddr 0.0.0.0/0 icmp type 8 accept"),
        (Rule("in", "icmp", 3, 4, ("0.0.0.0/0",)), "ip saddr 0.0.0.0/0 icmp type 3 icmp code 4 accept"),
    ],
)
def test_a_rule_lets_in_what_it_says_and_nothing_out(rule, line):
    text = render((rule,))
    assert line in chain(text, "input").splitlines()
    assert chain(text, "output") == chain(render(()), "output")


def test_a_rule_for_the_way_out_matches_where_packets_go():
    text = render((Rule("out", "tcp", 443, 443, ("0.0.0.0/0",)),))
    assert "ip daddr 0.0.0.0/0 tcp dport 443-443 accept" in chain(text, "output")


def test_ranges_of_ipv6_are_left_out_and_sloppy_ones_are_taken_as_their_network():
    text = render((Rule("in", "tcp", 22, 22, ("::/0", "10.1.2.3/8")),))
    assert "::" not in chain(text, "input")
    assert "10.0.0.0/8" in chain(text, "input")


def test_the_same_rule_twice_is_one_line():
    rule = Rule("in", "tcp", 22, 22, ("10.0.0.0/8",))
    assert chain(render((rule, rule)), "input") == chain(render((rule,)), "input")


def test_a_route_without_a_public_address_is_no_way_to_the_internet():
    text = vpc.render({"198.18.0.10": "10.0.0.5"}, {}, {"10.0.0.5", "10.0.0.6"})
    assert "set internet { type ipv4_addr; elements = { 10.0.0.5 } }" in text


def test_a_public_address_without_a_route_is_none_either():
    assert "set internet { type ipv4_addr;  }" in vpc.render({"198.18.0.10": "10.0.0.5"}, {}, set())


def test_behind_a_nat_gateway_hosts_go_out_with_its_address_and_cannot_be_reached():
    text = vpc.render({}, {"10.0.0.7": "198.18.0.11"}, {"10.0.0.7"})
    assert "map outbound { type ipv4_addr : ipv4_addr; elements = { 10.0.0.7 : 198.18.0.11 } }" in text
    assert "map inbound { type ipv4_addr : ipv4_addr;  }" in text


def test_a_hosts_own_public_address_wins_over_the_nat_gateways():
    text = vpc.render({"198.18.0.10": "10.0.0.7"}, {"10.0.0.7": "198.18.0.11"}, {"10.0.0.7"})
    assert "10.0.0.7 : 198.18.0.10" in text
    assert "10.0.0.7 : 198.18.0.11" not in text
