"""What every kind of AWS resource answers, and the words the plan uses.

A kind is a frozen dataclass: its settings are fields, and so are the resources that it depends on. It is
found by the tags that its create call sets, compared without any call, made bare, and then brought to the
wanted state by the same settings that show and repair a drifted or half-made one.
"""

import dataclasses
import hashlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

from provisioner.aws import Aws
from provisioner.errors import DriftError, FlowsteadError

DEPLOYMENT_TAG = "flowstead:deployment"
RESOURCE_TAG = "flowstead:resource"
OWN_TAGS_TAG = "flowstead:tags"
"""Marks of the names of the user's own tags: one that is no longer wanted can be told from others' tags."""
_MARK = 6
"""Characters of a mark: those of 40 tags, the most that deployment.yml takes, fit into one value."""
_SHOWN_S = 60
"""Seconds in which AWS shows what it has made; chosen: as a rule it takes a few."""
IN_USE = "in use"
"""The status of a twin that something depends on."""


@dataclass(frozen=True)
class Owner:
    """Whose resources these are.

    Args:
        deployment: the deployment's name, the value of the tag that everything it owns carries.
        tags: the user's own tags, set beside ours.

    """

    deployment: str
    tags: Mapping[str, str] = field(default_factory=dict)


class Set(Protocol):
    """Bring settings of a resource to what is wanted."""

    def __call__(self, aws: Aws, live: "Live", to: Mapping[str, Any], /) -> object:
        """Make the calls.

        Args:
            aws: the door to AWS.
            live: the resource as it was found.
            to: the `to` of all settings that differ and have this same `set`.

        """


@dataclass(frozen=True)
class Setting:
    """One thing about a resource that is wanted in a certain way: what is shown, compared and set follows.

    Args:
        name: as a person would say it ("instance type").
        has: what AWS has.
        wanted: what is to be.
        set: how it is set; settings with the same one are set together. None: AWS cannot change it in place.
        to: what `set` is told of this setting; as a rule a parameter of a call.
        note: what the change entails ("stops and starts the host"), or what to do about an immutable one.
        is_wanted: whether it is as wanted, where equality does not tell.

    """

    name: str
    has: object
    wanted: object
    set: Set | None = None
    to: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    is_wanted: bool | None = None

    @property
    def differs(self) -> bool:
        """Tell whether it is not as wanted."""
        return self.has != self.wanted if self.is_wanted is None else not self.is_wanted

    @property
    def is_immutable(self) -> bool:
        """Tell whether AWS cannot change it in place."""
        return self.set is None

    def __str__(self) -> str:
        """Say what it is and what it will be."""
        note = f" ({self.note})" if self.note else ""
        has, wanted = ("none" if value is None else value for value in (self.has, self.wanted))
        return f"{self.name}: {has} -> {wanted}{note}"


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
        twins: others with the same tags, as a lost answer leaves them; their status says which are in use.

    """

    id: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    arn: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    ready: bool = True
    status: str = ""
    twins: "tuple[Live, ...]" = ()


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
        marks = {OWN_TAGS_TAG: "".join(sorted(map(_mark, self.owner.tags)))} if self.owner.tags else {}
        return MappingProxyType({**self.owner.tags, **marks, **ours})

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
            DriftError: one of its name belongs to somebody else.
            AwsError: AWS could not be asked.

        """

    def settings(self, live: Live, state: "State") -> Iterable[Setting]:
        """Declare everything about it that is wanted in a certain way, as wanted or not. Makes no call.

        Args:
            live: as found.
            state: what is known of the resources it depends on.

        """
        del live, state
        return ()

    def differences(self, live: Live, state: "State") -> tuple[Setting, ...]:
        """Pick the settings and tags that are not as wanted."""
        twins = (self._twin(twin) for twin in live.twins)
        every = (*twins, *self.settings(live, state), *self.tag_settings(live.tags, self.retag))
        return tuple(setting for setting in every if setting.differs)

    def tag_settings(self, has: Mapping[str, str], retag: Set, of: str = "") -> Iterable[Setting]:
        """Declare the tags, and none that was the user's and is no longer; those of others are left alone.

        Args:
            has: the tags that are there.
            retag: sets some, and removes those that are to be None.
            of: what carries them, if it is a part of the resource.

        """
        marks = has.get(OWN_TAGS_TAG, "")
        own = {marks[start : start + _MARK] for start in range(0, len(marks), _MARK)}
        former = {key for key in has if _mark(key) in own or key == OWN_TAGS_TAG}
        for key in sorted({*self.tags} | former):
            wanted = self.tags.get(key)
            yield Setting(f"tag {key}{of}", has.get(key), wanted, retag, {key: wanted})

    def _twin(self, twin: Live) -> Setting:
        if twin.status != IN_USE:
            return Setting(f"second one ({twin.id})", "there", "none", partial(self._remove_twin, twin))
        note = f"both are: remove the one that you do not need, or take its tag {RESOURCE_TAG} away"
        return Setting(f"second one ({twin.id})", IN_USE, "none", note=note)

    def _remove_twin(self, twin: Live, aws: Aws, _: Live, __: Mapping[str, Any]) -> None:
        self.delete(aws, twin, Parting())

    def notices(self, live: Live, state: "State") -> tuple[str, ...]:
        """Say what the user may want to know although nothing is to be done about it."""
        del live, state
        return ()

    @abstractmethod
    def create(self, aws: Aws, state: "State") -> Live:
        """Make it, tagged in the create call. What else it needs follows from its settings."""

    def wait(self, aws: Aws, live: Live) -> Live | None:
        """Wait until it can be used; None: it was being deleted, and is gone."""
        del aws
        return live

    def found(self, aws: Aws) -> Live:
        """Look it up until it is there: AWS may take a moment to show what was just made."""
        return aws.until(lambda: self.find(aws), what=f"{self} being there", deadline_s=_SHOWN_S)

    def look(self, aws: Aws, live: Live) -> Live:
        """Look again at one that was just made or changed."""
        del live
        return self.found(aws)

    def update(self, aws: Aws, live: Live, differences: Iterable[Setting]) -> Live:
        """Set what differs, in the order of the settings, and look again."""
        calls: dict[Set, dict[str, Any]] = {}
        for setting in differences:
            if setting.set:
                calls.setdefault(setting.set, {}).update(setting.to)
        for set_, to in calls.items():
            set_(aws, live, to)
        return self.look(aws, live)

    @abstractmethod
    def retag(self, aws: Aws, live: Live, tags: Mapping[str, str | None], /) -> object:
        """Set these tags, and remove those that are None; leave all others."""

    @abstractmethod
    def delete(self, aws: Aws, live: Live, parting: Parting) -> None:
        """Remove it, and return once it is gone. One that is gone already is no error."""

    def is_spared(self, live: Live, parting: Parting) -> bool:
        """Tell whether a destroy leaves it as it is."""
        del live, parting
        return False

    def parts(self, live: Live) -> Collection[str]:
        """Give the ids of what AWS made with it and tags apart from it."""
        del live
        return ()

    def obstacles(self, aws: Aws, live: Live, own: Collection[str]) -> Iterable[FlowsteadError]:
        """Find what would stop its deletion, with reading calls only.

        Args:
            aws: the door to AWS.
            live: as found.
            own: ids and ARNs of all that a destroy removes.

        """
        del aws, live, own
        return ()

    def remains(self, live: Live, parting: Parting) -> str:
        """Say what a destroy leaves of it in the account; empty when nothing."""
        del live, parting
        return ""

    def owns(self, tags: Mapping[str, str]) -> bool:
        """Tell by its tags whether something of the right name is this resource."""
        return (tags.get(DEPLOYMENT_TAG), tags.get(RESOURCE_TAG)) == (self.owner.deployment, self.name)


