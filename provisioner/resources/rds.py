"""What RDS's kinds have in common: names instead of look-ups by tag, and tags asked for by ARN."""

from dataclasses import dataclass

from provisioner.aws import Aws
from provisioner.resources.base import Live, Resource, foreign
from provisioner.resources.ec2 import as_items, as_tags


@dataclass(frozen=True, eq=False)
class RdsResource(Resource):
    """A kind that RDS describes and tags."""

    @property
    def aws_name(self) -> str:
        """Its name in RDS."""
        return f"flowstead-{self.label}"

    def own_tags(self, aws: Aws, arn: str) -> dict[str, str]:
        """Ask for the tags of something that has our name.

        Raises:
            DriftError: it belongs to somebody else.

        """
        tags = as_tags(aws.call("rds", "list_tags_for_resource", ResourceName=arn)["TagList"])
        if not self.owns(tags):
            raise foreign(self, f"{self.kind} {self.aws_name}", tags)
        return tags

    def retag(self, aws: Aws, live: Live) -> Live:
        """Set the tags that are missing or differ."""
        aws.call("rds", "add_tags_to_resource", ResourceName=live.arn, Tags=as_items(self.tags))
        aws.forget()
        found = self.find(aws)
        return found or live
