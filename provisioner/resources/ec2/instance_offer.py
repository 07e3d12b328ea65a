"""Where EC2 has room for a type of host."""

from dataclasses import dataclass

from provisioner.aws import Aws
from provisioner.errors import NotOfferedError
from provisioner.resources.ec2.instance_facts import instances_of
from provisioner.resources.ec2.zones import Offer, instead


@dataclass(frozen=True)
class InstanceOffer(Offer):
    """A type of host.

    Args:
        instance_type: EC2's name of it.

    """

    instance_type: str

    @property
    def key(self) -> str:
        """The key in deployment.yml."""
        return f"{self.section}.instance_type"

    def __str__(self) -> str:
        """Name the type."""
        return self.instance_type

    def is_built(self, aws: Aws, deployment: str) -> bool:
        """Tell whether the hosts are of this type."""
        return {item["InstanceType"] for item in instances_of(aws, deployment)} == {self.instance_type}

    def zones(self, aws: Aws) -> set[str]:
        """Ask where it is offered, without Local and Wavelength Zones: they offer little else."""
        offerings = aws.page(
            "ec2",
            "describe_instance_type_offerings",
            "InstanceTypeOfferings",
            LocationType="availability-zone",
            Filters=[{"Name": "instance-type", "Values": [self.instance_type]}],
        )
        ordinary = aws.page(
            "ec2",
            "describe_availability_zones",
            "AvailabilityZones",
            Filters=[{"Name": "zone-type", "Values": ["availability-zone"]}],
        )
        found = {str(item["Location"]) for item in offerings} & {str(item["ZoneName"]) for item in ordinary}
        if not found:
            text = f"{self.instance_type!r} is not an instance type that AWS offers in {aws.region}"
            raise NotOfferedError([(self.key, text + instead(self.instance_type, _types(aws)))])
        return found


def _types(aws: Aws) -> set[str]:
    offerings = aws.page(
        "ec2", "describe_instance_type_offerings", "InstanceTypeOfferings", LocationType="region"
    )
    return {str(item["InstanceType"]) for item in offerings}
