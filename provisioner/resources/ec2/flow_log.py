"""Which packets the network has seen."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from provisioner.aws import Aws, RetryOn
from provisioner.errors import AwsError
from provisioner.resources.base import Live
from provisioner.resources.ec2.kind import Description, Ec2Resource
from provisioner.resources.ec2.vpc import Vpc
from provisioner.resources.setting import Setting
from provisioner.resources.state import State

_TAKEN = "FlowLogAlreadyExists"


@dataclass(frozen=True, eq=False)
class FlowLog(Ec2Resource):
    """A flow log of the whole network, into a bucket that is somebody else's to keep.

    It is not the artifacts' bucket: AWS writes the policy of the bucket that it delivers to
    (https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-permissions.html).

    Args:
        vpc: the network.
        destination: ARN of bucket and folder.

    """

    kind: ClassVar[str] = "flow log"
    description: ClassVar[Description] = Description(
        "describe_flow_logs",
        "FlowLogs",
        "FlowLogId",
        "FlowLogIds",
        "vpc-flow-log",
        "InvalidFlowLogId.NotFound",
    )

    vpc: Vpc
    destination: str

    def settings(self, live: Live, state: State) -> Iterable[Setting]:
        """The network (for ever), and where it goes."""
        yield Setting("vpc", live.facts["ResourceId"], state.id(self.vpc))
        yield Setting("destination", live.facts.get("LogDestination"), self.destination, self._move)

    def notices(self, live: Live, state: State) -> tuple[str, ...]:
        """Tell that AWS cannot deliver it: the bucket is the user's."""
        problem = live.facts.get("DeliverLogsErrorMessage")
        return (f"{self} ({live.id}) is not delivered to {self.destination}: {problem}",) if problem else ()

    def create(self, aws: Aws, state: State) -> Live:
        """Start it. AWS answers 200 with the error where it cannot."""
        return self._start(aws, state.id(self.vpc))

    def _start(self, aws: Aws, vpc_id: str) -> Live:
        answer = aws.call_or(
            (_TAKEN,),
            "ec2",
            "create_flow_logs",
            RetryOn((Vpc.description.absent,)),
            ClientToken=aws.run_token(self.name, self.destination),
            ResourceIds=[vpc_id],
            ResourceType="VPC",
            TrafficType="ALL",
            LogDestinationType="s3",
            LogDestination=self.destination,
            TagSpecifications=self.tag_specifications(),
        )
        for one in (answer or {}).get("Unsuccessful", ()):
            if one["Error"]["Code"] != _TAKEN:
                raise AwsError(
                    f"{self}: AWS answered {one['Error']['Code']}: {one['Error']['Message']}",
                    code=one["Error"]["Code"],
                    operation="CreateFlowLogs",
                    next_step="Check network.flow_logs in deployment.yml, and that bucket's policy.",
                )
        aws.forget()
        return self.found(aws)

    def _move(self, aws: Aws, live: Live, _: Mapping[str, Any]) -> None:
        """Make another: AWS changes none."""
        self.remove(aws, live)
        self._start(aws, live.facts["ResourceId"])

    def look(self, aws: Aws, live: Live) -> Live:
        """Look again: another may have taken its place."""
        aws.forget()
        return self.found(aws)

    def remove(self, aws: Aws, live: Live) -> None:
        """Stop it; what it has written stays."""
        aws.call_or((self.description.absent,), "ec2", "delete_flow_logs", FlowLogIds=[live.id])
        aws.forget()
