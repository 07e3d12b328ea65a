"""What hosts learn from the sandbox's DNS."""

import errno
import socket
import threading
from types import SimpleNamespace

import pytest
from dnslib import QTYPE, RCODE, RR, A, DNSRecord

from sandbox.real.dns import Resolver, Zone, machine_servers
from sandbox.real.vpc import API_ADDRESS

ENDPOINT = "mine.abc.us-east-1.rds.amazonaws.com"


def own_names(name, vpc_id):
    return "10.0.0.9" if (name, vpc_id) == (ENDPOINT, "vpc-1") else None


@pytest.fixture
def resolver():
    made = Resolver(own_names)
    yield made
    made.close()


def ask(name, kind="A", vpc_id="vpc-1", upstreams=()):
    zone = Zone(vpc_id, own_names, list(upstreams))
    answer = zone.resolve(DNSRecord.question(name, kind), SimpleNamespace(protocol="udp"))
    answer = DNSRecord.parse(answer.pack())
    return answer.header.rcode, [str(record.rdata) for record in answer.rr]


def test_a_database_is_found_by_its_endpoint_whatever_the_case():
    assert ask(ENDPOINT.upper()) == (RCODE.NOERROR, ["10.0.0.9"])


def test_names_belong_to_a_vpc():
    assert ask(ENDPOINT, vpc_id="vpc-2") == (RCODE.NXDOMAIN, [])


def test_a_name_of_ours_has_no_ipv6_address_but_exists():
    assert ask(ENDPOINT, "AAAA") == (RCODE.NOERROR, [])


def test_no_host_learns_an_address_of_the_real_aws():
    for name in ("sts.amazonaws.com", "bucket.s3.us-east-1.amazonaws.com", "s3.dualstack.us-east-1.api.aws"):
        assert ask(name) == (RCODE.NOERROR, [API_ADDRESS])
    assert ask("sts.amazonaws.com", "AAAA") == (RCODE.NOERROR, [])


def test_a_name_that_only_ends_alike_is_not_awss():
    assert ask("notamazonaws.com")[0] == RCODE.SERVFAIL


@pytest.mark.parametrize(
    "name", ["ip-10-9-9-9.ec2.internal", "5.0.0.10.in-addr.arpa", "254.169.254.169.in-addr.arpa"]
)
def test_private_names_and_addresses_are_not_asked_of_others(name):
    assert ask(name)[0] == RCODE.NXDOMAIN


def test_when_no_server_answers_the_failure_is_the_servers():
    assert ask("example.org")[0] == RCODE.SERVFAIL


def loopback():
    """A UDP and a TCP socket of one port, which must be free for both."""
    while True:
        tcp = socket.create_server(("127.0.0.1", 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind(tcp.getsockname())
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            tcp.close()
            udp.close()
        else:
            return udp, tcp


def test_it_answers_over_both_transports_until_it_is_stopped(resolver):
    udp, tcp = loopback()
    host, port = udp.getsockname()
    resolver.serve("vpc-1", udp, tcp)
    question = DNSRecord.question(ENDPOINT)
    for over_tcp in (False, True):
        answer = DNSRecord.parse(question.send(host, port, tcp=over_tcp, timeout=5))
        assert str(answer.rr[0].rdata) == "10.0.0.9"
    resolver.stop("vpc-1")
    with pytest.raises(OSError, match=r"refused|timed out"):
        question.send(host, port, tcp=True, timeout=1)


@pytest.mark.parametrize("junk", [b"", b"\0", b"hello", b"\xff" * 40])
def test_junk_gets_no_answer_and_the_next_question_does(resolver, junk, capfd):
    udp, tcp = loopback()
    host, port = udp.getsockname()
    resolver.serve("vpc-1", udp, tcp)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect((host, port))
        asking.send(junk)
        asking.send(DNSRecord.question(ENDPOINT).pack())
        asking.settimeout(5)
        assert str(DNSRecord.parse(asking.recv(8192)).rr[0].rdata) == "10.0.0.9"
    assert capfd.readouterr() == ("", "")


def test_everything_else_is_asked_of_the_machines_servers(monkeypatch):
    asked = []

    def answer_once(request, server, **_):
        asked.append(server)
        reply = request.reply()
        reply.add_answer(RR("example.org", QTYPE.A, rdata=A("192.0.2.1")))
        return bytes(reply.pack())

    monkeypatch.setattr(DNSRecord, "send", answer_once)
    assert ask("example.org", upstreams=["192.0.2.53"]) == (RCODE.NOERROR, ["192.0.2.1"])
    assert asked == ["192.0.2.53"]


def test_a_server_that_does_not_answer_is_followed_by_the_next(monkeypatch):
    def answer_second(request, server, **_):
        if server == "192.0.2.1":
            raise TimeoutError
        return bytes(request.reply().pack())

    monkeypatch.setattr(DNSRecord, "send", answer_second)
    assert ask("example.org", upstreams=["192.0.2.1", "192.0.2.2"]) == (RCODE.NOERROR, [])


def test_many_questions_at_once_are_each_answered(resolver):
    udp, tcp = loopback()
    resolver.serve("vpc-1", udp, tcp)
    host, port = udp.getsockname()
    answers = []

    def one():
        answers.append(DNSRecord.parse(DNSRecord.question(ENDPOINT).send(host, port, timeout=5)).rr[0].rdata)

    threads = [threading.Thread(target=one) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 40


def test_the_machines_servers_are_read_from_its_configuration(tmp_path):
    file = tmp_path / "resolv.conf"
    file.write_text(
        "# a comment\nsearch example.org\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\noptions edns0\n"
    )
    assert machine_servers(file) == ["192.0.2.53", "fe80::1"]
    assert machine_servers(tmp_path / "absent") == []
