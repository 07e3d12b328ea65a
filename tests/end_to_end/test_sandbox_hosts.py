"""A host of the sandbox: it boots, goes down and comes back as a machine does. Needs root."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import small_metadata
from deployed import Sandbox, copy_project, until
from deployed import run as command
from networks import CLONE, FIRST, OUT, SSH_FROM_ALL, ours, plug

from sandbox.real import clones, disks, images
from sandbox.real.commands import attempt, run
from sandbox.real.dns import Resolver
from sandbox.real.hosts import Host
from sandbox.real.site import Site
from sandbox.real.systems import SYSTEMS
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


@pytest.fixture(params=SYSTEMS)
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


SANDBOX = "images"


@pytest.fixture
def own_clone(tmp_path):
    """A copy of the project, for images of its own; its sandbox goes with the test, however that ends."""
    directory = tmp_path / "clone"
    directory.mkdir()
    reaper = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("reaper.py")), str(directory), SANDBOX],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    copy_project(directory)
    yield directory
    reaper.stdin.close()
    reaper.wait(timeout=300)
    for disk in disks.kept(clones.short(directory)):
        for name in disk.names:
            disks.forget(clones.short(directory), name)


class Account:
    """A sandbox with a network that lets ssh in, and what a user asks of EC2 there."""

    def __init__(self, clone):
        self.ec2 = Sandbox.up(clone, SANDBOX).client("ec2")
        self.keys = clone.parent
        ec2 = self.ec2
        vpc = ec2.create_vpc(CidrBlock="10.80.0.0/16")["Vpc"]["VpcId"]
        self.subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.80.0.0/24", AvailabilityZone="us-east-1a")[
            "Subnet"
        ]["SubnetId"]
        ec2.modify_subnet_attribute(SubnetId=self.subnet, MapPublicIpOnLaunch={"Value": True})
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
        ec2.associate_route_table(RouteTableId=table, SubnetId=self.subnet)
        self.group = ec2.create_security_group(GroupName="ssh", Description="ssh", VpcId=vpc)["GroupId"]
        ec2.authorize_security_group_ingress(
            GroupId=self.group, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0"
        )

    def launch(self, image_id, name, **options):
        """Launch a host with its own key, and user data that leaves its name; its id and how to ask it."""
        key = self.keys / name
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
        self.ec2.import_key_pair(KeyName=name, PublicKeyMaterial=key.with_suffix(".pub").read_bytes())
        instance_id = self.ec2.run_instances(
            ImageId=image_id,
            InstanceType="t3.small",
            MinCount=1,
            MaxCount=1,
            SubnetId=self.subnet,
            SecurityGroupIds=[self.group],
            KeyName=name,
            UserData=f"#!/bin/sh\necho {name} >> /var/ran\n",
            **options,
        )["Instances"][0]["InstanceId"]
        self.wait(instance_id, "running")
        address = self.describe(instance_id)["PublicIpAddress"]

        def say(command):
            return ssh(str(key), address, command)

        until(lambda: say("id -un") == "admin", f"{name} lets its key in", timeout_s=300)
        say("cloud-init status --wait")
        return instance_id, say

    def describe(self, instance_id):
        return self.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]

    def wait(self, instance_id, state):
        until(lambda: self.describe(instance_id)["State"]["Name"] == state, state, timeout_s=300)

    def make_image(self, instance_id, name, **options):
        image_id = self.ec2.create_image(InstanceId=instance_id, Name=name, **options)["ImageId"]
        until(lambda: self.find(image_id)["State"] != "pending", "made", timeout_s=600)
        assert self.find(image_id)["State"] == "available"
        return image_id

    def find(self, image_id):
        return self.ec2.describe_images(ImageIds=[image_id])["Images"][0]


def test_an_image_of_a_host_boots_others_and_outlives_its_sandbox(own_clone):
    account, tags = Account(own_clone), [{"Key": "Name", "Value": "it's baked"}]
    debian = account.ec2.describe_images(Filters=[{"Name": "name", "Values": ["debian-13-amd64-*"]}])[
        "Images"
    ]
    made_of, say = account.launch(debian[0]["ImageId"], "first")
    say("sudo sh -c 'echo here > /opt/left; : > /etc/machine-id; sync'")
    say("sudo sh -c 'ln /opt/left /opt/linked'")
    say("""sudo python3 -c 'import os; os.setxattr("/opt/left", "user.mark", b"marked")'""")
    identity = "cat /etc/ssh/ssh_host_*.pub; systemd-id128 machine-id; cat /proc/sys/kernel/random/boot_id"
    first = say(identity).splitlines()

    warm = account.make_image(made_of, "of a running host", NoReboot=True)
    assert say(identity).splitlines() == first, "nothing happened to the host"
    account.make_image(made_of, "of a host that is rebooted")
    until(
        lambda: say("cat /proc/sys/kernel/random/boot_id") not in {"", first[-1]}, "rebooted", timeout_s=300
    )
    assert account.describe(made_of)["State"]["Name"] == "running"
    account.ec2.stop_instances(InstanceIds=[made_of])
    account.wait(made_of, "stopped")
    cold = account.make_image(
        made_of, "of a stopped host", TagSpecifications=[{"ResourceType": "image", "Tags": tags}]
    )

    for number, image_id in enumerate((warm, cold)):
        name = f"of-image-{number}"
        instance_id, say = account.launch(image_id, name)
        assert say("cat /opt/left; stat -c %h /opt/left; cat /var/ran").split() == [
            "here",
            "2",
            "first",
            name,
        ]
        assert "marked" in say("""python3 -c 'import os; print(os.getxattr("/opt/left", "user.mark"))'""")
        assert not set(say(identity).splitlines()) & set(first), "a host has an identity of its own"
        key = say("cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub")
        until(
            lambda key=key, of=instance_id: key in account.ec2.get_console_output(InstanceId=of)["Output"],
            "the new host key is on the console",
        )
        assert say("systemctl is-system-running --wait") == "running"

    command(sys.executable, "-m", "sandbox", "down", "--name", SANDBOX, cwd=own_clone, env=os.environ)
    account = Account(own_clone)
    assert account.find(cold)["Tags"] == tags
    instance_id, say = account.launch(cold, "later", InstanceInitiatedShutdownBehavior="terminate")
    assert say("cat /opt/left") == "here"

    snapshot_id = account.find(cold)["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    podmans = disks.reference(clones.short(own_clone), cold)
    identity = run("podman", "image", "inspect", "--format", "{{.Id}}", podmans).strip()
    account.ec2.deregister_image(ImageId=cold)
    assert attempt("podman", "image", "exists", identity), "the snapshot holds it"
    account.ec2.delete_snapshot(SnapshotId=snapshot_id)
    assert say("cat /opt/left") == "here", "a host outlives its image"
    say("sudo systemd-run --on-active=1 systemctl poweroff")
    account.wait(instance_id, "terminated")
    assert not attempt("podman", "image", "exists", identity)
