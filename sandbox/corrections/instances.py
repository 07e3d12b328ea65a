"""EC2 instances: what AWS checks at launch, the states an instance goes through, and the host behind it."""

from __future__ import annotations

import base64
import re
from typing import Any

from moto.core.utils import utcnow
from moto.ec2.models.elastic_network_interfaces import Attachment
from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS, INSTANCE_TYPES
from moto.ec2.models.instances import Instance, InstanceBackend

from sandbox import account
from sandbox.api import wire
from sandbox.api.call import Call, current_call
from sandbox.api.correction import Correction, substitute
from sandbox.api.refusal import Refusal
from sandbox.mapping.hosts import set_state
from sandbox.mapping.infrastructure import Infrastructure
from sandbox.ways import ways

correction = Correction()

_USER_DATA_BYTES = 16_384  # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html
_AMI = re.compile(r"ami-[0-9a-f]{8,17}")


@correction.patch
def _patch(_: Infrastructure) -> None:
    """Launch as many as asked for, pending, with the protection asked for, and tag their interfaces."""
    original = InstanceBackend.run_instances

    def run_instances(
        self: Any, image_id: str, count: int, user_data: Any, security_group_names: list[str], **kwargs: Any
    ) -> Any:
        call = current_call.get()
        params = call.params if call is not None and call.action == "RunInstances" else {}
        wanted = int(params.get("MaxCount") or count)
        kwargs["disable_api_termination"] = str(params.get("DisableApiTermination")).lower() == "true"
        reservation = original(self, image_id, wanted, user_data, security_group_names, **kwargs)
        for instance in reservation.instances:
            set_state(instance, "pending")
            for interface in instance.nics.values():
                interface.add_tags(kwargs.get("tags", {}).get("network-interface", {}))
        if call is not None:
            call.notes["launched"] = list(reservation.instances)
        return reservation

    substitute(InstanceBackend, "run_instances", run_instances)
    substitute(Instance, "iam_instance_profile", property(_profile, lambda _, __: None))
    # A host's first interface goes with it, and says so; moto tells that of none. Source: "Delete a network
    # interface", EC2 User Guide. It goes when the real host has gone, not in moto's own TerminateInstances.
    goes_along = property(lambda attachment: attachment.device_index == 0, lambda _, __: None)
    substitute(Attachment, "delete_on_termination", goes_along)


def _profile(host: Any) -> dict[str, str] | None:
    """Give a host's profile with the profile's own id; moto gives the association's."""
    association = host.ec2_backend.iam_instance_profile_associations.get(host.id)
    profile = association and association.iam_instance_profile
    return {"Arn": profile.arn, "Id": profile.id} if profile else None


@correction.refuses("ec2", "RunInstances")
def _check_counts(call: Call) -> None:
    least, most = int(call.params.get("MinCount") or 0), int(call.params.get("MaxCount") or 0)
    if not least or not most:
        raise Refusal("MissingParameter", "The request must contain the parameter MinCount and MaxCount")
    if least > most:
        raise Refusal(
            "InvalidParameterValue", f"The MinCount {least} must be equal to or less than MaxCount {most}"
        )


