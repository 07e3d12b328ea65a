"""Boots a real host for every EC2 instance, and does to it what the account's calls do to the instance."""

from __future__ import annotations

import base64
import logging
import threading
from collections.abc import Callable
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPES

from sandbox import account, amis
from sandbox.mapping import images as own_images
from sandbox.mapping.images import Images, OwnImage
from sandbox.mapping.networks import Networks
from sandbox.mapping.turns import Turns, do_together
from sandbox.real.hosts import Host
from sandbox.real.site import Site

log = logging.getLogger(__name__)

_STATES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
_BOOT_S = 180.0


def set_state(instance: Any, name: str) -> None:
    """Set the state of moto's instance.

    Args:
        instance: moto's instance.
        name: AWS's name of the state.
    """
    with account.lock:
        instance._state.name, instance._state.code = name, _STATES[name]  # noqa: SLF001 - moto offers no other way


class Hosts:
    """The real hosts of a sandbox.

    Args:
        site: its piece of the machine's network.
        networks: where they are plugged in.
        images: what they boot.

    Attributes:
        on_end: told of each instance (moto's) whose host is gone, before it is terminated.
    """

    def __init__(self, site: Site, networks: Networks, images: Images) -> None:
        self._site = site
        self._networks = networks
        self._images = images
        self._lock = threading.Lock()
        self._hosts: dict[str, Host] = {}
        self._turns = Turns()
        self.on_end: Callable[[Any], None] = lambda _: None

    def of(self, instance_id: str) -> Host | None:
        """Return the host of an instance, if it has one."""
        with self._lock:
            return self._hosts.get(instance_id)

    def do(self, instance: Any, what: str, action: Callable[[], None]) -> None:
        """Do something to a host when all else that was begun with it has ended.

        Args:
            instance: moto's instance.
            what: what it is, for the log.
            action: does it.
        """
        self._turns.begin(instance.id, what, action, lambda _: None)

    def _do(self, instance: Any, what: str, action: Callable[[], None]) -> None:
        """Do something to a host in a thread of its own."""
        self._turns.begin(instance.id, what, action, lambda error: self._fail(instance, error))

    def _fail(self, instance: Any, error: Exception) -> None:
        """Report a host that did not do as told the way AWS does: it is terminated, with a reason."""
        with account.lock:
            instance.state_reason.code = "Server.InternalError"
            instance.state_reason.message = f"Server.InternalError: {error}"[:400]
            instance._reason = instance.state_reason.message  # noqa: SLF001 - moto offers no other way
        set_state(instance, "terminated")

    def launch(self, instance: Any) -> None:
        """Boot the host of a new instance; its state is pending until it has booted.

        Args:
            instance: moto's instance.
        """

        def boot() -> None:
            image = self._images.boot(instance.image_id)
            nic, region = instance.nics[0], instance.region_name
            netns = self._networks.attach(region, nic.id)
            memory_mib, vcpus = size_of(instance.instance_type)
            host = Host(
                self._site,
                instance.id,
                netns,
                image,
                hostname=instance.private_dns_name.split(".")[0],
                dns_ip=self._networks.resolver_of(nic.subnet.vpc_id),
                memory_mib=memory_mib,
                vcpus=vcpus,
                on_change=lambda state: self._changed_by_itself(instance, state),
            )
            with self._lock:
                self._hosts[instance.id] = host
            host.run()
            host.wait_booted(_BOOT_S)
            set_state(instance, "running")

        self._do(instance, "launch", boot)

    def _changed_by_itself(self, instance: Any, state: str) -> None:
        """Follow a host that was shut down from inside: it stops or is terminated, as the instance says."""
        if state == "running" or instance.state != "running":
            return
        log.info("%s: shut down from inside", instance.id)
        if instance.instance_initiated_shutdown_behavior == "terminate":
            self.terminate(instance)
        else:
            with account.lock:
                instance.stop()

    def stop(self, instance: Any) -> None:
        """Shut a host down; its disk stays.

        Args:
            instance: moto's instance.
        """
        set_state(instance, "stopping")

        def act() -> None:
            self._hosts[instance.id].stop()
            set_state(instance, "stopped")

        self._do(instance, "stop", act)

    def start(self, instance: Any) -> None:
        """Boot a stopped host again.

        Args:
            instance: moto's instance.
        """
        set_state(instance, "pending")

        def act() -> None:
            host = self._hosts[instance.id]
            host.start()
            host.wait_booted(_BOOT_S)
            set_state(instance, "running")

        self._do(instance, "start", act)

    def reboot(self, instance: Any) -> None:
        """Restart a host; its state stays running, as on AWS.

        Args:
            instance: moto's instance.
        """
        self._do(instance, "reboot", self._hosts[instance.id].reboot)

    def make_image(self, instance: Any, own: OwnImage, image: Any, *, reboot: bool) -> None:
        """Keep a host's disk as an image; the instance's state stays what it is, as on AWS.

        Args:
            instance: moto's instance.
            own: what to write down about the image.
            image: moto's image, pending until the disk is kept.
            reboot: whether the host is down meanwhile.
        """

        def act() -> None:
            with self._lock:
                host = self._hosts.get(instance.id)
            if host is None:
                own_images.fail(image, f"{instance.id} was terminated before its disk was kept")
                return
            if reboot:
                host.stop()
            self._images.keep(host, own, image)
            if reboot:
                host.start()
                host.wait_booted(_BOOT_S)

        self._do(instance, "image", act)

    def terminate(self, instance: Any) -> None:
        """Remove a host with its disk.

        Args:
            instance: moto's instance.
        """
        set_state(instance, "shutting-down")
        nics = [nic.id for nic in instance.nics.values()]

        def act() -> None:
            with self._lock:
                host = self._hosts.pop(instance.id, None)
            if host is not None:
                host.remove()
                self._images.prune()
            self.on_end(instance)
            for nic_id in nics:
                self._networks.detach(nic_id)
            set_state(instance, "terminated")
            with account.lock:
                release_interfaces(instance)
            self._networks.reconcile()

        self._do(instance, "terminate", act)

    def console(self, instance_id: str) -> str:
        """Return what a host wrote to its console, in base64.

        Args:
            instance_id: the instance.

        Returns:
            The text; empty for a host that has not said anything.
        """
        with self._lock:
            host = self._hosts.get(instance_id)
        text = host.console() if host is not None else ""
        return base64.b64encode(text.encode()[-65536:]).decode()

    def status(self) -> list[dict[str, Any]]:
        """List the instances of all regions."""
        with account.lock:
            return [
                {
                    "id": instance.id,
                    "state": instance.state,
                    "type": instance.instance_type,
                    "image": _title_of(region, instance.image_id),
                    "private": instance.private_ip or "",
                    "public": instance.public_ip or "",
                }
                for region in account.ec2_regions()
                for instance in account.ec2(region).all_instances()
            ]

    def close(self) -> None:
        """Remove all hosts."""
        with self._lock:
            hosts, self._hosts = list(self._hosts.values()), {}
        do_together(host.remove for host in hosts)


