"""Names, numbers and files that the real things are made with."""

import ipaddress
import ssl

import pytest
from cryptography import x509

from sandbox.real import containers, hosts, images, site, vpc
from sandbox.real.certificates import Authority
from sandbox.real.commands import CommandError, RealError, attempt, run
from sandbox.real.recipes import RECIPES


def test_a_public_address_is_given_to_one_only_and_comes_back_last():
    pool = site.AddressPool(["a", "b"])
    first = pool.take()
    assert pool.take() != first
    with pytest.raises(RealError, match="all 2"):
        pool.take()
    pool.give_back(first)
    assert pool.take() == first


def test_an_address_of_others_or_given_back_twice_does_not_grow_the_pool():
    pool = site.AddressPool(["a"])
    pool.give_back("a")
    pool.give_back("z")
    assert pool.take() == "a"
    with pytest.raises(RealError):
        pool.take()


def test_a_sites_addresses_lie_in_its_own_range_and_never_meet_another_sites(tmp_path):
    sites = [site.Site("one", tmp_path, "c", index) for index in (0, 1, 127)]
    networks = [ipaddress.ip_network(one.network) for one in sites]
    assert all(network.subnet_of(ipaddress.ip_network("198.18.0.0/15")) for network in networks)
    assert len(set(networks)) == 3
    for one, network in zip(sites, networks, strict=True):
        taken = {one.public_addresses.take() for _ in site.PUBLIC} | {one.take_uplink() for _ in site.UPLINKS}
        assert len(taken) == len(site.PUBLIC) + len(site.UPLINKS)
        assert all(ipaddress.ip_address(address) in network for address in taken)
        assert one.gateway not in taken


def test_a_ninth_vpc_is_refused_in_words_that_say_so(tmp_path):
    one = site.Site("one", tmp_path, "c", 0)
    for _ in site.UPLINKS:
        one.take_uplink()
    with pytest.raises(RealError, match="8 VPCs"):
        one.take_uplink()


def test_sandboxes_of_the_same_name_in_two_clones_are_told_apart():
    addresses = {site._hardware_address(name, clone) for name in ("a", "b") for clone in ("x", "y")}
    assert len(addresses) == 4
    assert all(int(address.split(":")[0], 16) & 0b11 == 0b10 for address in addresses), (
        "locally administered, unicast"
    )


def test_interface_names_fit_the_kernel(tmp_path):
    made = vpc.Vpc(site.Site("one", tmp_path, "c", 127), "vpc-0123456789abcdef0", "10.0.0.0/16")
    assert len(made._outer()) <= 15
    assert len(vpc._port("eni-0123456789abcdef0")) <= 15


def test_hardware_addresses_differ_as_private_addresses_do():
    assert vpc.mac_address("10.0.0.5") != vpc.mac_address("10.0.0.6")


def test_the_resolver_is_the_third_address_of_the_range(tmp_path):
    assert vpc.Vpc(site.Site("one", tmp_path, "c", 0), "vpc-1", "10.80.0.0/16").resolver == "10.80.0.2"


def test_a_certificate_is_good_for_its_names_and_addresses_and_kept(tmp_path):
    authority = Authority(tmp_path)
    certificate, key = authority.issue(["db.example"], ["198.18.0.1"])
    read = x509.load_pem_x509_certificate(certificate.read_bytes())
    names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["db.example"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("198.18.0.1")]
    read.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.ca_pem_path.read_bytes()))
    assert key.stat().st_mode & 0o077 == 0
    before = certificate.read_bytes()
    assert Authority(tmp_path).issue(["db.example"], ["198.18.0.1"])[0].read_bytes() == before
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)


def test_an_authority_is_made_once(tmp_path):
    assert Authority(tmp_path).ca_pem_path.read_bytes() == Authority(tmp_path).ca_pem_path.read_bytes()


def test_an_image_is_another_when_its_recipe_changes():
    recipe = RECIPES["debian-13"]
    changed = type(recipe)(recipe.kind, recipe.suite, (*recipe.packages, "nano"), recipe.files, recipe.setup)
    assert images.reference(recipe) == images.reference(recipe)
    assert images.reference(recipe) != images.reference(changed)


def test_every_engine_version_has_an_image():
    assert images.versions() == ("17", "15")


def test_an_unknown_image_is_refused_with_what_there_is():
    with pytest.raises(RealError, match=r"debian-11.*debian-13"):
        images.ensure("debian-11")


def test_a_hosts_memory_is_its_types():
    total = int(hosts.meminfo(2048).splitlines()[0].split()[1])
    assert 1900 * 1024 < total < 2048 * 1024


def test_a_console_is_read_without_what_podman_adds(tmp_path):
    log = tmp_path / "log"
    log.write_text("2026-11-21T00:00:00+00:00 stdout P one \n2026-11-21T00:00:00+00:00 stdout F two\r\n")
    assert containers.read_log(log) == "one two\n"
    assert containers.read_log(tmp_path / "absent") == ""


def test_a_program_that_fails_says_what_it_said():
    with pytest.raises(CommandError, match="status 3: no luck"):
        run("sh", "-c", "echo no luck >&2; exit 3")
    with pytest.raises(CommandError, match="is not installed"):
        run("no-such-program-here")
    assert not attempt("false")


def test_a_program_that_hangs_is_ended():
    with pytest.raises(CommandError, match="no answer within"):
        run("sleep", "60", timeout_s=0.2)
