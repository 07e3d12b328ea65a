"""The host that MLflow runs on."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from provisioner.aws import Aws, Lag
from provisioner.errors import AwsError
from provisioner.resources.base import RESOURCE_TAG, Difference, Live, State, only
from provisioner.resources.ec2 import Description, Ec2Resource, as_tags, tagged
from provisioner.resources.image import Image
from provisioner.resources.instance_facts import GONE, instances_of
from provisioner.resources.instance_profile import InstanceProfile
from provisioner.resources.key_pair import KeyPair
from provisioner.resources.route_table import RouteTable
from provisioner.resources.security_group import SecurityGroup
from provisioner.resources.subnet import Subnet

ROLE_TAG = "flowstead:role"
IMAGE_TAG = "flowstead:image"

_VOLUMES = Description(
    "describe_volumes", "Volumes", "VolumeId", "VolumeIds", "volume", "InvalidVolume.NotFound"
)

_HOP_LIMIT = 1
"""Containers and proxies on the host cannot reach its credentials:
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-options.html"""

_METADATA = MappingProxyType(
    {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": _HOP_LIMIT}
)

_PROFILE_LAG = "InvalidParameterValue"
"""EC2's code, with "IAM" in the message, until a new instance profile is known everywhere (about 15 s):
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency"""

_BOOT_S = 300
_STOP_S = 600


@dataclass(frozen=True, eq=False)
class Instance(Ec2Resource):
    """An EC2 instance: IMDSv2 only, an encrypted disk, no keys on it but its role's.

    Args:
        role: what it is for, the value of its `flowstead:role` tag.
        image: what it starts from; a newer image later changes nothing.
        instance_type: its size.
        volume_gib: its disk.
        subnet: where it is.
        groups: which packets reach it.
        key_pair: what opens it.
        routes: its way to the internet, there before it starts.
        profile: what it may do in AWS; None: nothing.
        at_shutdown: what becomes of it when it shuts itself down.
        user_data: cloud-init's configuration, used at the first start only.

    """

    kind: ClassVar[str] = "instance"
    description: ClassVar[Description] = Description(
        "describe_instances",
        "Reservations",
        "InstanceId",
        "InstanceIds",
        "instance",
        "InvalidInstanceID.NotFound",
    )

    role: str
    image: Image
    instance_type: str
    volume_gib: int
    subnet: Subnet
    groups: tuple[SecurityGroup, ...]
    key_pair: KeyPair
    routes: RouteTable
    profile: InstanceProfile | None = None
    at_shutdown: Literal["stop", "terminate"] = "stop"
    user_data: str = ""

    @property
    def tags(self) -> Mapping[str, str]:
        """Every tag that it is to carry, with its role and its operating system."""
        return MappingProxyType({**super().tags, ROLE_TAG: self.role, IMAGE_TAG: self.image.system})

    def find(self, aws: Aws) -> Live | None:
        """Look it up by its tags, with the size of its disk."""
        lives = [self.live(item) for item in instances_of(aws, self.owner.deployment)]
        live = only(self, lives)
        if live is None:
            return None
        volumes = tagged(aws, _VOLUMES, self.owner.deployment)
        ours = [item for item in volumes if as_tags(item.get("Tags", [])).get(RESOURCE_TAG) == self.name]
        return _with_volume(live, ours)

    def read(self, aws: Aws, id_: str) -> Live:
        """Look again, at its disk too."""
        reservations = aws.page(
            "ec2", "describe_instances", "Reservations", Lag((self.description.absent,)), InstanceIds=[id_]
        )
        live = self.live(reservations[0]["Instances"][0])
        filters = [{"Name": "attachment.instance-id", "Values": [id_]}]
        return _with_volume(live, aws.page("ec2", "describe_volumes", "Volumes", Filters=filters))

    def live(self, item: dict[str, Any]) -> Live:
        """Read EC2's description of one; a stopped one is ready to be started."""
        state = str(item["State"]["Name"])
        live = Live(id=item["InstanceId"], facts=item, tags=as_tags(item.get("Tags", [])))
        return replace(live, ready=state in {"running", "stopped"}, status=state)

    def diff(self, live: Live, state: State) -> tuple[Difference, ...]:
        """Compare size, disk, place, groups, profile, metadata service, and whether it runs."""
        return (
            *self._diff_for_ever(live, state),
            *self._diff_size(live),
            *self._diff_access(live, state),
            *(
                [Difference("state", live.status, "running")]
                if live.status in {"stopped", "stopping"}
                else []
            ),
        )

    def _diff_for_ever(self, live: Live, state: State) -> list[Difference]:
        found = []
        if live.facts["SubnetId"] != state.id(self.subnet):
            found.append(Difference("subnet", live.facts["SubnetId"], state.id(self.subnet), immutable=True))
        system = live.tags.get(IMAGE_TAG, self.image.system)
        if system != self.image.system:
            found.append(Difference("server.image", system, self.image.system, immutable=True))
        size = live.facts.get("VolumeGib")
        if size and size > self.volume_gib:
            note = "a disk cannot shrink"
            found.append(Difference("server.volume_gib", size, self.volume_gib, immutable=True, note=note))
        return found

    def _diff_size(self, live: Live) -> list[Difference]:
        found = []
        if live.facts["InstanceType"] != self.instance_type:
            note = "stops and starts the host"
            found.append(
                Difference("instance type", live.facts["InstanceType"], self.instance_type, note=note)
            )
        size = live.facts.get("VolumeGib")
        if size and size < self.volume_gib:
            note = "the file system grows at the next reboot"
            found.append(Difference("volume GiB", size, self.volume_gib, note=note))
        return found

    def _diff_access(self, live: Live, state: State) -> list[Difference]:
        found = []
        has = sorted(group["GroupId"] for group in live.facts.get("SecurityGroups", []))
        wanted = sorted(state.id(group) for group in self.groups)
        if has != wanted:
            found.append(Difference("security groups", ", ".join(has), ", ".join(wanted)))
        profile = live.facts.get("IamInstanceProfile", {}).get("Arn", "none")
        if self.profile and profile != state.arn(self.profile):
            found.append(Difference("instance profile", profile, state.arn(self.profile)))
        options = live.facts.get("MetadataOptions", {})
        found += [
            Difference(f"metadata {key}", options.get(key), value)
            for key, value in _METADATA.items()
            if options.get(key) != value
        ]
        return found

    def notices(self, live: Live, state: State) -> tuple[str, ...]:
        """Tell of another image, a newer one as a rule: it serves new hosts only."""
        newest = state.get(self.image)
        if newest is None or newest.id == live.facts["ImageId"]:
            return ()
        old = live.facts["ImageId"]
        text = f"{self.image.news(newest)}; this host keeps {old} and gets updates from its distribution"
        return (f"{self}: {text}",)

    def create(self, aws: Aws, state: State) -> Live:
        """Start it; waits for IAM to make a new profile known."""
        image = state[self.image]
        root = {
            "VolumeSize": self.volume_gib,
            "VolumeType": "gp3",
            "Encrypted": True,
            "DeleteOnTermination": True,
        }
        parameters: dict[str, Any] = {
            "MinCount": 1,
            "MaxCount": 1,
            "ImageId": image.id,
            "InstanceType": self.instance_type,
            "KeyName": state.id(self.key_pair),
            "SubnetId": state.id(self.subnet),
            "SecurityGroupIds": [state.id(group) for group in self.groups],
            "MetadataOptions": dict(_METADATA),
            "BlockDeviceMappings": [{"DeviceName": image.facts["RootDeviceName"], "Ebs": root}],
            "InstanceInitiatedShutdownBehavior": self.at_shutdown,
            "UserData": self.user_data,
            "TagSpecifications": self.tag_specifications("instance", "volume", "network-interface"),
        }
        if self.profile:
            parameters["IamInstanceProfile"] = {"Arn": state.arn(self.profile)}
        return self._run(aws, parameters)

    def _run(self, aws: Aws, parameters: dict[str, Any]) -> Live:
        """Call RunInstances with a token that a killed run would have used too.

        AWS answers a known token with the instance made then, be it terminated or, an hour later, forgotten;
        and the state in that answer may be the one of that time. So it is looked at again, and if it is gone
        the next token is tried.
        """
        generation = 0
        while True:
            token = aws.token(self.owner.deployment, self.name, parameters["SubnetId"], str(generation))
            try:
                answer = aws.call(
                    "ec2",
                    "run_instances",
                    Lag((_PROFILE_LAG,), text="IAM", deadline_s=180),
                    ClientToken=token,
                    **parameters,
                )
            except AwsError as error:
                if error.code != "IdempotentParameterMismatch":
                    raise
            else:
                live = self._launched(aws, str(answer["Instances"][0]["InstanceId"]))
                if live is not None:
                    return live
            generation += 1

    def _launched(self, aws: Aws, id_: str) -> Live | None:
        """Look at a launched instance; None when it is one of long ago."""
        try:
            live = self.read(aws, id_)
        except AwsError as error:
            if error.code != self.description.absent:
                raise
            return None
        return None if live.status in GONE else live

    def wait(self, aws: Aws, live: Live) -> Live:
        """Wait until it runs, or has stopped."""
        is_stopping = live.status == "stopping"
        waiter, deadline_s = ("instance_stopped", _STOP_S) if is_stopping else ("instance_running", _BOOT_S)
        aws.wait("ec2", waiter, deadline_s=deadline_s, InstanceIds=[live.id])
        return self.read(aws, live.id)

    def update(self, aws: Aws, state: State, live: Live, differences: tuple[Difference, ...]) -> Live:
        """Set right what drifted; another size needs a stop."""
        wrong = {difference.setting for difference in differences}
        if "security groups" in wrong:
            groups = [state.id(group) for group in self.groups]
            aws.call("ec2", "modify_instance_attribute", InstanceId=live.id, Groups=groups)
        if self.profile and "instance profile" in wrong:
            self._set_profile(aws, live, state.arn(self.profile))
        if any(setting.startswith("metadata ") for setting in wrong):
            aws.call("ec2", "modify_instance_metadata_options", InstanceId=live.id, **_METADATA)
        if "volume GiB" in wrong:
            aws.call("ec2", "modify_volume", VolumeId=live.facts["VolumeId"], Size=self.volume_gib)
        if "instance type" in wrong:
            self._set_type(aws, live)
        if wrong & {"instance type", "state"}:
            aws.call("ec2", "start_instances", InstanceIds=[live.id])
            aws.wait("ec2", "instance_running", deadline_s=_BOOT_S, InstanceIds=[live.id])
        return self.read(aws, live.id)

    def _set_profile(self, aws: Aws, live: Live, arn: str) -> None:
        filters = [{"Name": "instance-id", "Values": [live.id]}]
        associations = [
            item
            for item in aws.page(
                "ec2",
                "describe_iam_instance_profile_associations",
                "IamInstanceProfileAssociations",
                Filters=filters,
            )
            if item["State"] in {"associating", "associated"}
        ]
        profile = {"Arn": arn}
        if associations:
            operation, target = (
                "replace_iam_instance_profile_association",
                {"AssociationId": associations[0]["AssociationId"]},
            )
        else:
            operation, target = "associate_iam_instance_profile", {"InstanceId": live.id}
        aws.call(
            "ec2",
            operation,
            Lag((_PROFILE_LAG,), text="IAM"),
            IamInstanceProfile=profile,
            **target,
        )

    def _set_type(self, aws: Aws, live: Live) -> None:
        if live.status != "stopped":
            aws.call("ec2", "stop_instances", InstanceIds=[live.id])
            aws.wait("ec2", "instance_stopped", deadline_s=_STOP_S, InstanceIds=[live.id])
        aws.call(
            "ec2", "modify_instance_attribute", InstanceId=live.id, InstanceType={"Value": self.instance_type}
        )

    def remove(self, aws: Aws, live: Live) -> None:
        """Terminate it; its disk goes with it."""
        aws.call("ec2", "terminate_instances", InstanceIds=[live.id])
        aws.wait("ec2", "instance_terminated", deadline_s=_STOP_S, InstanceIds=[live.id])


def _with_volume(live: Live, volumes: list[dict[str, Any]]) -> Live:
    """Add the root disk's size: EC2 tells it apart from the instance."""
    mappings = live.facts.get("BlockDeviceMappings", [])
    root = next(
        (
            item["Ebs"]["VolumeId"]
            for item in mappings
            if item["DeviceName"] == live.facts.get("RootDeviceName")
        ),
        mappings[0]["Ebs"]["VolumeId"] if mappings else None,
    )
    size = next((int(volume["Size"]) for volume in volumes if volume["VolumeId"] == root), None)
    return replace(live, facts={**live.facts, "VolumeId": root, "VolumeGib": size})