def _title_of(region: str, image_id: str) -> str:
    """Return what an image is called: its operating system, or the name that the account gave it."""
    image = account.ec2(region).amis.get(image_id)
    return amis.system_of(image_id) or (image.name if image is not None else image_id)


def release_interfaces(instance: Any) -> None:
    """Take a terminated instance's interfaces away, and what was associated with them.

    Args:
        instance: moto's instance.
    """
    backend = instance.ec2_backend
    for nic in list(instance.nics.values()):
        for address in backend.addresses:
            if address.eni is nic:
                address.instance = address.eni = address.association_id = None
        nic.public_ip = None
        backend.enis.pop(nic.id, None)
        for item in nic.private_ip_addresses:
            nic.subnet.del_subnet_ip(item["PrivateIpAddress"])


def is_nitro(instance_type: str) -> bool:
    """Tell whether a type's disks are NVMe devices.

    Args:
        instance_type: e.g. ``t3.small``.
    """
    return bool(INSTANCE_TYPES[instance_type].get("Hypervisor") == "nitro")


def size_of(instance_type: str) -> tuple[int, int]:
    """Say how big an instance type is.

    Args:
        instance_type: e.g. ``t3.small``.

    Returns:
        Memory in MiB and the number of virtual processors.
    """
    facts = INSTANCE_TYPES[instance_type]
    return int(facts["MemoryInfo"]["SizeInMiB"]), int(facts["VCpuInfo"]["DefaultVCpus"])
