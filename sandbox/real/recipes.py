"""What each image is made of: systems of AMIs, database engines, and what container images need."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from sandbox.real.systems import SYSTEMS

FILES = Path(__file__).with_name("image_files")
"""Files that go into an image as they are, below `host/` and `database/`, at the same path.

An `.in` at a name's end is dropped: it keeps a host's program from being taken for one of this project.
"""

_HOST_PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "libpam-systemd", "python3", "python3-apt", "openssh-server", "sudo",
    "ca-certificates", "e2fsprogs", "iproute2", "iputils-ping", "procps", "cloud-init", "curl", "less",
    "locales", "netbase", "unattended-upgrades", "wget",
)  # fmt: skip

_MASKED_UNITS = (
    "systemd-udevd.service", "systemd-udevd-kernel.socket", "systemd-udevd-control.socket",
    "systemd-udev-trigger.service", "systemd-networkd-wait-online.service", "console-getty.service",
    "getty@.service", "getty.target", "getty-static.service", "systemd-remount-fs.service",
    "systemd-modules-load.service", "systemd-sysctl.service", "dev-hugepages.mount",
    "sys-kernel-config.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",
    "sys-fs-fuse-connections.mount", "dev-mqueue.mount", "proc-sys-fs-binfmt_misc.automount",
    "systemd-firstboot.service", "systemd-binfmt.service",
    "cloud-init-hotplugd.socket", "kmod-static-nodes.service", "modprobe@.service",
    "systemd-pcrphase.service", "systemd-hwdb-update.service", "systemd-journal-catalog-update.service",
)  # fmt: skip
"""What drives a machine's hardware, kernel and screen, which a container does not have."""

_DISABLED_UNITS = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
    "e2scrub_reap.service", "fstrim.timer", "systemd-pstore.service", "systemd-networkd.service",
    "unattended-upgrades.service",
)  # fmt: skip
"""What a user may turn on, and only costs time in a sandbox."""

_HOST_SETUP = (
    'systemctl --root="$1" set-default multi-user.target',
    f'systemctl --root="$1" mask {" ".join(_MASKED_UNITS)}',
    f'systemctl --root="$1" disable {" ".join(_DISABLED_UNITS)} || true',
    # A command under sudo sees the machine's environment, as an ssh session does.
    'sed -i \'/pam_limits.so/a session    required   pam_env.so\' "$1"/etc/pam.d/sudo "$1"/etc/pam.d/sudo-i',
    'touch "$1"/etc/.updated "$1"/var/.updated',
    # Host keys, machine id and names are made by each host for itself.
    'rm -f "$1"/etc/ssh/ssh_host_* "$1"/var/lib/dbus/machine-id "$1"/etc/resolv.conf "$1"/etc/hostname',
    ': > "$1"/etc/machine-id',
    'chroot "$1" passwd --lock root',
)

_DATABASE_SETUP = (
    "rm -rf \"$1\"/var/lib/postgresql/*/main \"$1\"/etc/postgresql",
)  # fmt: skip


# Debian's stable releases have no MySQL server.
_MYSQL = "mysql-9"
_MYSQL_SETUP = ('rm -rf "$1"/var/lib/mysql',)

_DATABASES = {"postgresql-17": "debian-13", "postgresql-15": "debian-12"}
"""The package of each database server, and the system that has it."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How an image is made.

    Attributes:
        kind: the image's name, `debian-13` or `postgresql-17`.
        suite: the Debian release it is made from.
        packages: what is installed beyond the minimal system.
        files: the directory below `image_files/` whose files go in.
        setup: shell lines run at the end, `$1` the new root.
        options: apt's, for this image alone.
        is_early: built ahead of need with the others; otherwise when it is asked for by name.
        is_base: others build images on it, which are theirs.
    """

    kind: str
    suite: str
    packages: tuple[str, ...]
    files: str
    setup: tuple[str, ...]
    # Images that have none of these keep their names.
    options: tuple[str, ...] = dataclasses.field(default=(), repr=False)
    is_early: bool = dataclasses.field(default=True, repr=False)
    is_base: bool = dataclasses.field(default=False, repr=False)


RECIPES: dict[str, Recipe] = {
    recipe.kind: recipe
    for recipe in (
        *(
            Recipe(system.name, system.suite, _HOST_PACKAGES, "host", _HOST_SETUP)
            for system in SYSTEMS.values()
        ),
        *(
            Recipe(kind, SYSTEMS[system].suite, (kind, "ca-certificates"), "database", _DATABASE_SETUP)
            for kind, system in _DATABASES.items()
        ),
        Recipe(
            _MYSQL,
            "sid",
            ("mysql-server", "ca-certificates", "socat"),
            "mysql",
            _MYSQL_SETUP,
            # A mirror may have last been given a list of sid's packages some days ago.
            options=('Acquire::Check-Valid-Until "false"',),
            is_early=False,
        ),
        # Stands for a public base of container images, where no public registry can be reached.
        Recipe(
            "container-base",
            "trixie",
            ("python3", "python3-venv", "ca-certificates"),
            "container-base",
            (),
            is_early=False,
            is_base=True,
        ),
        Recipe(
            "registry", "bookworm", ("docker-registry", "ca-certificates"), "registry", (), is_early=False
        ),
    )
}
"""Every image there is, by kind."""
