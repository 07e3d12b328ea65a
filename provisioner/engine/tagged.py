"""All that carries a deployment's tag, in any service: what none of its resources accounts for shows up."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from provisioner.aws import Aws
from provisioner.engine.graph import Graph
from provisioner.resources.base import DEPLOYMENT_TAG, RESOURCE_TAG, Live, Resource
from provisioner.resources.ec2.instance_facts import instances_of
from provisioner.resources.ec2.kind import listed_tags
from provisioner.resources.iam.role import role_prefix
from provisioner.resources.tags import as_tags

_BACKUPS = frozenset(
    {
        "backup/recovery-point",
        "ec2/image",
        "ec2/snapshot",
        "rds/auto-backup",
        "rds/cluster-auto-backup",
        "rds/cluster-snapshot",
        "rds/snapshot",
    }
)
"""Copies carry the tags of what they were made of, wanted as they are:
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Tagging.html#USER_Tagging.CopyTags"""
_IAM_PAGE = 1000
"""The most that IAM lists in one answer: https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoles.html"""
_AUTOMATIC = "rds:"
"""How the names of the snapshots begin that RDS makes by itself, and deletes with their database:
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithAutomatedBackups.html"""


@dataclass(frozen=True)
class Tagged:
    """Something that carries the deployment's tag.

    Args:
        kind: service and kind ("ec2/subnet"), or the service where ARNs tell no kind ("s3").
        id: its id or name.
        deployment: the value of its tag flowstead:deployment.
        resource: the value of its tag flowstead:resource; empty when it has none.
        arn: its ARN; EC2 tells none.

    """

    kind: str
    id: str
    deployment: str
    resource: str = ""
    arn: str = ""

    @property
    def handle(self) -> str:
        """What to ask for it by: the names in Secrets Manager's ARNs end in six letters of its own."""
        return self.arn if self.kind.startswith("secretsmanager/") else self.id

    @property
    def is_backup(self) -> bool:
        """Tell whether it is a copy of data, which nobody misses in deployment.yml."""
        return self.kind in _BACKUPS

    def __str__(self) -> str:
        """Say what it is, and what its tags say."""
        named = f"{RESOURCE_TAG} is {self.resource}" if self.resource else f"it has no tag {RESOURCE_TAG}"
        carries = f"carries {DEPLOYMENT_TAG}={self.deployment} and is none of its resources"
        return f"{self.kind} {self.id} {carries} ({named})"


def find_ec2(aws: Aws, deployment: str) -> list[Tagged]:
    """List what EC2 has of a deployment.

    Args:
        aws: the AWS client.
        deployment: the deployment's name.

    Raises:
        AwsError: AWS could not be asked.

    """
    tags = defaultdict[tuple[str, str], dict[str, str]](dict)
    for item in listed_tags(aws):
        tags[item["ResourceType"], item["ResourceId"]][item["Key"]] = item["Value"]
    # A terminated host keeps its tags for a while.
    hosts = {item["InstanceId"] for item in instances_of(aws, deployment)}
    return [
        Tagged(f"ec2/{kind}", id_, deployment, has.get(RESOURCE_TAG, ""))
        for (kind, id_), has in tags.items()
        if has.get(DEPLOYMENT_TAG) == deployment and (kind != "instance" or id_ in hosts)
    ]


def find_others(aws: Aws, deployment: str) -> list[Tagged]:
    """List what the region's other services have of a deployment; IAM's roles are in no such list.

    Args:
        aws: the AWS client.
        deployment: the deployment's name.

    Raises:
        AwsError: AWS could not be asked.

    """
    filters = [{"Key": DEPLOYMENT_TAG, "Values": [deployment]}]
    found = []
    for item in aws.page(
        "resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList", TagFilters=filters
    ):
        arn = item["ResourceARN"]
        _, _, service, _, _, rest = arn.split(":", 5)
        kind, _, name = rest.replace("/", ":", 1).partition(":")
        named = as_tags(item["Tags"]).get(RESOURCE_TAG, "")
        if service != "ec2":
            what, id_ = (f"{service}/{kind}", name) if name else (service, kind)
            found.append(Tagged(what, id_, deployment, named, arn))
    return found


def find_iam(aws: Aws, graph: Graph) -> list[Tagged]:
    """List what has a name in IAM as the deployment's roles have; whose it is, its tags tell.

    Args:
        aws: the AWS client.
        graph: what is wanted; without anything that keeps runs in it (the host of a bake), IAM is not asked.

    Raises:
        AwsError: AWS could not be asked.

    """
    if not any(resource.keeps_runs for resource in graph):
        return []
    deployment = graph.deployment
    # Another region's deployment of this name has roles of the same tags.
    prefix = role_prefix(deployment, aws.region)
    found = []
    for kind, operation, items, name in (
        ("iam/role", "list_roles", "Roles", "RoleName"),
        ("iam/instance-profile", "list_instance_profiles", "InstanceProfiles", "InstanceProfileName"),
    ):
        found += [
            Tagged(kind, item[name], deployment, arn=item["Arn"])
            for item in aws.page("iam", operation, items, MaxItems=_IAM_PAGE)
            if item[name].startswith(prefix)
        ]
    return found


def unknown(
    listed: Iterable[Tagged], lives: Mapping[Resource, Live]
) -> tuple[tuple[Tagged, ...], tuple[Tagged, ...]]:
    """Pick what no resource accounts for.

    Args:
        listed: what was found by its tag.
        lives: what there is of each resource.

    Returns:
        what nobody knows, and the copies of data, but for those that RDS keeps by itself.

    """
    known = set(known_ids(lives))
    others = [one for one in listed if not known & {one.id, one.arn}]
    backups = (one for one in others if one.is_backup and not one.id.startswith(_AUTOMATIC))
    return tuple(one for one in others if not one.is_backup), tuple(backups)


def known_ids(lives: Mapping[Resource, Live]) -> Iterable[str]:
    """Give ids and ARNs of resources, of their parts and of their twins."""
    for resource, first in lives.items():
        for live in (first, *first.twins):
            yield from (one for one in (live.id, live.arn, *resource.parts(live)) if one)
