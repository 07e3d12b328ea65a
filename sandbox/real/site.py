"""A site: the piece of the machine's network that one sandbox has for itself.

Site N is the bridge `fsN` with 198.18.N.1/24, and the nftables table `flowstead_N` that lets the range out of
the machine behind the machine's own address. 198.18.0.0/15 is set aside for bench tests (RFC 2544) and never
routed on the internet. Making the bridge is the claim: the kernel lets one process win. Its hardware address
tells whose it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from pathlib import Path

from sandbox.real import containers, loops, machine_names, namespaces
from sandbox.real.commands import CommandError, RealError, attempt, run
from sandbox.real.locks import exclusive_lock

SITES = 128
UPLINKS = range(2, 10)
"""Last parts of the addresses of VPCs' routers."""
PUBLIC = range(10, 251)
"""Last parts of the addresses that stand for public ones."""
MEMORY = Path("/run/flowstead")
"""What the machine was like before the first site; gone with the last."""
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
VOLUMES, SNAPSHOTS_OF_VOLUMES = "volumes", "volume-snapshots"
"""Where a site's directory has them."""


class AddressPool:
    """The public addresses of a site, each given out once."""

    def __init__(self, addresses: list[str]) -> None:
        """Begin with all addresses free."""
        self._free = list(addresses)
        self._all = frozenset(addresses)
        self._lock = threading.Lock()

    def take(self) -> str:
        """Return an address that nobody has; one given back comes last.

        Raises:
            RealError: all are taken.
        """
        with self._lock:
            if not self._free:
                raise RealError(f"all {len(self._all)} public addresses of this sandbox are taken")
            return self._free.pop(0)

    def give_back(self, address: str) -> None:
        """Take an address back; one that was never out is ignored."""
        with self._lock:
            if address in self._all and address not in self._free:
                self._free.append(address)


