"""The operating systems that a server can have, by deployment.yml's name of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

BAKED = "baked-"
"""Before a system's name: an image of the account's own, with everything installed."""


@dataclass(frozen=True)
class System:
    """An operating system, as its publisher's images have it.

    Args:
        owner: AWS account of the publisher.
        images: pattern of the images' names; `{debian}` and `{kernel}` are the processor's names.
        user: who logs in.
        release: ID and VERSION_ID of /etc/os-release.
        postgresql: major version of the pg_dump that the role mlflow_data installs from its packages.
        packages: name of the S3 bucket that its packages come from, by region; empty: not from S3.

    """

    owner: str
    images: str
    user: str
    release: tuple[str, str]
    postgresql: int
    packages: str = ""


_DEBIAN, _CANONICAL, _AMAZON = "136693071363", "099720109477", "137112412989"

systems: Mapping[str, System] = MappingProxyType(
    {
        "debian-13": System(_DEBIAN, "debian-13-{debian}-2*", "admin", ("debian", "13"), 17),
        "debian-12": System(_DEBIAN, "debian-12-{debian}-2*", "admin", ("debian", "12"), 15),
        "ubuntu-24.04": System(
            _CANONICAL,
            "ubuntu/images/hvm-ssd*/ubuntu-noble-24.04-{debian}-server-*",
            "ubuntu",
            ("ubuntu", "24.04"),
            16,
        ),
        "ubuntu-22.04": System(
            _CANONICAL,
            "ubuntu/images/hvm-ssd*/ubuntu-jammy-22.04-{debian}-server-*",
            "ubuntu",
            ("ubuntu", "22.04"),
            14,
        ),
        "amazon-linux-2023": System(
            _AMAZON,
            "al2023-ami-2023.*-kernel-6.1-{kernel}",
            "ec2-user",
            ("amzn", "2023"),
            17,
            "al2023-repos-{region}-de612dc2",
        ),
    }
)
"""Owner, name and user: https://wiki.debian.org/Cloud/AmazonEC2Image, https://documentation.ubuntu.com/aws,
https://docs.aws.amazon.com/linux/al2023/ug/naming-and-versioning.html and connecting-to-instance.html.
ID and VERSION_ID: https://www.freedesktop.org/software/systemd/man/latest/os-release.html.
pg_dump: https://tracker.debian.org/pkg/postgresql-common, https://packages.ubuntu.com/postgresql-client,
https://docs.aws.amazon.com/linux/al2023/release-notes/all-packages.html (postgresql17).
Packages: what `dnf repolist -v` shows on a host of that system; Debian's and Ubuntu's are not in S3."""
