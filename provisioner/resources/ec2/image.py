"""What a new host starts from: the newest image of its system, its publisher's or one that was baked here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from provisioner.aws import Aws
from provisioner.errors import NotOfferedError
from provisioner.resources.base import Live
from provisioner.resources.ec2.instance_facts import architecture, instances_of
from provisioner.resources.looked_up import LookedUp
from provisioner.resources.state import State
from provisioner.resources.tags import as_tags
from provisioner.systems import systems

SYSTEM_TAG = "flowstead:system"
BASE_TAG = "flowstead:base-image"
CODE_TAG = "flowstead:code"
RELEASES_TAG = "flowstead:releases"
PACKAGES_TAG = "flowstead:packages"


@dataclass(frozen=True)
class _Source:
    """Where images of a system are found.

    Args:
        owner: whose they are.
        filter: the filter of DescribeImages that tells them from the owner's others.
        value: its value.
        words: what they are called when there is none.

    """

    owner: str
    filter: str
    value: str
    words: str


@dataclass(frozen=True, eq=False)
class Image(LookedUp):
    """The newest image of an operating system for a type's processor.

    Args:
        system: the operating system's name in deployment.yml ("debian-13").
        instance_type: what it is to run on.
        baked: one that this account baked, instead of the publisher's.
        code: the code that a baked image should hold, from `code.current`.

    """

    kind: ClassVar[str] = "image"

    system: str
    instance_type: str
    baked: bool = False
    code: str = ""

    def find(self, aws: Aws) -> Live | None:
        """Look for the newest one.

        Raises:
            NotOfferedError: there is none, and a host is still to be made.

        """
        source, processor = self._source(), architecture(self.instance_type)
        images = aws.page(
            "ec2",
            "describe_images",
            "Images",
            Owners=[source.owner],
            Filters=[
                {"Name": source.filter, "Values": [source.value]},
                {"Name": "state", "Values": ["available"]},
            ],
        )
        fitting = [item for item in images if item["Architecture"] == processor]
        if fitting:
            newest = max(fitting, key=age_key)
            tags = as_tags(newest.get("Tags", []))
            return Live(id=newest["ImageId"], facts=newest, tags=tags, status="available")
        if instances_of(aws, self.owner.deployment):
            return None
        raise NotOfferedError([("server.image", self._missing(source, processor, aws.region, images))])

    def _source(self) -> _Source:
        if self.baked:
            words = f"baked image of {self.system}"
            return _Source("self", f"tag:{SYSTEM_TAG}", self.system, words)
        system, processor = systems[self.system], architecture(self.instance_type)
        name = system.images.format(kernel=processor, debian="arm64" if processor == "arm64" else "amd64")
        return _Source(system.owner, "name", name, f"image named {name} of owner {system.owner}")

    def _missing(self, source: _Source, processor: str, region: str, others: list[dict[str, Any]]) -> str:
        where = "is in this account" if self.baked else "is offered"
        text = f"no {source.words} {where} for {processor} in {region}"
        if others:
            kinds = ", ".join(sorted({str(item["Architecture"]) for item in others}))
            text += f" ({len(others)} for {kinds})"
        if self.baked:
            text += f"; make one with `python provision.py bake`, or write `image: {self.system}`"
        return text

    def notices(self, live: Live, state: State) -> tuple[str, ...]:
        """Tell of a baked image that holds other code than today's: a host made from it installs the rest."""
        held = live.tags.get(CODE_TAG, "none")
        if not self.baked or held == self.code:
            return ()
        text = f"server.image: {live.id} was baked with other roles than today's ({held}, now {self.code})"
        return (f"{text}; site.yml installs what differs, `python provision.py bake` makes a new one",)

    def news(self, live: Live) -> str:
        """Say, to a host that runs from another image, what a new one would start from."""
        kind = "baked " if self.baked else ""
        return f"a new host would start from the {kind}{self.system} image {live.id}, {live.facts['Name']}"


def age_key(image: Mapping[str, Any]) -> tuple[str, str]:
    """Give what images are sorted by, the oldest first: when they were made, then their name."""
    return str(image["CreationDate"]), str(image["Name"])
