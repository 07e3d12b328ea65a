"""What would be done: found and compared with reading calls only."""

from dataclasses import dataclass
from typing import Literal

from provisioner.aws import Aws
from provisioner.graph import Graph
from provisioner.resources.base import Difference, Live, Resource, State

Action = Literal["create", "update", "wait", "none", "delete"]


@dataclass(frozen=True)
class Change:
    """What is to be done about one resource.

    Args:
        resource: which one.
        action: create, update, delete; wait when it is still being made (by an earlier run); none.
        live: as it was found; None when it is to be made.
        differences: what is not as wanted, with old and new.
    """

    resource: Resource
    action: Action
    live: Live | None = None
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What is to be done, in an order that could be followed.

    Args:
        graph: the deployment's resources.
        changes: one for each resource that is ours to make, those that need nothing first (deletions: last).
        state: what was found.
        notices: what the user may want to know although nothing is to be done about it.
        kept: what a destroy leaves in the account, each with its id or name.
    """

    graph: Graph
    changes: tuple[Change, ...]
    state: State
    notices: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Nothing is to be done."""
        return all(change.action == "none" for change in self.changes)


def make(graph: Graph, aws: Aws) -> Plan:
    """Find every resource and compare it with what is wanted; concurrent, reading calls only.

    Args:
        graph: what is wanted.
        aws: the door to AWS.

    Raises:
        DriftError: something cannot be set right in place, or is there twice; names all such cases.
        AwsError: AWS could not be asked.
    """
    raise NotImplementedError


def destroy(graph: Graph, aws: Aws, *, keep_data: bool = True, final_snapshot: bool = True) -> Plan:
    """Plan the removal of everything that carries the deployment's tags; works on a half-made one too.

    Args:
        graph: the deployment.
        aws: the door to AWS.
        keep_data: leave the artifact bucket as it is.
        final_snapshot: take a last snapshot of the database.
    """
    raise NotImplementedError
