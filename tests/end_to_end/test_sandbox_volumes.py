"""A volume of the sandbox: a host uses it as a machine uses a disk, and it outlives the host. Needs root."""

import os
import time

import pytest
from networks import CLONE, FIRST, OUT, SECOND, SSH_FROM_ALL, plug

from sandbox.real import containers, images, loops
from sandbox.real.commands import CommandError, run
from sandbox.real.devices import Disk
from sandbox.real.hosts import Host
from sandbox.real.site import Site
from sandbox.real.systems import SYSTEMS
from sandbox.real.volumes import Volume

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
LINK = "disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0"


@pytest.fixture(params=SYSTEMS)
def machine(request, site, vpc):
    """Makes booted hosts of a system, by an id and an address."""
    image = images.ensure(request.param)
    made = []

    def make(name, address):
        host = Host(
            site,
            name,
            plug(vpc, address, OUT, SSH_FROM_ALL),
            image,
            hostname=f"ip-{address.replace('.', '-')}",
            dns_ip=vpc.resolver,
            memory_mib=1024,
            vcpus=1,
        )
        made.append(host)
        host.run()
        return host

    yield make
    for host in made:
        host.remove()


def say(site, host, command):
    return run("podman", "exec", site.container(host.instance_id), "sh", "-c", command).strip()


def eventually(ask, timeout_s=30):
    end = time.monotonic() + timeout_s
    while not (found := tried(ask)) and time.monotonic() < end:
        time.sleep(0.1)
    assert found
    return found


def tried(ask):
    try:
        return ask()
    except CommandError:  # it boots
        return None


def formatted(site, host, volume, name="nvme1n1"):
    """Give a host a new volume with a file system and a file on it; returns the disk and its UUID."""
    volume.make(1)
    disk = Disk(volume.plug(), name, (LINK,))
    host.attach(disk)
    say(site, host, f"mkfs.ext4 -q /dev/{LINK}")
    uuid = say(site, host, f"blkid --output value --match-tag UUID /dev/{name}")
    entry = f"UUID={uuid} /srv/data ext4 defaults,nofail 0 0"
    say(
        site,
        host,
        f"mkdir /srv/data; echo '{entry}' >> /etc/fstab; mount /srv/data; echo kept > /srv/data/file",
    )
    return disk, uuid


def test_a_volume_is_a_disk(site, machine):
    """One thing after the other: a host takes a while to boot."""
    volume, first = Volume(site, "vol-0"), machine("i-first", FIRST)
    disk, uuid = formatted(site, first, volume)
    assert say(site, first, f"readlink -f /dev/{LINK}; blockdev --getsize64 /dev/{LINK}").split() == [
        "/dev/nvme1n1",
        str(1024**3),
    ]

    # udev names it by the file system that somebody makes on it.
    eventually(lambda: say(site, first, f"readlink -f /dev/disk/by-uuid/{uuid}") == "/dev/nvme1n1")
    assert first.is_using(disk)

    # It is there again after a reboot, mounted as fstab says.
    first.reboot()
    eventually(lambda: say(site, first, "mountpoint -q /srv/data && cat /srv/data/file") == "kept")

    # It grows while it is used.
    volume.grow(2)
    assert say(site, first, "blockdev --getsize64 /dev/nvme1n1") == str(2 * 1024**3)
    if containers.may_raise_limits():  # ext4 grows while it is mounted for CAP_SYS_RESOURCE only
        say(site, first, "resize2fs /dev/nvme1n1")
    else:
        say(
            site,
            first,
            "umount /srv/data && e2fsck -fp /dev/nvme1n1 && resize2fs /dev/nvme1n1 && mount /srv/data",
        )
    assert int(say(site, first, "stat --file-system --format=%b /srv/data")) * 4096 > 1.8 * 1024**3

    # A snapshot of what is written meanwhile is of one moment.
    write = "i=0; while sleep 0.005; do i=$((i+1)); echo $i > /srv/data/n.$((i % 50)); done"
    say(site, first, f"systemd-run --quiet --unit writer sh -c '{write}'")
    eventually(lambda: say(site, first, "ls /srv/data/n.9"))
    volume.snapshot("snap-0", first.mount_of(disk))
    say(site, first, "systemctl is-active writer && touch /srv/data/later && systemctl stop writer")
    copy = Volume(site, "vol-1")
    copy.make(3, "snap-0")
    checked = copy.plug()
    run("e2fsck", "-p", str(checked))  # replays the journal; anything else that it finds is a failure
    run("e2fsck", "-f", "-n", str(checked))
    names = run("debugfs", "-R", "ls -p /", str(checked))
    assert "/file/" in names
    assert "/later/" not in names
    copy.remove()
    assert not copy.is_plugged


def test_a_volume_outlives_its_host(site, machine):
    volume, first = Volume(site, "vol-0"), machine("i-first", FIRST)
    disk, uuid = formatted(site, first, volume)
    first.stop()
    assert not first.is_using(disk)
    first.detach(disk)
    volume.unplug()
    assert not volume.is_plugged

    # Another host has it with all that is on it, at the next number that is free.
    second = machine("i-second", SECOND)
    second.stop()
    moved = Disk(volume.plug(), "nvme2n1", (LINK,))
    second.attach(moved)
    second.start()
    eventually(
        lambda: say(site, second, f"mkdir -p /mnt/x && mount UUID={uuid} /mnt/x && cat /mnt/x/file") == "kept"
    )
    second.unmount(moved)
    assert not second.is_using(moved)
    second.detach(moved)
    assert say(site, second, "ls /dev").count("nvme") == 0
    second.attach(moved)
    say(site, second, f"mount UUID={uuid} /mnt/x")

    # However a sandbox ends, its volumes leave no device behind.
    beginning = site.container("vol-")
    assert [file for _, file in loops._loops() if file.name.startswith(beginning)]
    Site.clear(site.name, CLONE)
    assert containers.inspect(site.container("i-second")) is None
    eventually(lambda: not [file for _, file in loops._loops() if file.name.startswith(beginning)])
