"""What AWS is slow at: lists, secrets, a service's own role. Off unless `sandbox.ways` says otherwise.

The rest of it is where its subject is: storage in ``database_storage``, the console in ``instances``,
profiles in ``profiles``.
"""

from __future__ import annotations

import copy
from typing import Any

from moto.secretsmanager.models import SecretsManagerBackend

from sandbox import account
from sandbox.api import authorization, iam_demands, wire
from sandbox.api.call import Call
from sandbox.api.correction import Correction, substitute
from sandbox.api.refusal import Refusal
from sandbox.mapping.infrastructure import Infrastructure
from sandbox.ways import ways

correction = Correction()

_MAKERS = {
    "AllocateAddress": "AllocationId",
    "CreateImage": "ImageId",
    "CreateInternetGateway": "InternetGatewayId",
    "CreateKeyPair": "KeyPairId",
    "CreateNatGateway": "NatGatewayId",
    "CreateNetworkInterface": "NetworkInterfaceId",
    "CreateRouteTable": "RouteTableId",
    "CreateSecurityGroup": "GroupId",
    "CreateSnapshot": "SnapshotId",
    "CreateSubnet": "SubnetId",
    "CreateVolume": "VolumeId",
    "CreateVpc": "VpcId",
    "CreateVpcEndpoint": "VpcEndpointId",
    "ImportKeyPair": "KeyPairId",
    "RunInstances": "InstanceId",
}
"""What identifies the things that a call makes, in its answer."""
_LISTS = {
    "Addresses": "AllocationId",
    "Images": "ImageId",
    "Instances": "InstanceId",
    "InternetGateways": "InternetGatewayId",
    "KeyPairs": "KeyPairId",
    "NatGateways": "NatGatewayId",
    "NetworkInterfaces": "NetworkInterfaceId",
    "ResourceTagMappingList": "ResourceARN",
    "RouteTables": "RouteTableId",
    "SecurityGroups": "GroupId",
    "Snapshots": "SnapshotId",
    "Subnets": "SubnetId",
    "Volumes": "VolumeId",
    "VpcEndpoints": "VpcEndpointId",
    "Vpcs": "VpcId",
}
"""What identifies the things of a list. An ARN ends with what identifies the thing."""
_NAMING = {*(f"{key}s" for key in _MAKERS.values()), "GroupNames", "KeyNames", "PublicIps", "ResourceARNList"}
_RDS_ROLES = "/aws-service-role/rds.amazonaws.com/"


@correction.patch
def _patch(_: Infrastructure) -> None:
    """Let ListSecrets read what was there a while ago."""
    original = SecretsManagerBackend.list_secrets

    def list_secrets(self: Any, *args: Any, **kwargs: Any) -> Any:
        current = self.secrets
        self.secrets = ways.seen("secrets", self.region_name, current)
        try:
            return original(self, *args, **kwargs)
        finally:
            self.secrets = current

    substitute(SecretsManagerBackend, "list_secrets", list_secrets)


def _identifiers(answer: Any, key: str) -> list[str]:
    if isinstance(answer, list):
        return [found for item in answer for found in _identifiers(item, key)]
    if not isinstance(answer, dict):
        return []
    return [str(answer[key])] if key in answer else _identifiers(list(answer.values()), key)


@correction.follows("ec2", *_MAKERS)
def _note_made(call: Call) -> None:
    slow = [name for name in ("lists", "console-output") if ways.number(name)]
    if not slow:
        return
    for identifier in _identifiers(wire.parse_response(call), _MAKERS[call.action]):
        for name in slow:
            ways.begin(name, identifier)


def _without_new(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without what is too new to be listed."""
    kept = dict(answer)
    for name, items in answer.items():
        if name == "Reservations":
            groups = [_without_new(group) for group in items]
            kept[name] = [group for group in groups if group["Instances"]]
        elif name in _LISTS:
            own = _LISTS[name]
            kept[name] = [i for i in items if not ways.lags("lists", str(i.get(own)).rpartition("/")[2])]
    return kept


@correction.follows("ec2", *(f"Describe{name}" for name in _LISTS))
@correction.follows("resourcegroupstaggingapi", "GetResources")
def _hide_new(call: Call) -> None:
    if ways.number("lists") and not _NAMING & call.params.keys():
        call.response = wire.render_result(call, _without_new(wire.parse_response(call)))


@correction.refuses(
    "secretsmanager", "CreateSecret", "DeleteSecret", "RestoreSecret", "UpdateSecret", "*agResource"
)
@correction.refuses("rds", "CreateDBInstance", "DeleteDBInstance", "CreateDBCluster", "DeleteDBCluster")
def _remember_secrets(call: Call) -> None:
    """Keep what ListSecrets goes on to say for a while."""
    if not ways.number("secrets"):
        return
    secrets = account.secrets(call.region).secrets
    before = type(secrets)()
    for name, secret in secrets.items():
        before[name] = copy.copy(secret)
        before[name].tags = copy.deepcopy(secret.tags)
    ways.keep("secrets", call.region, before)


@correction.refuses("rds", "CreateDBSubnetGroup", "CreateDBInstance", "CreateDBCluster")
def _make_role_of_rds(call: Call) -> None:
    """Refuse the account's first calls: RDS makes its role because of them, and cannot use it yet.

    It makes it in the caller's name, and has the same words for whoever may not.
    Source: https://github.com/cube-js/cube/pull/11114
    """
    name = "service-linked-role"
    if not ways.number(name) or any(role.path == _RDS_ROLES for role in account.iam().roles.values()):
        return
    if not ways.knows(name, call.service) and authorization.is_allowed(
        call, "iam:CreateServiceLinkedRole", iam_demands.RDS_ROLE_ARN
    ):
        ways.begin(name, call.service)
    if not ways.knows(name, call.service) or ways.lags(name, call.service):
        raise Refusal(
            "InvalidParameterValue",
            "Unable to create the resource. Verify that you have permission to create service linked role. "
            "Otherwise wait and try again later",
        )
