"""What every kind of AWS resource answers, and the words the plan uses.

A kind is a frozen dataclass: its settings are fields, and so are the resources that it depends on. It is
found by the tags that its create call sets, compared without any call, made bare, and then brought to the
wanted state by the same `update` that repairs a drifted or half-made one.
"""

import dataclasses
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

from provisioner.aws import Aws
from provisioner.errors import DriftError

DEPLOYMENT_TAG = "flowstead:deployment"
RESOURCE_TAG = "flowstead:resource"


@dataclass(frozen=True)
class Owner:
    """Whose resources these are.

    Args:
        deployment: the deployment's name, the value of the tag that everything it owns carries.
        tags: the user's own tags, set beside ours.

    """

    deployment: str
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    """One setting that is not as wanted.

    Args:
        setting: its name, as a person would say it ("instance type").
        old: what AWS has.
        new: what is wanted.
        immutable: AWS cannot change it in place.
        note: what the change entails ("stops and starts the host"), or what to do about an immutable one.

    """

    setting: str
    old: object
    new: object
    immutable: bool = False
    note: str = ""

    def __str__(self) -> str:
        """Name the setting, old and new."""
        note = f" ({self.note})" if self.note else ""
        return f"{self.setting}: {self.old} -> {self.new}{note}"


@dataclass(frozen=True)
class Live:
    """A resource as it is in the account.

    Args:
        id: what other calls name it by.
        facts: its description, as AWS gives it.
        arn: its ARN, where AWS tells one.
        tags: its tags.
        ready: it can be used; False while AWS is still making or changing it.
        status: AWS's word for its state, for the user.

    """

    id: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    arn: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    ready: bool = True
    status: str = ""


@dataclass(frozen=True)
class Parting:
    """How a destroy goes about data.

    Args:
        keep_data: leave the artifact bucket as it is.
        final_snapshot: take a last snapshot of the database.
        stamp: date and time that the snapshot's name carries.

    """

    keep_data: bool = True
    final_snapshot: bool = True
    stamp: str = ""


@dataclass(frozen=True, eq=False)
class Resource(ABC):
    """One AWS object of a deployment.

    Args:
        name: its logical name, unique in the deployment, the value of its `flowstead:resource` tag.
        owner: the deployment it belongs to.

    """

    kind: ClassVar[str]
    looked_up: ClassVar[bool] = False
    """True: chosen among what AWS offers, never made, changed or deleted."""

    name: str
    owner: Owner

    def __str__(self) -> str:
        """Kind and logical name."""
        return f"{self.kind} {self.name}"

    @property
    def tags(self) -> Mapping[str, str]:
        """Every tag that it is to carry."""
        ours = {DEPLOYMENT_TAG: self.owner.deployment, RESOURCE_TAG: self.name, "Name": self.label}
        return MappingProxyType({**self.owner.tags, **ours})

    @property
    def label(self) -> str:
        """The name that the AWS console shows."""
        return f"{self.owner.deployment}-{self.name}".replace("_", "-")

    @property
    def needs(self) -> tuple["Resource", ...]:
        """What must be ready before it can be made: the resources in its fields."""
        found: dict[int, Resource] = {}
        for item in dataclasses.fields(self):
            for resource in _resources_in(getattr(self, item.name)):
                found[id(resource)] = resource
        return tuple(found.values())

    @abstractmethod
    def find(self, aws: Aws) -> Live | None:
        """Look it up by its tags, with reading calls only.

        Returns:
            what is there, None when nothing is.

        Raises:
            DriftError: two of them carry the tags, or one of its name belongs to somebody else.
            AwsError: AWS could not be asked.

        """

    def diff(self, live: Live, state: "State") -> tuple[Difference, ...]:
        """Compare what is there with what is wanted. Makes no call.

        Args:
            live: as found.
            state: what is known of the resources it depends on.

        """
        del live, state
        return ()

    def notices(self, live: Live, state: "State") -> tuple[str, ...]:
        """Say what the user may want to know although nothing is to be done about it."""
        del live, state
        return ()

    @abstractmethod
    def create(self, aws: Aws, state: "State") -> Live:
        """Make it, tagged in the create call. What else it needs follows from `diff` and `update`."""

    def wait(self, aws: Aws, live: Live) -> Live:
        """Wait until it can be used."""
        del aws
        return live

    def update(self, aws: Aws, state: "State", live: Live, differences: tuple[Difference, ...]) -> Live:
        """Set right what `diff` found, and return how it is then."""
        del aws, state
        raise unchangeable(self, live, differences)

    @abstractmethod
    def retag(self, aws: Aws, live: Live) -> Live:
        """Set the tags that are missing or differ; leave those of others."""

    @abstractmethod
    def delete(self, aws: Aws, live: Live, parting: Parting) -> None:
        """Remove it, and return once it is gone. One that is gone already is no error."""

    def is_spared(self, live: Live, parting: Parting) -> bool:
        """Tell whether a destroy leaves it as it is."""
        del live, parting
        return False

    def remains(self, live: Live, parting: Parting) -> str:
        """Say what a destroy leaves of it in the account; empty when nothing."""
        del live, parting
        return ""

    def owns(self, tags: Mapping[str, str]) -> bool:
        """Tell by its tags whether something of the right name is this resource."""
        return (tags.get(DEPLOYMENT_TAG), tags.get(RESOURCE_TAG)) == (self.owner.deployment, self.name)

    def tag_differences(self, live: Live) -> tuple[Difference, ...]:
        """Compare the tags: those that others set are left alone."""
        return tuple(
            Difference(f"tag {key}", live.tags.get(key), value)
            for key, value in sorted(self.tags.items())
            if live.tags.get(key) != value
        )