class Site:
    """A claimed site.

    Attributes:
        name: the sandbox's name.
        clone: short hash of the clone the sandbox belongs to.
        state_dir: where the sandbox keeps its files.
        index: N, 0 to 127.
        bridge: the bridge's name, `fsN`.
        gateway: the machine's own address on it, 198.18.N.1: the API's.
        network: the site's range as a CIDR.
        public_addresses: the pool of addresses that stand for public ones.
    """

    def __init__(self, name: str, state_dir: Path, clone: str, index: int) -> None:
        """Describe a site; `claim` makes one."""
        self.name = name
        self.clone = clone
        self.state_dir = state_dir
        self.index = index
        self.bridge = f"fs{index}"
        self.gateway = f"198.18.{index}.1"
        self.network = f"198.18.{index}.0/24"
        self.public_addresses = AddressPool([f"198.18.{index}.{last}" for last in PUBLIC])
        self._uplinks = AddressPool([f"198.18.{index}.{last}" for last in UPLINKS])

    @classmethod
    def claim(cls, name: str, state_dir: Path, clone: str) -> Site:
        """Claim the first free site of this machine and bring it up.

        Args:
            name: the sandbox's name.
            state_dir: the sandbox's directory; made when absent.
            clone: short hash of the clone's path.

        Raises:
            RealError: not root, all sites taken, or the kernel refuses.
        """
        if os.geteuid() != 0:
            raise RealError("the local AWS makes network namespaces and containers: run it as root")
        state_dir.mkdir(parents=True, exist_ok=True)
        with exclusive_lock(MEMORY.parent):
            site = cls(name, state_dir, clone, _make_bridge(name, clone))
            site._forget_files()
            try:
                site._bring_up()
            except BaseException:
                site._take_down()
                raise
        return site

    @staticmethod
    def clear(name: str, clone: str) -> None:
        """Remove all that a sandbox of that name left on the machine, however it ended."""
        containers.clear(name, clone)
        loops.unplug_all(Site(name, Path(), clone, 0).container("vol-"))
        machine_names.show(name, clone, {})
        with exclusive_lock(MEMORY.parent):
            for index in _indexes(name, clone):
                Site(name, Path(), clone, index)._take_down()  # noqa: SLF001 - its own
            _forget_forwarding()

    def release(self) -> None:
        """Remove the site and all that is on it, with the data of hosts and databases."""
        Site.clear(self.name, self.clone)
        self._forget_files()

    def namespace(self, thing: str) -> str:
        """Return the name of the network namespace of a thing, such as an instance or a VPC, of this site."""
        return f"{self.bridge}-{thing}"

    def container(self, thing: str) -> str:
        """Return the name of the container of a thing of this site."""
        return f"flowstead.{self.clone}.{self.name}.{thing}"

    def labels(self) -> tuple[str, ...]:
        """Return podman's options that mark a container as this sandbox's."""
        return containers.labels(self.name, self.clone)

    def take_uplink(self) -> str:
        """Return an address for a VPC's router.

        Raises:
            RealError: there are as many VPCs as a site has room for.
        """
        try:
            return self._uplinks.take()
        except RealError as error:
            raise RealError(f"a sandbox has room for {len(UPLINKS)} VPCs with hosts") from error

    def give_back_uplink(self, address: str) -> None:
        """Take the address of a removed router back."""
        self._uplinks.give_back(address)

    def _bring_up(self) -> None:
        self._remove_parts()  # of a site of this number before a reboot or a kill
        run("ip", "link", "set", self.bridge, "alias", f"flowstead sandbox {self.name}")
        run("ip", "address", "add", f"{self.gateway}/24", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")
        _remember_forwarding()
        namespaces.nft(None, self._ruleset())

    def _ruleset(self) -> str:
        return f"""
            table ip flowstead_{self.index} {{
                chain forward {{
                    type filter hook forward priority filter; policy accept;
                    iifname "{self.bridge}" oifname != "{self.bridge}" oifname "fs*" drop
                }}
                chain postrouting {{
                    type nat hook postrouting priority srcnat; policy accept;
                    ip saddr {self.network} oifname != {{ "{self.bridge}", "lo" }} masquerade
                }}
            }}
        """

    def _forget_files(self) -> None:
        """Remove data and consoles of hosts and databases; an account that is gone has no use for them."""
        for part in ("databases", "snapshots", "hosts", VOLUMES, SNAPSHOTS_OF_VOLUMES):
            shutil.rmtree(self.state_dir / part, ignore_errors=True)

    def _take_down(self) -> None:
        """Remove the parts, the bridge last: while it stands, the number is taken and `clear` finds it."""
        self._remove_parts()
        attempt("ip", "link", "delete", self.bridge)

    def _remove_parts(self) -> None:
        for link in _links("master", self.bridge):
            attempt("ip", "link", "delete", str(link["ifname"]))
        for namespace in namespaces.named(f"{self.bridge}-"):
            namespaces.remove(namespace)
        attempt("nft", "delete", "table", "ip", f"flowstead_{self.index}")


def _hardware_address(name: str, clone: str) -> str:
    """Return the bridge's address: locally administered, the same for each claim of the same sandbox."""
    digest = hashlib.sha256(f"flowstead {clone} {name}".encode()).digest()
    return ":".join(f"{part:02x}" for part in (0x02, *digest[:5]))


def _make_bridge(name: str, clone: str) -> int:
    address = _hardware_address(name, clone)
    for index in range(SITES):
        if Path(f"/sys/class/net/fs{index}").exists():
            continue
        try:
            run("ip", "link", "add", f"fs{index}", "address", address, "type", "bridge")
        except CommandError as error:
            if "File exists" in error.output:
                continue
            raise
        return index
    raise RealError(f"all {SITES} sites of this machine are taken: stop a sandbox")


def _links(*selection: str) -> list[dict[str, object]]:
    try:
        found = json.loads(run("ip", "-json", "link", "show", *selection) or "[]")
    except CommandError:
        return []
    return [link for link in found if link]


def _indexes(name: str, clone: str) -> list[int]:
    """Return the numbers of the sites that a sandbox holds."""
    address = _hardware_address(name, clone)
    bridges = [link for link in _links("type", "bridge") if link.get("address") == address]
    return [int(str(link["ifname"]).removeprefix("fs")) for link in bridges]


def _remember_forwarding() -> None:
    """Have the machine forward packets, and note how it was."""
    MEMORY.mkdir(exist_ok=True)
    note = MEMORY / "ip_forward"
    if not note.exists():
        note.write_text(FORWARDING.read_text())
    FORWARDING.write_text("1")


def _forget_forwarding() -> None:
    """Put forwarding back when no site is left."""
    note = MEMORY / "ip_forward"
    if any(Path(f"/sys/class/net/fs{index}").exists() for index in range(SITES)) or not note.exists():
        return
    FORWARDING.write_text(note.read_text())
    shutil.rmtree(MEMORY, ignore_errors=True)
