"""The host that MLflow runs on."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from provisioner.aws import Aws, RetryOn
from provisioner.errors import AwsError, FlowsteadError
from provisioner.resources.base import Live
from provisioner.resources.ec2 import attachment
from provisioner.resources.ec2.image import Image
from provisioner.resources.ec2.instance_facts import GONE, architecture, instances_of
from provisioner.resources.ec2.key_pair import KeyPair
from provisioner.resources.ec2.kind import EC2_TAGS, Description, Ec2Resource
from provisioner.resources.ec2.route_table import RouteTable
from provisioner.resources.ec2.security_group import SecurityGroup
from provisioner.resources.ec2.subnet import Subnet
from provisioner.resources.ec2.twins import pick
from provisioner.resources.ec2.volume import Volume
from provisioner.resources.iam.instance_profile import InstanceProfile
from provisioner.resources.refusals import foreign_key, in_the_way
from provisioner.resources.setting import Setting
from provisioner.resources.state import State
from provisioner.resources.tags import as_tags, set_tags

ROLE_TAG = "flowstead:role"
IMAGE_TAG = "flowstead:image"

_HOP_LIMIT = 1
"""Containers and proxies on the host cannot reach its credentials:
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-options.html"""

_METADATA = MappingProxyType(
    {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": _HOP_LIMIT}
)

_PROFILE_LAG = "InvalidParameterValue"
"""EC2's code, with "IAM" in the message, until a new instance profile is known everywhere (about 15 s):
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency"""

_BURSTABLE = re.compile(r"t\d")

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
        cpu_credits: what a host of type t that is busy for long becomes, slower ("standard") or dearer:
            https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-performance-instances-unlimited-mode.html
        at_shutdown: what becomes of it when it shuts itself down.
        user_data: cloud-init's configuration, used at the first start only.
        data: a volume that it has and that outlives it; None: there is none.

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
    cpu_credits: Literal["standard", "unlimited"] = "standard"
    at_shutdown: Literal["stop", "terminate"] = "stop"
    user_data: str = ""
    data: Volume | None = None

    @property
    def tags(self) -> Mapping[str, str]:
        """Every tag that it is to carry, with its role and its operating system."""
        return MappingProxyType({**super().tags, ROLE_TAG: self.role, IMAGE_TAG: self.image.system})

    def find(self, aws: Aws) -> Live | None:
        """Look it up by its tags, with its disk and interfaces."""
        lives = [self.live(item) for item in instances_of(aws, self.owner.deployment)]
        live = pick(self, lives, lambda live: self.uses(aws, live))
        return _with_parts(aws, live) if live else None

    def read(self, aws: Aws, id_: str) -> Live:
        """Look again, at its disk and interfaces too."""
        reservations = aws.page(
            "ec2",
            "describe_instances",
            "Reservations",
            RetryOn((self.description.absent,)),
            InstanceIds=[id_],
        )
        return _with_parts(aws, self.live(reservations[0]["Instances"][0]))

    def at(self, aws: Aws, id_: str) -> Live | None:
        """Look at one by its id, with its disk and interfaces."""
        answer = aws.call_or((self.description.absent,), "ec2", "describe_instances", InstanceIds=[id_])
        found = [item for one in answer["Reservations"] for item in one["Instances"]] if answer else []
        there = [self.live(item) for item in found if item["State"]["Name"] not in GONE]
        return _with_parts(aws, there[0]) if there else None

    def live(self, item: dict[str, Any]) -> Live:
        """Read EC2's description of one; a stopped one is ready to be started."""
        state = str(item["State"]["Name"])
        live = Live(id=item["InstanceId"], facts=item, tags=as_tags(item.get("Tags", [])))
        return replace(live, ready=state in {"running", "stopped"}, status=state)

    def settings(self, live: Live, state: State) -> Iterable[Setting]:
        """Place, image, disks, groups, profile, metadata service, size, and that it runs."""
        yield Setting("subnet", live.facts["SubnetId"], state.id(self.subnet))
        yield Setting("server.image", live.tags.get(IMAGE_TAG, self.image.system), self.image.system)
        yield from self._disk(live)
        yield from self._access(live, state)
        yield self._size(live)
        if self.data:
            yield from attachment.settings(self.data, live, state)
        is_running = live.status not in {"stopped", "stopping"}
        yield Setting("state", live.status, "running", self._start, is_wanted=is_running)

    def _size(self, live: Live) -> Setting:
        """Another size of the same processor: the host's programs are for that one."""
        has, processor = live.facts["InstanceType"], live.facts["Architecture"]
        to = {"InstanceType": {"Value": self.instance_type}}
        if architecture(self.instance_type) == processor:
            note = "stops and starts the host"
            return Setting("instance type", has, self.instance_type, self._set_type, to, note)
        return Setting("instance type", has, self.instance_type, note=f"the host's processor is {processor}")

    def _disk(self, live: Live) -> Iterable[Setting]:
        size, wanted = live.facts["Disk"].get("Size", self.volume_gib), self.volume_gib
        yield Setting(
            "server.volume_gib", size, wanted, note="a disk cannot shrink", is_wanted=size <= wanted
        )
        note = "the file system grows at the next reboot"
        yield Setting("volume GiB", size, wanted, self._grow, note=note, is_wanted=size >= wanted)
        for resource, tags in live.facts["TagsOfParts"].items():
            yield from self.tag_settings(tags, partial(self._retag_part, resource), f" of {resource}")

    def _access(self, live: Live, state: State) -> Iterable[Setting]:
        has = sorted(group["GroupId"] for group in live.facts.get("SecurityGroups", []))
        wanted = sorted(state.id(group) for group in self.groups)
        to: dict[str, Any] = {"Groups": wanted}
        yield Setting("security groups", ", ".join(has), ", ".join(wanted), self._set_attributes, to)
        has_check = "on" if live.facts.get("SourceDestCheck", True) else "off"
        to = {"SourceDestCheck": {"Value": True}}
        yield Setting("source/destination check", has_check, "on", self._set_attributes, to)
        if self.profile:
            yield self._profile(live, self.profile, state)
        if live.facts["CpuCredits"]:
            yield Setting("CPU credits", live.facts["CpuCredits"], self.cpu_credits, self._set_credits)
        options = live.facts.get("MetadataOptions", {})
        for key, value in _METADATA.items():
            yield Setting(f"metadata {key}", options.get(key), value, self._set_metadata)

    def _profile(self, live: Live, profile: InstanceProfile, state: State) -> Setting:
        """Compare ids: one that was made anew has the name and ARN of the one before, and not its role."""
        has, wanted = live.facts.get("IamInstanceProfile", {}), state.get(profile)
        id_ = wanted.facts["InstanceProfileId"] if wanted else None
        return Setting(
            "instance profile",
            f"{has['Arn']} ({has['Id']})" if has else "none",
            f"{state.arn(profile)} ({id_})" if id_ else state.arn(profile),
            self._set_profile,
            {"Arn": state.arn(profile)},
            is_wanted=has.get("Id") == id_,
        )

    def notices(self, live: Live, state: State) -> tuple[str, ...]:
        """Tell of another image, as a rule newer, which serves new hosts only, and of a lock by hand."""
        found = []
        newest, old = state.get(self.image), live.facts["ImageId"]
        if newest is not None and newest.id != old:
            keeps = f"this host keeps {old} and gets updates from its distribution"
            found.append(f"{self}: {self.image.news(newest)}; {keeps}")
        disk = live.facts["Disk"]
        if not disk.get("Encrypted", True):
            found.append(f"{self}: its disk {disk['VolumeId']} is not encrypted")
        if text := foreign_key(disk.get("KmsKeyId"), live.facts["NetworkInterfaces"][0]["OwnerId"]):
            found.append(f"{self}: its disk {disk['VolumeId']} {text}")
        if live.facts["IsProtected"]:
            found.append(f"{self} ({live.id}) is protected from termination, and from `destroy` too")
        return tuple(found)

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
        if _BURSTABLE.match(self.instance_type):
            parameters["CreditSpecification"] = {"CpuCredits": self.cpu_credits}
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
                    RetryOn((_PROFILE_LAG,), text="IAM", deadline_s=180),
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

    def _set_attributes(self, aws: Aws, live: Live, to: Mapping[str, Any]) -> None:
        """Set attributes; EC2 takes one a call."""
        for name, value in to.items():
            aws.call("ec2", "modify_instance_attribute", InstanceId=live.id, **{name: value})

    def _set_credits(self, aws: Aws, live: Live, _: Mapping[str, Any]) -> None:
        one = {"InstanceId": live.id, "CpuCredits": self.cpu_credits}
        aws.call("ec2", "modify_instance_credit_specification", InstanceCreditSpecifications=[one])

    def _set_metadata(self, aws: Aws, live: Live, _: Mapping[str, Any]) -> None:
        aws.call("ec2", "modify_instance_metadata_options", InstanceId=live.id, **_METADATA)

    def _grow(self, aws: Aws, live: Live, _: Mapping[str, Any]) -> None:
        aws.call("ec2", "modify_volume", VolumeId=live.facts["VolumeId"], Size=self.volume_gib)

    def _retag_part(self, id_: str, aws: Aws, _: Live, tags: Mapping[str, str | None]) -> None:
        set_tags(aws, EC2_TAGS, tags, Resources=[id_])

    def _set_profile(self, aws: Aws, live: Live, to: Mapping[str, Any]) -> None:
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
        if associations:
            operation, target = (
                "replace_iam_instance_profile_association",
                {"AssociationId": associations[0]["AssociationId"]},
            )
        else:
            operation, target = "associate_iam_instance_profile", {"InstanceId": live.id}
        retry = RetryOn((_PROFILE_LAG,), text="IAM")
        aws.call("ec2", operation, retry, IamInstanceProfile=dict(to), **target)

    def _set_type(self, aws: Aws, live: Live, to: Mapping[str, Any]) -> None:
        """Stop the host, give it another size, and start it, also when AWS refuses the size."""
        if live.status != "stopped":
            aws.call("ec2", "stop_instances", InstanceIds=[live.id])
            aws.wait("ec2", "instance_stopped", deadline_s=_STOP_S, InstanceIds=[live.id])
        try:
            self._set_attributes(aws, live, to)
        finally:
            self._start(aws, live, {})

    def _start(self, aws: Aws, live: Live, _: Mapping[str, Any]) -> None:
        aws.call("ec2", "start_instances", InstanceIds=[live.id])
        aws.wait("ec2", "instance_running", deadline_s=_BOOT_S, InstanceIds=[live.id])

    def parts(self, live: Live) -> Collection[str]:
        """Give the ids of the disks and interfaces that go with it."""
        disks = [item["Ebs"] for item in live.facts.get("BlockDeviceMappings", [])]
        interfaces = live.facts.get("NetworkInterfaces", [])
        return (
            *(item["VolumeId"] for item in disks if item["DeleteOnTermination"]),
            *(item["NetworkInterfaceId"] for item in interfaces if item["Attachment"]["DeleteOnTermination"]),
        )

    def obstacles(self, aws: Aws, live: Live, own: Collection[str]) -> Iterable[FlowsteadError]:
        """Find a protection that somebody has switched on."""
        if live.facts.get("IsProtected"):
            command = (
                f"aws ec2 modify-instance-attribute --region {aws.region} --instance-id {live.id} "
                "--no-disable-api-termination"
            )
            yield in_the_way(self, live, "it is protected from termination", f"Run: {command}")

    def remove(self, aws: Aws, live: Live) -> None:
        """Terminate it; its disk goes with it."""
        aws.call("ec2", "terminate_instances", InstanceIds=[live.id])
        aws.wait("ec2", "instance_terminated", deadline_s=_STOP_S, InstanceIds=[live.id])


