"""What EC2 tells of a deployment's hosts, asked once for all who want to know."""

import re
from typing import Any

from provisioner.aws import Aws
from provisioner.resources.base import DEPLOYMENT_TAG

GONE = frozenset({"shutting-down", "terminated"})

_FAMILY = re.compile(r"^(?P<family>[a-z]+)(?P<generation>\d+)(?P<attributes>[a-z0-9-]*)\.")


def instances_of(aws: Aws, deployment: str) -> list[dict[str, Any]]:
    """List the hosts that a deployment has, the terminated ones left out."""

    def ask() -> list[dict[str, Any]]:
        filters = [{"Name": f"tag:{DEPLOYMENT_TAG}", "Values": [deployment]}]
        reservations = aws.page("ec2", "describe_instances", "Reservations", Filters=filters)
        instances = [item for reservation in reservations for item in reservation["Instances"]]
        return [item for item in instances if item["State"]["Name"] not in GONE]

    return aws.remembered(("describe_instances", deployment), ask)


def architecture(instance_type: str) -> str:
    """Tell a type's processor: "arm64" for those with a g among the letters after the generation.

    Source: https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html
    """
    match = _FAMILY.match(instance_type)
    if not match:
        return "x86_64"
    is_arm = "g" in match["attributes"] or match["family"] + match["generation"] == "a1"
    return "arm64" if is_arm else "x86_64"
