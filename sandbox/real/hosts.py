"""Hosts: containers that boot systemd, cloud-init and sshd, and stop, start and reboot as machines do."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.real import containers, devices, disks, loops, machine_names
from sandbox.real.commands import CommandError, RealError, attempt, run
from sandbox.real.site import Site

_REBOOTED = 128 + signal.SIGHUP
"""How a container ends that reboots itself: the kernel ends init with SIGHUP (reboot(2), PID namespaces)."""
_INIT_TRIES = 10
_CAPABILITIES = (
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_PTRACE",
    "NET_ADMIN",
    "NET_RAW",
    "AUDIT_WRITE",
    "SYS_NICE",
    "DAC_READ_SEARCH",
)
"""What a machine's root has and the services' sandboxing by systemd needs, beyond podman's own set."""
_KERNEL_SHARE = 0.04
"""Part of a machine's memory that its kernel keeps: a t3.small says 1.9 GiB."""


class Host:
    """One EC2 instance's real machine.

    Attributes:
        instance_id: the account's name for it.
    """

    def __init__(
        self,
        site: Site,
        instance_id: str,
        netns: str,
        image: str,
        *,
        hostname: str,
        dns_ip: str,
        memory_mib: int,
        vcpus: int,
        on_change: Callable[[containers.State], None] | None = None,
    ) -> None:
        """Describe a host; `run` makes it.

        Args:
            site: where it lives.
            instance_id: names it.
            netns: its network namespace, as `Vpc.attach` returned it.
            image: what it boots, as `images.ensure` returned it.
            hostname: its name, `ip-10-80-0-12`.
            dns_ip: the VPC's resolver.
            memory_mib: memory of its type.
            vcpus: processors of its type.
            on_change: told, from a thread, when the host goes down or reboots by itself.
        """
        self.instance_id = instance_id
        self._site = site
        self._netns = netns
        self._image = image
        self._hostname = hostname
        self._dns_ip = dns_ip
        self._memory_mib = memory_mib
        self._vcpus = vcpus
        self._on_change = on_change or (lambda _: None)
        self._name = site.container(instance_id)
        self._files = site.state_dir / "hosts" / instance_id
        self._lock = threading.RLock()
        self._disks: list[devices.Disk] = []
        self._boot_number = 0  # so that the watcher of a boot knows when its end was asked for

    @property
    def pid(self) -> int | None:
        """The machine's process id of the host's systemd, or None when it does not run."""
        found = containers.inspect(self._name) or {}
        return int(found["Pid"]) if found.get("Status") == "running" else None

    def _first_process(self) -> int:
        """Return the process id of what was made ready to boot."""
        return int((containers.inspect(self._name) or {})["Pid"])

    def run(self) -> None:
        """Make the host and boot it.

        Raises:
            CommandError: podman refuses.
        """
        with self._lock:
            containers.remove(self._name)
            shutil.rmtree(self._files, ignore_errors=True)
            self._files.mkdir(parents=True)
            (self._files / "meminfo").write_text(meminfo(self._memory_mib))
            (self._files / "hosts").write_text(machine_names.of_others())
            run("podman", "create", *self._options(), self._image, *_init())
            self._boot()

    def stop(self, timeout_s: int = 30) -> None:
        """Shut the host down, or pull the plug after a time; nothing to do when it is down."""
        with self._lock:
            self._boot_number += 1
            run("podman", "stop", "--time", str(timeout_s), self._name, timeout_s=timeout_s + 60)

    def start(self) -> None:
        """Boot the host again; nothing to do when it runs."""
        with self._lock:
            if self.state() != "running":
                self._boot()

    def reboot(self, timeout_s: int = 30) -> None:
        """Shut the host down and boot it again."""
        with self._lock:
            self.stop(timeout_s)
            self._boot()

    def remove(self) -> None:
        """Pull the plug and remove the host and its disk; nothing to do without one."""
        with self._lock:
            self._boot_number += 1
            containers.remove(self._name)
            shutil.rmtree(self._files, ignore_errors=True)

    def attach(self, disk: devices.Disk) -> None:
        """Give the host a disk, at once if it runs; it has it until it is removed, whatever boots.

        Raises:
            CommandError: the disk cannot be shown to the host.
        """
        with self._lock:
            self._disks.append(disk)
            if pid := self.pid:
                disk.place(pid)

    def is_using(self, disk: devices.Disk) -> bool:
        """Tell whether a file system of a disk is mounted."""
        pid = self.pid
        return pid is not None and bool(disk.mounts(pid))

    def mount_of(self, disk: devices.Disk) -> Path | None:
        """Return where a disk is mounted, as this machine sees it."""
        pid = self.pid
        return next(iter(disk.mounts(pid)), None) if pid is not None else None

    def unmount(self, disk: devices.Disk) -> None:
        """Take a disk away from under whatever uses it on the host."""
        if pid := self.pid:
            disk.unmount(pid)

    def detach(self, disk: devices.Disk) -> None:
        """Take a disk away that the host does not use."""
        with self._lock:
            if disk in self._disks:
                self._disks.remove(disk)
            if pid := self.pid:
                disk.take_away(pid)

    def keep_disk(self, clone: str, names: Sequence[str], facts: Mapping[str, Any]) -> None:
        """Keep the host's disk as it is now, as `disks.keep` does.

        Raises:
            CommandError: podman fails.
        """
        disks.keep(self._name, clone, names, facts)

    def console(self) -> str:
        """Return what the host has written to its console since it was made."""
        return containers.read_log(self._files / "console.log")

    def state(self) -> containers.State:
        """Return whether the host runs, is down, or was never made."""
        found = containers.inspect(self._name)
        if found is None:
            return "absent"
        return "running" if found["Status"] == "running" else "stopped"

    def wait_booted(self, timeout_s: float = 120.0) -> None:
        """Wait until the host answers: its sshd listens, or cloud-init has done all it was told.

        Raises:
            RealError: it went down, or took longer; with the last lines of its console.
        """
        self._wait(timeout_s, lambda pid: _listens(pid) or _is_initialised(pid), "ssh does not listen")

    def wait_initialised(self, timeout_s: float = 600.0) -> None:
        """Wait until cloud-init has done all it was told.

        Raises:
            RealError: as `wait_booted`.
        """
        self._wait(timeout_s, _is_initialised, "cloud-init is not done")

    def _wait(self, timeout_s: float, is_ready: Callable[[int], bool], failing: str) -> None:
        end = time.monotonic() + timeout_s
        pid = self.pid
        while pid is None or not is_ready(pid):
            if time.monotonic() > end or (pid is None and self.state() == "absent"):
                last = "\n".join(self.console().splitlines()[-15:])
                raise RealError(f"{self.instance_id} did not boot: {failing} after {timeout_s:.0f} s\n{last}")
            time.sleep(0.05)
            if pid is None or not Path(f"/proc/{pid}").exists():
                pid = self.pid

    def _options(self) -> list[str]:
        processors = min(self._vcpus, os.cpu_count() or 1)
        # Hosts of a machine with many processors do not all sit on the first ones.
        first = int.from_bytes(self.instance_id.encode()[-4:]) % ((os.cpu_count() or 1) - processors + 1)
        return [
            *containers.runtime_options(),
            "--name", self._name,
            *self._site.labels(),
            "--hostname", self._hostname,
            "--network", f"ns:{self._netns}",
            "--dns", self._dns_ip,
            # podman would copy the machine's, with the names as the internet sees them.
            "--no-hosts",
            "--volume", f"{self._files / 'hosts'}:/etc/hosts",
            "--dns-search", "ec2.internal",
            "--sysctl", "net.ipv4.ping_group_range=0 2147483647",
            "--systemd", "always",
            "--tty",
            "--stop-signal", "SIGRTMIN+3",
            "--cgroupns", "private",
            *(part for name in _capabilities() for part in ("--cap-add", name)),
            "--security-opt", "seccomp=unconfined",
            "--security-opt", "apparmor=unconfined",
            "--security-opt", "label=disable",
            "--memory", f"{self._memory_mib}m",
            "--cpuset-cpus", f"{first}-{first + processors - 1}",
            "--volume", f"{self._files / 'meminfo'}:/proc/meminfo:ro",
            *loops.container_options(),
            "--log-driver", "k8s-file",
            "--log-opt", f"path={self._files / 'console.log'}",
            *containers.limit_options(),
            *_legacy_environment(),
        ]  # fmt: skip

    def _boot(self) -> None:
        shown = self._show_disks() if self._disks else None
        run("podman", "start", self._name)
        pid = self.pid
        if pid is None:
            raise RealError(f"{self.instance_id} ended as soon as it was started\n{self.console()[-2000:]}")
        if shown not in {None, pid}:
            for disk in self._disks:
                disk.place(pid)
        self._boot_number += 1
        with contextlib.suppress(ProcessLookupError):
            watching = (os.pidfd_open(pid), self._boot_number)
            threading.Thread(target=self._watch, args=watching, name=self._name, daemon=True).start()

    def _show_disks(self) -> int:
        """Have the host's disks in /dev before anything of it runs: systemd mounts what fstab names at once.

        podman clears up after the boot before at its leisure, and may take along what was made for this one.

        Returns:
            The process id of what was made ready to boot.
        """
        for left in reversed(range(_INIT_TRIES)):
            attempt("podman", "init", self._name)
            pid = self._first_process()
            try:
                for disk in self._disks:
                    disk.place(pid)
            except CommandError:
                if not left:
                    raise
                time.sleep(1)
            else:
                break
        return pid

    def _watch(self, descriptor: int, boot_number: int) -> None:
        """Wait for the end of a boot; one that asked for a reboot itself is followed by the next."""
        try:
            waiting = select.poll()
            waiting.register(descriptor, select.POLLIN)
            waiting.poll()
        finally:
            os.close(descriptor)
        with self._lock:  # whoever stops, reboots or removes the host holds it
            found = self._ended() if boot_number == self._boot_number else None
            if found is None:
                return
            if found["ExitCode"] == _REBOOTED:
                with contextlib.suppress(CommandError, RealError):
                    self._boot()
        self._on_change(self.state())

    def _ended(self) -> dict[str, object] | None:
        """Return how the host ended, once podman knows; None when it runs again or is gone."""
        for _ in range(100):
            found = containers.inspect(self._name)
            if found is None or (found["Status"] == "running" and Path(f"/proc/{found['Pid']}").exists()):
                return None
            if found["Status"] == "exited":
                return found
            time.sleep(0.1)
        return None


