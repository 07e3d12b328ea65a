"""What every kind of AWS resource answers, and the words the plan uses.

A kind is a frozen dataclass: its settings are fields, and so are the resources that it depends on. It is
found by the tags that its create call sets, compared without any call, made bare, and then brought to the
wanted state by the same settings that show and repair a drifted or half-made one.
"""

import dataclasses
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, Self

from provisioner.aws import Aws
from provisioner.errors import FlowsteadError
from provisioner.resources.setting import Set, Setting
from provisioner.resources.state import State

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
        tags: the user's own tags, set in addition to ours.

    """

    deployment: str
    tags: Mapping[str, str] = field(default_factory=dict)


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
class Teardown:
    """How a destroy goes about data.

    Args:
        keep_data: leave the artifact bucket as it is.
        final_snapshot: take a last snapshot of the database.
        stamp: date and time that the snapshot's name carries: it is shown before it is made.

    """

    keep_data: bool = True
    final_snapshot: bool = True
    stamp: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y%m%d-%H%M%S"))


@dataclass(frozen=True, eq=False)
class Resource(ABC):
    """One AWS object of a deployment.

    Args:
        name: its logical name, unique in the deployment, the value of its `flowstead:resource` tag.
        owner: the deployment it belongs to.

    """

    kind: ClassVar[str]
    listed_as: ClassVar[str] = ""
    """Service and kind in AWS's lists of what carries a tag ("ec2/subnet")."""
    holds_data: ClassVar[bool] = False
    """True: it holds data; one that is no longer wanted goes only if the user names it."""
    keeps_runs: ClassVar[bool] = False
    """True: it keeps runs, models and users; a deployment has one such."""
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
            for resource in resources_in(getattr(self, item.name)):
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

    @abstractmethod
    def at(self, aws: Aws, id_: str) -> Live | None:
        """Look at one by its id, name or ARN, whatever this resource is called; None when it is gone.

        Raises:
            AwsError: AWS could not be asked.

        """

    @classmethod
    def leftover(cls, aws: Aws, name: str, owner: Owner) -> Self:
        """Stand for one that nothing wants any more: what it was made from is not known.

        Only what goes by an id may be asked of it: `at`, `delete`, and what a destroy asks before.

        Args:
            aws: the AWS client.
            name: what its tag says.
            owner: whose it is.

        """
        unknown: dict[str, Any] = {item.name: None for item in dataclasses.fields(cls)}
        if "account_id" in unknown:
            unknown["account_id"] = aws.identity()["Account"]
        return cls(**unknown | {"name": name, "owner": owner})

    def settings(self, live: Live, state: "State") -> Iterable[Setting]:
        """Declare everything about it that is wanted in a certain way, as wanted or not. Makes no call.

        Args:
            live: as found.
            state: what is known of the resources it depends on.

        """
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
            retag: sets some, and removes those whose value is None.
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
        self.delete(aws, twin, Teardown())

    def notices(self, live: Live, state: "State") -> tuple[str, ...]:
        """Say what the user may want to know although nothing will be done about it."""
        return ()

    @abstractmethod
    def create(self, aws: Aws, state: "State") -> Live:
        """Make it, tagged in the create call. What else it needs follows from its settings."""

    def wait(self, aws: Aws, live: Live) -> Live | None:
        """Wait until it can be used; None: it was being deleted, and is gone."""
        return live

    def found(self, aws: Aws) -> Live:
        """Look it up until it is there: AWS may take a moment to show what was just made."""
        return aws.until(lambda: self.find(aws), what=f"{self} being there", deadline_s=_SHOWN_S)

    def look(self, aws: Aws, live: Live) -> Live:
        """Look again at one that was just made or changed."""
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
    def delete(self, aws: Aws, live: Live, teardown: Teardown) -> None:
        """Remove it, and return once it is gone. One that is gone already is no error."""

    def is_spared(self, live: Live, teardown: Teardown) -> bool:
        """Tell whether a destroy leaves it as it is."""
        return False

    def parts(self, live: Live) -> Collection[str]:
        """Give the ids of what AWS made with it and tags apart from it."""
        return ()

    def stands_on(self, live: Live) -> Collection[str]:
        """Give ids, names and ARNs of what it cannot be without, wanted or not."""
        return ()

    def belongs_to(self, live: Live) -> str:
        """Give the id of what it stays with when nothing wants it any more; empty: of nothing."""
        return ""

    def keeps_data(self, live: Live) -> bool:
        """Tell whether one that is no longer wanted goes only if the user names it."""
        return self.holds_data

    def obstacles(self, aws: Aws, live: Live, own: Collection[str]) -> Iterable[FlowsteadError]:
        """Find what would stop its deletion, with reading calls only.

        Args:
            aws: the AWS client.
            live: as found.
            own: ids and ARNs of all that a destroy removes.

        """
        return ()

    def remains(self, live: Live, teardown: Teardown) -> str:
        """Say what a destroy leaves of it in the account; empty when nothing."""
        return ""

    def owns(self, tags: Mapping[str, str]) -> bool:
        """Tell by its tags whether something of the right name is this resource."""
        return (tags.get(DEPLOYMENT_TAG), tags.get(RESOURCE_TAG)) == (self.owner.deployment, self.name)


def _mark(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:_MARK]


def resources_in(value: object) -> Iterator[Resource]:
    """Find the resources in a field, or in what it holds: tuples and dataclasses."""
    if isinstance(value, Resource):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from resources_in(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for item in dataclasses.fields(value):
            yield from resources_in(getattr(value, item.name))
