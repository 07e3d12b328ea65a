"""What RDS's kinds have in common: names instead of look-ups by tag, and tags asked for by ARN."""

from collections.abc import Mapping
from dataclasses import dataclass

from provisioner.aws import Aws, RetryOn
from provisioner.resources.base import Live, Resource
from provisioner.resources.refusals import foreign
from provisioner.resources.tags import TagCalls, as_tags, set_tags

_TAGS = TagCalls("rds", "add_tags_to_resource", "remove_tags_from_resource")
FIRST_USE = RetryOn(("InvalidParameterValue",), text="service linked role", deadline_s=180)
"""What RDS may answer to the first call of an account, while its service-linked role is made:
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAM.ServiceLinkedRoles.html"""


@dataclass(frozen=True, eq=False)
class RdsResource(Resource):
    """A kind that RDS describes and tags."""

    @property
    def aws_name(self) -> str:
        """Its name in RDS."""
        return f"flowstead-{self.label}"

    def find(self, aws: Aws) -> Live | None:
        """Look it up by its name; the tags must be ours."""
        live = self.at(aws, self.aws_name)
        if live and not self.owns(live.tags):
            raise foreign(self, f"{self.kind} {self.aws_name}", live.tags)
        return live

    def tags_of(self, aws: Aws, arn: str) -> dict[str, str]:
        """Ask for the tags of something."""
        return as_tags(aws.call("rds", "list_tags_for_resource", ResourceName=arn)["TagList"])

    def retag(self, aws: Aws, live: Live, tags: Mapping[str, str | None], /) -> None:
        """Set these tags, and remove those that are None."""
        set_tags(aws, _TAGS, tags, ResourceName=live.arn)
