"""The operating system that a new host starts from: the newest image of its publisher."""

from dataclasses import dataclass
from typing import ClassVar

from provisioner.aws import Aws
from provisioner.errors import NotOfferedError
from provisioner.resources.base import Live
from provisioner.resources.instance_facts import architecture, instances_of
from provisioner.resources.looked_up import LookedUp

_DEBIAN, _CANONICAL, _AMAZON = "136693071363", "099720109477", "137112412989"

_PUBLISHED = {
    "debian-13": (_DEBIAN, "debian-13-{debian}-2*"),
    "debian-12": (_DEBIAN, "debian-12-{debian}-2*"),
    "ubuntu-24.04": (_CANONICAL, "ubuntu/images/hvm-ssd*/ubuntu-noble-24.04-{debian}-server-*"),
    "ubuntu-22.04": (_CANONICAL, "ubuntu/images/hvm-ssd*/ubuntu-jammy-22.04-{debian}-server-*"),
    "amazon-linux-2023": (_AMAZON, "al2023-ami-2023.*-kernel-6.1-{kernel}"),
}
"""Owner and name pattern. Sources: https://wiki.debian.org/Cloud/AmazonEC2Image/, https://documentation.ubuntu.com/aws/,
https://docs.aws.amazon.com/linux/al2023/ug/naming-and-versioning.html"""


@dataclass(frozen=True, eq=False)
class Image(LookedUp):
    """The newest image of an operating system for a type's processor.

    Args:
        system: its name in deployment.yml ("debian-13").
        instance_type: what it is to run on.

    """

    kind: ClassVar[str] = "image"

    system: str
    instance_type: str

    def find(self, aws: Aws) -> Live | None:
        """Look for the newest one.

        Raises:
            NotOfferedError: there is none, and a host is still to be made.

        """
        owner, pattern = _PUBLISHED[self.system]
        kernel = architecture(self.instance_type)
        name = pattern.format(kernel=kernel, debian="arm64" if kernel == "arm64" else "amd64")
        images = aws.page(
            "ec2",
            "describe_images",
            "Images",
            Owners=[owner],
            Filters=[
                {"Name": "name", "Values": [name]},
                {"Name": "state", "Values": ["available"]},
                {"Name": "architecture", "Values": [kernel]},
            ],
        )
        if images:
            newest = max(images, key=lambda item: (str(item["CreationDate"]), str(item["Name"])))
            return Live(id=newest["ImageId"], facts=newest, status="available")
        if instances_of(aws, self.owner.deployment):
            return None
        text = f"no image named {name} of owner {owner} is offered for {kernel} in {aws.region}"
        raise NotOfferedError([("server.image", text)])
