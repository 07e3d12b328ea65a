"""What all kinds of EC2 have in common: tags, one look for all of a kind, a second one after a change."""

from abc import abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from provisioner.aws import DEADLINE, Aws, RetryOn
from provisioner.errors import AwsError
from provisioner.resources.base import DEPLOYMENT_TAG, RESOURCE_TAG, Live, Resource, Teardown
from provisioner.resources.ec2.twins import pick
from provisioner.resources.tags import TagCalls, as_items, as_tags, set_tags

_TRIES = 3
_LISTING_S, _LISTED_S = 15, 120
"""Seconds in which EC2 lists what it has made: as a rule, and at most; chosen, AWS names none:
https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html"""


@dataclass(frozen=True)
class Description:
    """How EC2 describes a kind.

    Args:
        operation: boto3's name of the operation ("describe_vpcs").
        items: where the answer holds them ("Vpcs").
        id: where an item holds its id ("VpcId").
        ids: the parameter that asks for some by id ("VpcIds").
        tag_type: the kind's name in TagSpecifications ("vpc").
        absent: EC2's error code when there is none of an id ("InvalidVpcID.NotFound").

    """

    operation: str
    items: str
    id: str
    ids: str
    tag_type: str
    absent: str


EC2_TAGS = TagCalls("ec2", "create_tags", "delete_tags", by_key=False)


def tagged(aws: Aws, description: Description, deployment: str) -> list[dict[str, Any]]:
    """List all of a kind that a deployment owns; one call for all resources of the kind.

    Args:
        aws: the AWS client.
        description: the kind.
        deployment: the deployment's name.

    """
    filters = [{"Name": f"tag:{DEPLOYMENT_TAG}", "Values": [deployment]}]
    return aws.remembered(
        (description.operation, deployment),
        lambda: aws.page("ec2", description.operation, description.items, Filters=filters),
    )


def listed_tags(aws: Aws) -> list[dict[str, Any]]:
    """List which of the region's resources carry our two tags, whatever their kind; one call for all.

    Args:
        aws: the AWS client.

    """
    filters = [{"Name": "key", "Values": [DEPLOYMENT_TAG, RESOURCE_TAG]}]
    return aws.remembered("describe_tags", lambda: aws.page("ec2", "describe_tags", "Tags", Filters=filters))


@dataclass(frozen=True, eq=False)
class Ec2Resource(Resource):
    """A kind that EC2 describes and tags."""

    description: ClassVar[Description]

    def __init_subclass__(cls) -> None:
        """Name the kind as the lists of tags do."""
        cls.listed_as = f"ec2/{cls.description.tag_type}"

    def live(self, item: dict[str, Any]) -> Live:
        """Read EC2's description of one."""
        state = item.get("State")
        return Live(
            id=item[self.description.id],
            facts=item,
            tags=as_tags(item.get("Tags", [])),
            ready=state in {None, "available"},
            status=state if isinstance(state, str) else "",
        )

    def exists(self, item: dict[str, Any]) -> bool:
        """Tell it from what EC2 still shows for a while after its end."""
        return True

    def find(self, aws: Aws) -> Live | None:
        """Look it up by its tags."""
        items = tagged(aws, self.description, self.owner.deployment)
        lives = [self.live(item) for item in items if self.exists(item)]
        return pick(self, lives, lambda live: self.uses(aws, live))

    def at(self, aws: Aws, id_: str) -> Live | None:
        """Look at one by its id."""
        asked = {self.description.ids: [id_]}
        answer = aws.call_or((self.description.absent,), "ec2", self.description.operation, **asked)
        items = answer[self.description.items] if answer else []
        return next((self.live(item) for item in items if self.exists(item)), None)

    def uses(self, aws: Aws, live: Live) -> int:
        """Count what depends on one; asked when there are two of the same tags."""
        return 1

    def make(
        self, aws: Aws, operation: str, *retries: RetryOn, taken: Collection[str] = (), **parameters: Any
    ) -> Live:
        """Make one, and no second one: a call without a token must not be repeated blindly.

        A call whose answer was lost is repeated only if no look by tag shows what it made. The new one is
        looked up by its tags too: what a run that was killed has made just before may be listed only now.

        Args:
            aws: the AWS client.
            operation: boto3's name of the operation ("create_vpc").
            retries: as in `Aws.call`.
            taken: EC2's codes when there is one already, which the look before did not show.
            parameters: the operation's own, but for the tags.

        """
        parameters["TagSpecifications"] = self.tag_specifications()
        for _ in range(_TRIES):
            problem = None
            try:
                aws.call_once("ec2", operation, *retries, **parameters)
            except AwsError as error:
                if not error.is_lost and error.code not in taken:
                    raise
                problem = error
            live = self._listed(aws, _LISTING_S if problem else _LISTED_S)
            if live:
                return live
            if problem is None or not problem.is_lost:
                break
        raise problem or AwsError(
            f"{self}: EC2 has made it, and does not list it after {_LISTED_S} s.",
            code=DEADLINE,
            operation=operation,
            next_step="Run the same command again: it goes on from here.",
        )

    def _listed(self, aws: Aws, deadline_s: float) -> Live | None:
        def listed() -> Live | None:
            aws.forget()
            return self.find(aws)

        try:
            return aws.until(listed, what=f"{self} being listed", deadline_s=deadline_s)
        except AwsError as error:
            if error.code != DEADLINE:
                raise
            return None

    def read(self, aws: Aws, id_: str) -> Live:
        """Look at one by its id."""
        items = aws.page(
            "ec2",
            self.description.operation,
            self.description.items,
            RetryOn((self.description.absent,)),
            **{self.description.ids: [id_]},
        )
        return self.live(items[0])

    def tag_specifications(self, *types: str) -> list[dict[str, Any]]:
        """Give the tags as a create call takes them.

        Args:
            types: what the call makes; empty: the kind itself.

        """
        tags = as_items(self.tags)
        return [{"ResourceType": kind, "Tags": tags} for kind in types or (self.description.tag_type,)]

    def look(self, aws: Aws, live: Live) -> Live:
        """Look again at one that was just made or changed."""
        return self.read(aws, live.id)

    def retag(self, aws: Aws, live: Live, tags: Mapping[str, str | None], /) -> None:
        """Set these tags, and remove those that are None."""
        set_tags(aws, EC2_TAGS, tags, RetryOn((self.description.absent,)), Resources=[live.id])

    def delete(self, aws: Aws, live: Live, teardown: Teardown) -> None:
        """Remove it, once nothing uses it any more, and return once it is gone."""
        try:
            self.remove(aws, live)
        except AwsError as error:
            if error.code != self.description.absent:
                raise

    @abstractmethod
    def remove(self, aws: Aws, live: Live) -> None:
        """Make the calls that remove it; that it is gone already is no error."""
