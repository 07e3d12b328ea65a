"""A host of the sandbox: it boots, goes down and comes back as a machine does. Needs root."""

import os
import subprocess
import time

import pytest
import small_metadata
from networks import CLONE, FIRST, OUT, SSH_FROM_ALL, ours, plug

from sandbox.real import images
from sandbox.real.commands import run
from sandbox.real.dns import Resolver
from sandbox.real.hosts import Host
from sandbox.real.site import Site
from sandbox.real.vpc import METADATA_ADDRESS

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")


def ssh(key, address, command, user="admin"):
    options = (
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "LogLevel=ERROR",
        "ConnectTimeout=3",
    )
    done = subprocess.run(
        [
            "ssh",
            "-i",
            key,
            *(part for option in options for part in ("-o", option)),
            f"{user}@{address}",
            command,
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    return (done.stdout + done.stderr).strip()


def eventually(ask, wanted, timeout_s=30):
    end = time.monotonic() + timeout_s
    while (found := ask()) != wanted and time.monotonic() < end:
        time.sleep(0.2)
    assert found == wanted


@pytest.fixture(params=["debian-13", "debian-12"])
def host(request, site, vpc, tmp_path):
    """A booted host with a public address: its Host, address and key, and whatever it reported of itself."""
    image = images.ensure(request.param)
    key = tmp_path / "key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    told = small_metadata.answers(
        "i-first", FIRST, key.with_suffix(".pub").read_text(), "#cloud-config\nruncmd: [[touch, /var/ran]]\n"
    )
    metadata = small_metadata.serve(vpc.listen_tcp(METADATA_ADDRESS, 80), {FIRST: told})
    resolver = Resolver(lambda name, _: FIRST if name == "ip-10-80-0-10.ec2.internal" else None)
    resolver.serve("vpc-1", vpc.listen_udp(vpc.resolver, 53), vpc.listen_tcp(vpc.resolver, 53))
    netns = plug(vpc, FIRST, OUT, SSH_FROM_ALL)
    public = site.public_addresses.take()
    vpc.map_public(public, FIRST)
    vpc.allow_internet({FIRST})
    changes = []
    made = Host(
        site,
        "i-first",
        netns,
        image,
        hostname="ip-10-80-0-10",
        dns_ip=vpc.resolver,
        memory_mib=1024,
        vcpus=1,
        on_change=changes.append,
    )
    made.run()
    made.wait_booted()
    yield made, public, key, changes
    made.remove()
    resolver.close()
    metadata.shutdown()


def test_a_host_is_a_machine(host, site):
    """One boot, and what a person on the machine would look at; then down, up and around."""
    made, public, key, changes = host

    def say(command):
        return ssh(key, public, command)

    eventually(lambda: say("id -un"), "admin")
    made.wait_initialised()
    eventually(lambda: say("systemctl is-system-running"), "running")
    assert say("sudo whoami; ls /var/ran; nproc; hostname -f").split() == [
        "root",
        "/var/ran",
        "1",
        "ip-10-80-0-10.ec2.internal",
    ]
    assert 900 < int(say("free -m | awk '/Mem:/ {print $2}'")) < 1024
    for shell in ("sh -c", "sudo sh -c", "sudo systemd-run --wait --quiet --pipe sh -c"):
        assert say(f"{shell} 'echo $AWS_ENDPOINT_URL'") == "https://169.254.170.1"
    assert "-----BEGIN SSH HOST KEY KEYS-----\n" in made.console()
    shown = made.console().split("KEY KEYS-----")[1]
    assert say("cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub") in shown
    assert "Permission denied" in ssh(key, public, "id", user="root")

    boot_id = say("cat /proc/sys/kernel/random/boot_id")
    say("sudo systemctl reboot")
    eventually(lambda: changes, ["running"])
    made.wait_booted()
    eventually(lambda: say("id -un"), "admin")
    assert say("cat /proc/sys/kernel/random/boot_id") != boot_id
    assert int(say("journalctl --list-boots --quiet | grep -c '^ *-\\?[0-9]'")) == 2

    say("sudo systemctl poweroff")
    eventually(lambda: changes, ["running", "stopped"])
    assert made.state() == "stopped"
    made.start()
    made.wait_booted()
    made.reboot()
    made.wait_booted()
    eventually(lambda: say("ls /var/ran"), "/var/ran")
    made.stop()
    assert made.state() == "stopped"
    assert changes == ["running", "stopped"], "what was asked for is not reported as the host's own doing"

    made.start()
    made.wait_booted()
    Site.clear(site.name, CLONE)
    assert made.state() == "absent"
    assert ours(site.index) == []
