"""What carries the deployment's tags, and nothing in its graph accounts for any more."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from provisioner.aws import Aws
from provisioner.engine import tagged
from provisioner.engine.graph import Graph
from provisioner.engine.tagged import Tagged
from provisioner.errors import FlowsteadError, UsageError
from provisioner.resources.base import DEPLOYMENT_TAG, RESOURCE_TAG, Live, Resource, Teardown
from provisioner.resources.ec2.kind import Ec2Resource
from provisioner.resources.kinds import BY_LISTING

_THREADS = 12
_ANY = Teardown(keep_data=False)


@dataclass(frozen=True)
class Leftovers:
    """What nothing wants any more.

    Args:
        going: what goes.
        staying: what stays, as it holds data and the user has not named it; and what that cannot be without.
        unknown: what no kind of ours accounts for, or what has lost the tag that names it.
        backups: copies of data, which stay.

    """

    going: dict[Resource, Live]
    staying: dict[Resource, Live]
    unknown: tuple[Tagged, ...]
    backups: tuple[Tagged, ...]

    @property
    def notices(self) -> list[str]:
        """Say what stays, and how it goes."""
        return [
            f"{resource} ({live.id}) is no longer wanted, and stays: it holds data. "
            f"To remove it too: provision.py --remove {live.id}"
            for resource, live in self.staying.items()
            if resource.keeps_data(live)
        ]

    def obstacles(self, going: Iterable[Live]) -> list[FlowsteadError]:
        """Find what stays and cannot be without what a destroy removes.

        Args:
            going: what it removes.

        """
        gone = {id_ for live in going for id_ in (live.id, live.arn) if id_}
        return [
            UsageError(
                f"{resource} ({live.id}) holds data, is no longer wanted, and cannot be without what destroy "
                "removes; nothing was removed.",
                next_step="To remove it too, with a last snapshot: "
                f"python provision.py destroy --remove {live.id}",
            )
            for resource, live in self.staying.items()
            if resource.keeps_data(live) and gone & self._ground(resource, live)
        ]

    def _ground(self, resource: Resource, live: Live) -> set[str]:
        """Name what one cannot be without, and what that cannot be without."""
        ids = set(resource.stands_on(live))
        for part, of_it in self.staying.items():
            if of_it.id in ids:
                ids.update(part.stands_on(of_it))
        return ids


def find(
    graph: Graph,
    aws: Aws,
    listed: Iterable[Tagged],
    lives: Mapping[Resource, Live],
    remove: Collection[str] = (),
) -> Leftovers:
    """Judge what was found by its tag.

    Args:
        graph: what is wanted.
        aws: the AWS client.
        listed: what was found by its tag.
        lives: what there is of what is wanted.
        remove: ids of what goes although it holds data.

    Raises:
        UsageError: one of these is not among what nothing wants any more.
        AwsError: AWS could not be asked.

    """
    others, backups = tagged.unknown(listed, lives)
    with ThreadPoolExecutor(_THREADS) as pool:
        judged = list(pool.map(lambda one: _judge(one, graph, aws), others))
    found = {one.resource: one.live for one in judged if one.resource and one.live}
    data = {resource: live for resource, live in found.items() if resource.keeps_data(live)}
    if wrong := sorted(set(remove) - {live.id for live in data.values()}):
        left = ", ".join(live.id for live in data.values()) or "nothing"
        raise UsageError(
            f"--remove {wrong[0]}: there is no such thing that holds data of {graph.deployment} and is no "
            f"longer wanted (there is {left}).",
            next_step="python provision.py plan shows what there is.",
        )
    staying = {resource: live for resource, live in data.items() if live.id not in remove}
    kept = {live.id for live in staying.values()}
    staying |= {resource: live for resource, live in found.items() if resource.belongs_to(live) in kept}
    needed = {id_ for resource, live in staying.items() for id_ in resource.stands_on(live)}
    staying |= {resource: live for resource, live in found.items() if needed & {live.id, live.arn}}
    return Leftovers(
        going={resource: live for resource, live in found.items() if resource not in staying},
        staying=staying,
        unknown=tuple(one.listed for one in judged if one.is_unknown),
        backups=backups,
    )


@dataclass(frozen=True)
class _Judged:
    listed: Tagged
    resource: Resource | None = None
    live: Live | None = None
    is_unknown: bool = False


def _judge(one: Tagged, graph: Graph, aws: Aws) -> _Judged:
    """Look at one: AWS's lists lag, and its own tags count."""
    kinds = BY_LISTING.get(one.kind, ())
    if not kinds or any(
        issubclass(kind, Ec2Resource) and (not one.resource or _is_wanted(one, kind, graph)) for kind in kinds
    ):
        return _Judged(one, is_unknown=True)
    looks = ((kind, kind.leftover(aws, one.resource, graph.owner).at(aws, one.handle)) for kind in kinds)
    kind, live = next(((kind, live) for kind, live in looks if live), (kinds[0], None))
    if live is None or live.status == "deleting":
        return _Judged(one)
    if live.tags.get(DEPLOYMENT_TAG) != graph.deployment:
        return _Judged(one)
    name = live.tags.get(RESOURCE_TAG)
    if not name or _is_there_now(kind, name, live, graph, aws):
        return _Judged(one, is_unknown=True)
    resource = kind.leftover(aws, name, graph.owner)
    return _Judged(one) if resource.is_spared(live, _ANY) else _Judged(one, resource, live)


def _is_wanted(one: Tagged, kind: type[Resource], graph: Graph) -> bool:
    """Tell whether the graph has one of these tags: EC2's kinds are found by them, so it is new, or gone."""
    return any(isinstance(resource, kind) and resource.name == one.resource for resource in graph)


def _is_there_now(kind: type[Resource], name: str, live: Live, graph: Graph, aws: Aws) -> bool:
    """Tell whether it is what the graph wants after all: the look at that came too early, and is repeated."""
    wanted = [resource for resource in graph if type(resource) is kind and resource.name == name]
    if wanted:
        aws.forget()
    return any((again := resource.find(aws)) and again.id == live.id for resource in wanted)
