"""Action plugin `flowstead_volume`: looks at the volume, and sends modules only where something differs.

The module of the same name has the documentation.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

OPTIONS: dict[str, dict[str, Any]] = {
    "volume_id": {"type": "str", "required": True},
    "device": {"type": "str", "required": True},
    "path": {"type": "path", "required": True},
    "options": {"type": "str", "required": True},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
    "mode": {"type": "str", "default": "0755"},
}
FILE_SYSTEM = "ext4"
# Less room than a group of blocks is not used by the file system (ext4(5)): 128 MiB of the usual 4 KiB each
LEAST_GROWTH = 128 * 1024**2
# What the volume is and has, and what the path is, as lines of a name and a value
LOOK = r"""
path=$1; shift; PATH=$PATH:/usr/sbin:/sbin; export LC_ALL=C
for one; do if [ -b "$one" ]; then device=$(readlink -f "$one"); break; fi; done
if [ -n "$device" ]; then
    echo "device=$device"
    echo "number=$(mountpoint -x "$device")"
    echo "size=$(blockdev --getsize64 "$device")"
    blkid --probe --output export "$device"
    tune2fs -l "$device" 2> /dev/null | sed -n 's/^Block \(count\|size\): */block_\1=/p'
fi
if [ -d "$path" ]; then
    echo "stat=$(stat -c '%a %U %G' "$path")"
    echo "first=$(find "$path" -mindepth 1 -maxdepth 1 -print -quit)"
    if mountpoint -q "$path"; then echo "mounted=$(mountpoint -d "$path")"; fi
fi
findmnt --fstab --noheadings --raw --output SOURCE,FSTYPE,OPTIONS "$path" | sed 's/^/fstab=/'
true
"""
# On another host the user's name may have another number: what was that user's is so again. The directory
# comes last, so that this is done again if it was interrupted
GIVE = r"""
was=$(stat -c %u "$1")
if [ "$was" != 0 ] && [ "$was" != "$(id -u "$2")" ]; then
    find "$1" -xdev -mindepth 1 -uid "$was" -exec chown --no-dereference "$2:$3" {} +
fi
"""


class VolumeError(Exception):
    """What is wrong, as a sentence."""


@dataclass(frozen=True)
class Wanted:
    """What a volume is to be.

    Args:
        volume_id: its EC2 id.
        device: the name that it is attached by.
        path: where it is mounted.
        options: of the mount.
        stat: mode, owner and group of its directory, as stat prints them.

    """

    volume_id: str
    device: str
    path: str
    options: str
    stat: str

    @property
    def names(self) -> list[str]:
        """The names that it may have on a host: by its id on Nitro, by the attachment's elsewhere."""
        by_id = f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{self.volume_id.replace('-', '')}"
        return [by_id, self.device.replace("/dev/sd", "/dev/xvd"), self.device]


def read(said: str) -> dict[str, str]:
    """Read what a look printed; what was not said is empty."""
    pairs = (line.partition("=")[::2] for line in said.splitlines() if "=" in line)
    names = ("device", "number", "size", "stat", "first", "mounted", "fstab", "TYPE", "UUID", "PTTYPE")
    return dict.fromkeys((*names, "block_count", "block_size"), "") | dict(pairs)


def refuse(seen: dict[str, str], wanted: Wanted) -> None:
    """Refuse what would lose data or hide it.

    Args:
        seen: what a look has found.
        wanted: what is wanted.

    Raises:
        VolumeError: says what it is and what to do.

    """
    if not seen["device"]:
        raise VolumeError(
            f"The volume {wanted.volume_id} is not attached to this host: there is none of "
            f"{', '.join(wanted.names)}. Run: python provision.py"
        )
    if seen["TYPE"] not in {"", FILE_SYSTEM} or (seen["PTTYPE"] and not seen["TYPE"]):
        what = seen["TYPE"] or f"a partition table ({seen['PTTYPE']})"
        raise VolumeError(
            f"The volume {wanted.volume_id} ({seen['device']}) has {what}, and no {FILE_SYSTEM}: it is not "
            "made anew, for its data would be lost. Attach the right one, or empty it yourself: wipefs --all "
            f"{seen['device']}"
        )
    if seen["mounted"] and not is_mounted(seen):
        raise VolumeError(
            f"{wanted.path} has another file system mounted, and the volume {wanted.volume_id} "
            f"({seen['device']}) is wanted there. Unmount it first: umount {wanted.path}"
        )
    if not seen["mounted"] and seen["first"]:
        raise VolumeError(
            f"{wanted.path} has files ({seen['first']}) on the host's own disk, which the volume "
            f"{wanted.volume_id} would hide. Move them elsewhere first."
        )