def _mark(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:_MARK]


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

    def lives(self) -> dict[Resource, Live]:
        """Give all that is there."""
        with self._lock:
            return dict(self._lives)

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


def pick(resource: Resource, lives: Iterable[Live], uses: Callable[[Live], int]) -> Live | None:
    """Pick the one that carries the resource's tags, the one most used; the others are its twins.

    Args:
        resource: the resource looked for.
        lives: candidates of the same deployment and kind.
        uses: counts what depends on one; asked only when there are several.

    """
    matches = [live for live in lives if live.tags.get(RESOURCE_TAG) == resource.name]
    if not matches[1:]:
        return matches[0] if matches else None
    counted = sorted(((-uses(live), live.id, live) for live in matches), key=lambda one: one[:2])
    (_, _, first), *others = counted
    twins = tuple(replace(live, status=IN_USE if count else live.status) for count, _, live in others)
    return replace(first, twins=twins)


def unchangeable(resource: Resource, live: Live, differences: Iterable[Setting]) -> DriftError:
    """Say that AWS cannot change in place what deployment.yml wants changed."""
    return DriftError(
        f"{resource} ({live.id}) cannot be changed in place: {'; '.join(map(str, differences))}.",
        next_step="Set it back (in deployment.yml or in AWS), or destroy the deployment and make it anew.",
    )


def in_the_way(resource: Resource, live: Live, what: str, remedy: str) -> FlowsteadError:
    """Say that something of others stops a destroy.

    Args:
        resource: what could not be deleted.
        live: as found.
        what: what stops it, with its id ("the network interface eni-1 is in it").
        remedy: what a person does about it.

    """
    return FlowsteadError(
        f"{resource} ({live.id}) cannot be deleted: {what}.",
        next_step=f"{remedy}, and run destroy again; nothing was removed.",
    )


def foreign(resource: Resource, name: str, tags: Mapping[str, str]) -> DriftError:
    """Say that something of the resource's AWS name belongs to somebody else."""
    owner, part = tags.get(DEPLOYMENT_TAG), tags.get(RESOURCE_TAG)
    whose = f"to somebody else: it has no {DEPLOYMENT_TAG} tag"
    if owner == resource.owner.deployment:
        return DriftError(
            f"{resource}: {name} is this deployment's, and its tag {RESOURCE_TAG} is {part or 'gone'}.",
            next_step=f"Set that tag to {resource.name}.",
        )
    if owner:
        whose = f"to the deployment {owner!r}"
    return DriftError(
        f"{resource}: {name} exists already and belongs {whose}.",
        next_step="Choose another name in deployment.yml, or remove what is there.",
    )