@correction.refuses("ec2", "RunInstances")
def _check_image_and_type(call: Call) -> None:
    params = call.params
    image_id, kind = str(params.get("ImageId") or ""), str(params.get("InstanceType") or "m1.small")
    if not image_id:
        raise Refusal("MissingParameter", "The request must contain the parameter ImageId")
    if not _AMI.fullmatch(image_id):
        raise Refusal("InvalidAMIID.Malformed", f'Invalid id: "{image_id}" (expecting "ami-...")')
    backend = account.ec2(call.region)
    image = backend.amis.get(image_id)
    if image_id in backend.deleted_amis or (image is not None and image.state != "available"):
        raise Refusal("InvalidAMIID.Unavailable", f"The image id '[{image_id}]' is no longer available")
    if image is None:
        raise Refusal("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
    _check_type(kind, image.architecture, "InvalidParameterValue")


def _check_type(kind: str, architecture: str, code: str) -> None:
    facts = INSTANCE_TYPES.get(kind)
    if facts is None:
        raise Refusal(code, f"Invalid value '{kind}' for InstanceType.")
    architectures = facts["ProcessorInfo"]["SupportedArchitectures"]
    if architecture not in architectures:
        raise Refusal(
            code,
            f"The architecture '{','.join(architectures)}' of the specified instance type does not match the "
            f"architecture '{architecture}' of the specified AMI. Specify an instance type and an AMI "
            "that have matching architectures, and try again.",
        )


@correction.refuses("ec2", "RunInstances")
def _check_place(call: Call) -> None:
    """The subnet's zone must offer the type, and the groups must be of the subnet's VPC."""
    backend, params = account.ec2(call.region), call.params
    nics = params.get("NetworkInterfaces") or [{}]
    subnet_id = params.get("SubnetId") or nics[0].get("SubnetId")
    if not subnet_id:
        return
    subnet = backend.get_subnet(subnet_id)
    kind, zone = str(params.get("InstanceType") or "m1.small"), subnet.availability_zone
    offered = INSTANCE_TYPE_OFFERINGS["availability-zone"].get(call.region, [])
    zones = {item["Location"] for item in offered if item["InstanceType"] == kind}
    if zone not in zones:
        raise Refusal(
            "Unsupported",
            f"Your requested instance type ({kind}) is not supported in your requested Availability Zone "
            f"({zone}). Please retry your request by not specifying an Availability Zone or choosing "
            f"{', '.join(sorted(zones))}.",
        )
    for group_id in params.get("SecurityGroupIds") or nics[0].get("Groups") or []:
        group = backend.get_security_group_from_id(group_id)
        if group is None:
            raise Refusal("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")
        if group.vpc_id != subnet.vpc_id:
            raise Refusal(
                "InvalidParameter",
                f"Security group {group_id} and subnet {subnet_id} belong to different networks.",
            )


@correction.refuses("ec2", "RunInstances")
def _check_the_rest(call: Call) -> None:
    params = call.params
    key = params.get("KeyName")
    if key and key not in account.ec2(call.region).key_pairs:
        raise Refusal("InvalidKeyPair.NotFound", f"The key pair '{key}' does not exist")
    try:
        user_data = base64.b64decode(str(params.get("UserData") or ""), validate=True)
    except ValueError as error:
        raise Refusal("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.") from error
    if len(user_data) > _USER_DATA_BYTES:
        raise Refusal("InvalidParameterValue", f"User data is limited to {_USER_DATA_BYTES} bytes")


@correction.refuses("ec2", "RunInstances")
def _check_root_volume(call: Call) -> None:
    image = account.ec2(call.region).amis.get(str(call.params.get("ImageId")))
    if image is None:
        return
    least = image.ebs_snapshot.volume.size
    for mapping in call.params.get("BlockDeviceMappings") or []:
        size = (mapping.get("Ebs") or {}).get("VolumeSize")
        if mapping.get("DeviceName") == image.root_device_name and size is not None and int(size) < least:
            raise Refusal(
                "InvalidBlockDeviceMapping",
                f"Volume of size {size}GB is smaller than snapshot, expect size >= {least}GB",
            )


@correction.acts("ec2", "RunInstances")
def _launch(call: Call, infrastructure: Infrastructure) -> None:
    instances = call.notes.get("launched", [])
    profile = call.params.get("IamInstanceProfile") or {}
    for instance in instances[1:] if profile else []:
        # moto gives the profile to the first one only.
        instance.ec2_backend.associate_iam_instance_profile(
            instance_id=instance.id,
            iam_instance_profile_name=profile.get("Name"),
            iam_instance_profile_arn=profile.get("Arn"),
        )
    for instance in instances:
        infrastructure.hosts.launch(instance)


def _named(call: Call) -> list[Any]:
    backend = account.ec2(call.region)
    found = [backend.get_instance_by_id(instance_id) for instance_id in call.params.get("InstanceIds") or []]
    return [instance for instance in found if instance is not None]


_WRONG_STATES = {
    "StartInstances": {"shutting-down", "terminated", "stopping"},
    "StopInstances": {"shutting-down", "terminated", "pending"},
    "RebootInstances": {"shutting-down", "terminated", "stopping", "stopped", "pending"},
}


@correction.refuses("ec2", "StartInstances", "StopInstances", "RebootInstances", "TerminateInstances")
def _check_states(call: Call) -> None:
    for instance in _named(call):
        if instance.state in _WRONG_STATES.get(call.action, set()):
            raise Refusal(
                "IncorrectInstanceState",
                f"The instance '{instance.id}' is not in a state from which it can be "
                f"{call.action.removesuffix('Instances').lower()}ed: it is {instance.state}.",
            )
        call.notes[instance.id] = instance.state


@correction.acts("ec2", "StartInstances", "StopInstances", "RebootInstances", "TerminateInstances")
def _act(call: Call, infrastructure: Infrastructure) -> None:
    hosts = infrastructure.hosts
    for instance in _named(call):
        was = call.notes.get(instance.id, "")
        if call.action == "StartInstances":
            if was == "stopped":
                hosts.start(instance)
            else:
                set_state(instance, was)
        elif call.action == "StopInstances":
            if was == "running":
                hosts.stop(instance)
            else:
                set_state(instance, was)
        elif call.action == "RebootInstances":
            hosts.reboot(instance)
        elif was in {"shutting-down", "terminated"}:
            set_state(instance, was)
        else:
            hosts.terminate(instance)


@correction.refuses("ec2", "ModifyInstanceAttribute")
def _check_stopped(call: Call) -> None:
    instance = account.ec2(call.region).get_instance_by_id(call.params.get("InstanceId"))
    needs = {"InstanceType", "UserData"} & set(call.params) or call.params.get("Attribute") in {
        "instanceType",
        "userData",
    }
    if instance is not None and needs and instance.state != "stopped":
        raise Refusal(
            "IncorrectInstanceState", f"The instance '{instance.id}' is not in the 'stopped' state."
        )


@correction.refuses("ec2", "ModifyInstanceAttribute")
def _check_new_type(call: Call) -> None:
    """Refuse a type that is none, or that cannot run the host's disk.

    Source: ModifyInstanceAttribute, Amazon EC2 API Reference: an instance type that is not valid.
    """
    instance = account.ec2(call.region).get_instance_by_id(call.params.get("InstanceId"))
    kind = (call.params.get("InstanceType") or {}).get("Value")
    if call.params.get("Attribute") == "instanceType":
        kind = call.params.get("Value")
    if instance is not None and kind is not None:
        _check_type(str(kind), instance.architecture, "InvalidInstanceAttributeValue")


@correction.acts("ec2", "GetConsoleOutput")
def _show_console(call: Call, infrastructure: Infrastructure) -> None:
    """Answer with the real host's console; moto has found the instance, and knows no console of it."""
    instance_id = str(call.params["InstanceId"])
    output = "" if ways.lags("console-output", instance_id) else infrastructure.hosts.console(instance_id)
    result = {"InstanceId": instance_id, "Timestamp": utcnow(), "Output": output}
    call.response = wire.render_result(call, result)