def _resources_in(value: object) -> Iterator[Resource]:
    if isinstance(value, Resource):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _resources_in(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for item in dataclasses.fields(value):
            yield from _resources_in(getattr(value, item.name))


class State:
    """What is known of each resource; filled by the plan, kept current by apply, read by several threads."""

    def __init__(self, lives: Mapping[Resource, Live] = MappingProxyType({})) -> None:
        self._lives = dict(lives)
        self._lock = threading.Lock()

    def get(self, resource: Resource) -> Live | None:
        """Tell what is there, None when it is still to be made."""
        with self._lock:
            return self._lives.get(resource)

    def __getitem__(self, resource: Resource) -> Live:
        """Tell what is there.

        Raises:
            KeyError: it is still to be made.

        """
        with self._lock:
            return self._lives[resource]

    def __contains__(self, resource: Resource) -> bool:
        """Tell whether it is there."""
        return self.get(resource) is not None

    def put(self, resource: Resource, live: Live) -> None:
        """Remember how it is now."""
        with self._lock:
            self._lives[resource] = live

    def drop(self, resource: Resource) -> None:
        """Forget it: it is gone."""
        with self._lock:
            self._lives.pop(resource, None)

    def id(self, resource: Resource) -> str:
        """Give its id, or words that stand for it while it is still to be made."""
        live = self.get(resource)
        return live.id if live else f"(new {resource})"

    def arn(self, resource: Resource) -> str:
        """Give its ARN, or words that stand for it while it is still to be made."""
        live = self.get(resource)
        return live.arn if live else f"(new {resource})"


def only(resource: Resource, lives: list[Live]) -> Live | None:
    """Pick the one that carries the resource's tags.

    Args:
        resource: the resource looked for.
        lives: candidates of the same deployment and kind.

    Raises:
        DriftError: there are two or more; the message names them.

    """
    matches = [live for live in lives if live.tags.get(RESOURCE_TAG) == resource.name]
    if len(matches) > 1:
        ids = " and ".join(sorted(live.id for live in matches))
        raise DriftError(
            f"{resource} is there {len(matches)} times: {ids} carry its tags.",
            next_step=f"Decide which one is right and remove the tag {RESOURCE_TAG} from the other.",
        )
    return matches[0] if matches else None


def unchangeable(resource: Resource, live: Live, differences: tuple[Difference, ...]) -> DriftError:
    """Say that AWS cannot change in place what deployment.yml wants changed."""
    return DriftError(
        f"{resource} ({live.id}) cannot be changed in place: {'; '.join(map(str, differences))}.",
        next_step="Set it back (in deployment.yml or in AWS), or destroy the deployment and make it anew.",
    )


def foreign(resource: Resource, name: str, tags: Mapping[str, str]) -> DriftError:
    """Say that something of the resource's AWS name belongs to somebody else."""
    owner = tags.get(DEPLOYMENT_TAG)
    whose = f"to the deployment {owner!r}" if owner else f"to somebody else: it has no {DEPLOYMENT_TAG} tag"
    return DriftError(
        f"{resource}: {name} exists already and belongs {whose}.",
        next_step="Choose another name in deployment.yml, or remove what is there.",
    )