def _with_parts(aws: Aws, live: Live) -> Live:
    """Add the root disk, and the tags of disk and interfaces: EC2 tells them apart from the instance."""
    filters = [{"Name": "attachment.instance-id", "Values": [live.id]}]
    volumes = aws.page("ec2", "describe_volumes", "Volumes", Filters=filters)
    interfaces = aws.page("ec2", "describe_network_interfaces", "NetworkInterfaces", Filters=filters)
    mappings = live.facts.get("BlockDeviceMappings", [])
    roots = [item for item in mappings if item["DeviceName"] == live.facts.get("RootDeviceName")]
    root = next((item["Ebs"]["VolumeId"] for item in roots or mappings), None)
    tags = {item["VolumeId"]: as_tags(item.get("Tags", [])) for item in volumes if item["VolumeId"] == root}
    tags |= {item["NetworkInterfaceId"]: as_tags(item.get("TagSet", [])) for item in interfaces}
    attribute = "disableApiTermination"
    protection = aws.call("ec2", "describe_instance_attribute", InstanceId=live.id, Attribute=attribute)
    credits_ = None
    if _BURSTABLE.match(live.facts["InstanceType"]):
        answer = aws.call("ec2", "describe_instance_credit_specifications", InstanceIds=[live.id])
        credits_ = next((item["CpuCredits"] for item in answer["InstanceCreditSpecifications"]), None)
    disk = next((item for item in volumes if item["VolumeId"] == root), {})
    return replace(
        live,
        facts={
            **live.facts,
            "Disk": disk,
            "VolumeId": root,
            "TagsOfParts": tags,
            "CpuCredits": credits_,
            "IsProtected": protection["DisableApiTermination"]["Value"],
        },
    )