def is_mounted(seen: dict[str, str]) -> bool:
    """Tell whether the volume is mounted where it should be."""
    return bool(seen["number"]) and seen["mounted"] == seen["number"]


def differences(seen: dict[str, str], wanted: Wanted) -> dict[str, tuple[str, str]]:
    """Say what is not as wanted, in the order in which it is put right: what there is, and what is wanted."""
    found: dict[str, tuple[str, str]] = {}
    if not seen["TYPE"]:
        found["file system"] = ("none", FILE_SYSTEM)
    entry = f"UUID={seen['UUID']} {FILE_SYSTEM} {wanted.options}"
    if not is_mounted(seen) or seen["fstab"] != entry:
        has = f"{seen['fstab'] or 'none'}, {'mounted' if is_mounted(seen) else 'not mounted'}"
        found["mount"] = (has, f"{entry if seen['UUID'] else wanted.options}, mounted")
    used = int(seen["block_count"] or 0) * int(seen["block_size"] or 0)
    if used and int(seen["size"]) - used >= LEAST_GROWTH:
        found["size"] = (f"{used} bytes", f"{seen['size']} bytes")
    if not is_mounted(seen) or seen["stat"] != wanted.stat:
        found["directory"] = (seen["stat"] if is_mounted(seen) else "none", wanted.stat)
    return found


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """The task `flowstead_volume`."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task.

        Args:
            tmp: unused; Ansible passes it.
            task_vars: the host's variables.

        Returns:
            The result, as the module's documentation has it.

        Raises:
            AnsibleActionFail: the volume is not there, or has something else on it, or a module failed.

        """
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(OPTIONS)
        stat = f"{int(args['mode'], 8):o} {args['owner']} {args['group']}"
        wanted = Wanted(args["volume_id"], args["device"], args["path"], args["options"], stat)
        try:
            seen = self._look(wanted)
            found = differences(seen, wanted)
            if found and not self._task.check_mode:
                self._put_right(found, wanted, args, task_vars)
        except VolumeError as failed:
            raise AnsibleActionFail(str(failed)) from failed
        before, after = ("".join(f"{name}: {one[n]}\n" for name, one in found.items()) for n in (0, 1))
        result = {"changed": bool(found), "differs": list(found), "device": seen["device"]}
        return result | {"diff": {"before": before, "after": after}}

    def _look(self, wanted: Wanted) -> dict[str, str]:
        """Ask the host in one go, and refuse what must not go on."""
        command = shlex.join(["sh", "-c", LOOK, "-", wanted.path, *wanted.names])
        # With something to read it has no terminal, on which errors would stand among the answer
        said = self._low_level_execute_command(command, in_data=b"\n")
        if said["rc"]:
            raise VolumeError(f"The volume cannot be looked at: {said['stderr'] or said['stdout']}")
        seen = read(said["stdout"])
        refuse(seen, wanted)
        return seen

    def _put_right(
        self, found: dict[str, Any], wanted: Wanted, args: dict[str, Any], task_vars: dict[str, Any] | None
    ) -> None:
        """Send the modules that do it, each only where it is needed; a file system that grows is mounted."""

        def do(module: str, **words: Any) -> None:
            said = self._execute_module(module_name=module, module_args=words, task_vars=task_vars)
            if said.get("failed"):
                raise VolumeError(f"{wanted.volume_id}, {module}: {said.get('msg')}")

        device = self._look(wanted)["device"]
        if "file system" in found:
            do("community.general.filesystem", dev=device, fstype=FILE_SYSTEM)
        if "mount" in found:
            do(
                "ansible.posix.mount",
                path=wanted.path,
                src=f"UUID={self._look(wanted)['UUID']}",
                fstype=FILE_SYSTEM,
                opts=wanted.options,
                state="mounted",
            )
            # What needs the mount finds it by fstab
            do("ansible.builtin.systemd_service", daemon_reload=True)
        if "size" in found:
            do("community.general.filesystem", dev=device, fstype=FILE_SYSTEM, resizefs=True)
        if "directory" in found:
            give = shlex.join(["sh", "-c", GIVE, "-", wanted.path, args["owner"], args["group"]])
            said = self._low_level_execute_command(give, in_data=b"\n")
            if said["rc"]:
                raise VolumeError(
                    f"The files in {wanted.path} cannot be given to {args['owner']}: {said['stderr']}"
                )
            directory = {name: args[name] for name in ("path", "owner", "group", "mode")}
            do("ansible.builtin.file", state="directory", **directory)