def meminfo(memory_mib: int) -> str:
    """Return /proc/meminfo of a machine with that much memory, most of it free."""
    total = int(memory_mib * 1024 * (1 - _KERNEL_SHARE))
    lines = {"MemTotal": total, "MemFree": total * 3 // 4, "MemAvailable": total * 7 // 8}
    lines |= dict.fromkeys(
        ("Buffers", "Cached", "SwapCached", "SwapTotal", "SwapFree", "Dirty", "Shmem", "Slab"), 0
    )
    return "".join(f"{name + ':':<16}{value:>8} kB\n" for name, value in lines.items())


def _capabilities() -> tuple[str, ...]:
    return _CAPABILITIES + (("SYS_RESOURCE",) if containers.may_raise_limits() else ())


def _init() -> list[str]:
    """Return what a host's container runs."""
    return ["/usr/local/sbin/sandbox-init", *_legacy()]


def _legacy() -> list[str]:
    """Return what systemd 256 and later must be told to boot on cgroup v1."""
    return ["SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"] if containers.cgroup_version() == 1 else []


def _legacy_environment() -> list[str]:
    return [part for setting in _legacy() for part in ("--env", setting)]


def _listens(pid: int) -> bool:
    with contextlib.suppress(OSError):
        for table in ("tcp", "tcp6"):
            file = Path(f"/proc/{pid}/net/{table}")
            if file.exists() and any(
                ":0016 " in line and " 0A " in line for line in file.read_text().splitlines()
            ):
                return True
    return False


def _is_initialised(pid: int) -> bool:
    return Path(f"/proc/{pid}/root/run/cloud-init/result.json").exists()
