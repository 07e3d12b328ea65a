"""A way to S3 that does not leave the network."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from provisioner.aws import Aws, RetryOn
from provisioner.resources.base import Live
from provisioner.resources.ec2.kind import Description, Ec2Resource
from provisioner.resources.ec2.route_table import RouteTable
from provisioner.resources.ec2.vpc import Vpc
from provisioner.resources.iam.policy import Policy, as_json, as_policy, document, is_same_policy
from provisioner.resources.s3.bucket import Bucket
from provisioner.resources.setting import Setting
from provisioner.resources.state import State


@dataclass(frozen=True, eq=False)
class S3Endpoint(Ec2Resource):
    """A gateway endpoint for S3: free, and packets for S3 stay on AWS's network. It leads to one bucket.

    Args:
        vpc: the network.
        route_tables: whose packets for S3 take it.
        bucket: the bucket that it leads to.
        packages: name of the bucket in which the hosts' system has its packages; none: elsewhere.

    """

    kind: ClassVar[str] = "S3 endpoint"
    description: ClassVar[Description] = Description(
        "describe_vpc_endpoints",
        "VpcEndpoints",
        "VpcEndpointId",
        "VpcEndpointIds",
        "vpc-endpoint",
        "InvalidVpcEndpointId.NotFound",
    )

    vpc: Vpc
    route_tables: tuple[RouteTable, ...]
    bucket: Bucket
    packages: str = ""

    @property
    def policy(self) -> Policy:
        """What may pass: the bucket for principals of the account, and the system's packages."""
        arn, everybody = self.bucket.arn, {"Effect": "Allow", "Principal": "*"}
        own = {
            "Sid": "OwnBucketByTheAccountsOwn",
            "Action": "s3:*",
            "Resource": [arn, f"{arn}/*"],
            "Condition": {"StringEquals": {"aws:PrincipalAccount": self.bucket.account_id}},
        }
        packages = {
            "Sid": "PackagesOfTheOperatingSystem",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{self.packages}/*",
        }
        return document({**everybody, **one} for one in ((own, packages) if self.packages else (own,)))

    def exists(self, item: dict[str, Any]) -> bool:
        """Leave out those that are going."""
        return str(item.get("State", "")).lower() not in {
            "deleting",
            "deleted",
            "failed",
            "rejected",
            "expired",
        }

    def live(self, item: dict[str, Any]) -> Live:
        """Read EC2's description of one."""
        state = str(item.get("State", "available")).lower()
        return super().live({**item, "State": state})

    def settings(self, live: Live, state: State) -> Iterable[Setting]:
        """The network (for ever), the route tables, and what may pass."""
        yield Setting("vpc", live.facts["VpcId"], state.id(self.vpc))
        has = set(live.facts.get("RouteTableIds", []))
        wanted = {state.id(table) for table in self.route_tables}
        changes = {"AddRouteTableIds": sorted(wanted - has), "RemoveRouteTableIds": sorted(has - wanted)}
        to = {key: ids for key, ids in changes.items() if ids}
        yield Setting("route tables", ", ".join(sorted(has)), ", ".join(sorted(wanted)), self._modify, to)
        policy = as_policy(live.facts["PolicyDocument"])
        yield Setting(
            "policy",
            as_json(policy),
            f"{self.bucket.bucket_name} only" + (f", and {self.packages}" if self.packages else ""),
            self._modify,
            {"PolicyDocument": as_json(self.policy)},
            is_wanted=is_same_policy(policy, self.policy),
        )

    def _modify(self, aws: Aws, live: Live, to: Mapping[str, Any]) -> None:
        aws.call("ec2", "modify_vpc_endpoint", VpcEndpointId=live.id, **to)

    def create(self, aws: Aws, state: State) -> Live:
        """Make the endpoint."""
        return self.make(
            aws,
            "create_vpc_endpoint",
            RetryOn((Vpc.description.absent, RouteTable.description.absent)),
            taken=("RouteAlreadyExists",),
            ClientToken=aws.run_token(self.name),
            VpcEndpointType="Gateway",
            VpcId=state.id(self.vpc),
            ServiceName=f"com.amazonaws.{aws.region}.s3",
            RouteTableIds=[state.id(table) for table in self.route_tables],
            PolicyDocument=as_json(self.policy),
        )

    def wait(self, aws: Aws, live: Live) -> Live:
        """Wait until it is available; botocore has no waiter for it."""

        def available() -> Live | None:
            now = self.read(aws, live.id)
            return now if now.ready else None

        return aws.until(available, what=f"{live.id} being available", deadline_s=300)

    def remove(self, aws: Aws, live: Live) -> None:
        """Delete it; AWS takes a moment, and the network cannot go before it."""

        def gone() -> bool | None:
            items = aws.call_or(
                (self.description.absent,), "ec2", self.description.operation, VpcEndpointIds=[live.id]
            )
            there = (
                [item for item in items["VpcEndpoints"] if item["State"].lower() != "deleted"]
                if items
                else []
            )
            return None if there else True

        if not gone():
            aws.call("ec2", "delete_vpc_endpoints", VpcEndpointIds=[live.id])
            aws.until(gone, what=f"{live.id} being gone", deadline_s=300)
