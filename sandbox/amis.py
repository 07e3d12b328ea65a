"""The machine images that the sandbox offers, named and owned like Debian's own on AWS.

Source of names and owner: https://wiki.debian.org/Cloud/AmazonEC2Image/Bookworm and .../Trixie.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from sandbox.real.systems import SYSTEMS

_DEBIAN = "136693071363"

ROOT_GIB = 8
"""The size of their root volume."""


def _image(system: str, build: str) -> dict[str, Any]:
    name = f"{system}-amd64-{build}"
    date = build.split("-", maxsplit=1)[0]
    title = system.replace("-", " ").replace("debian", "Debian")
    return {
        "ami_id": f"ami-0{hashlib.sha256(name.encode()).hexdigest()[:16]}",
        "name": name,
        "description": f"{title} ({date})",
        "owner_id": _DEBIAN,
        "public": True,
        "virtualization_type": "hvm",
        "architecture": "x86_64",
        "state": "available",
        "creation_date": f"{date[:4]}-{date[4:6]}-{date[6:]}T06:12:01.000Z",
        "image_type": "machine",
        "image_location": f"{_DEBIAN}/{name}",
        "hypervisor": "xen",
        "root_device_type": "ebs",
        "root_device_name": "/dev/xvda",
        "boot_mode": "uefi-preferred",
    }


def images() -> list[dict[str, Any]]:
    """List the images the way moto reads them.

    Returns:
        The images.
    """
    return [_image(system.name, build) for system in SYSTEMS.values() for build in system.builds]


def system_of(ami_id: str) -> str | None:
    """Name the operating system that an image boots.

    Args:
        ami_id: the image's id.

    Returns:
        One of `SYSTEMS`, or nothing for an unknown image or one of the account's own.
    """
    for image in images():
        if image["ami_id"] == ami_id:
            return str(image["name"]).split("-amd64")[0]
    return None


def write(path: Path) -> None:
    """Write the list of images as JSON.

    Args:
        path: the file.
    """
    path.write_text(json.dumps(images(), indent=1), encoding="utf-8")
