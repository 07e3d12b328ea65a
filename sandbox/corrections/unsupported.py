"""What nothing real stands for is refused, so that nobody takes moto's word for it.

docs/sandbox.md has the table of what is real, accepted without effect, and refused.
"""

from __future__ import annotations

from typing import Any

from sandbox import account
from sandbox.api.call import Call
from sandbox.api.correction import Correction
from sandbox.api.refusal import unsupported

correction = Correction()

_OPERATIONS: dict[str, tuple[str, ...]] = {
    "autoscaling": ("CreateAutoScalingGroup",),
    "cloudformation": ("CreateStack", "CreateChangeSet"),
    "ec2": (
        "AssociateSubnetCidrBlock",
        "AssociateVpcCidrBlock",
        "AttachNetworkInterface",
        "CopyImage",
        "CopySnapshot",
        "CreateEgressOnlyInternetGateway",
        "CreateFleet",
        "CreateNetworkAclEntry",
        "CreateSnapshots",
        "CreateTransitGateway",
        "CreateVpcPeeringConnection",
        "CreateVpnGateway",
        "DeleteNetworkAclEntry",
        "RegisterImage",
        "ReplaceNetworkAclAssociation",
        "ReplaceNetworkAclEntry",
        "RequestSpotFleet",
        "RequestSpotInstances",
    ),
    "ecr": (
        "CompleteLayerUpload",
        "CreatePullThroughCacheRule",
        "CreateRepositoryCreationTemplate",
        "DescribeImageScanFindings",
        "GetDownloadUrlForLayer",
        "InitiateLayerUpload",
        "PutImage",
        "PutRegistryPolicy",
        "PutReplicationConfiguration",
        "SetRepositoryPolicy",
        "StartImageScan",
        "UploadLayerPart",
    ),
    "iam": ("PutRolePermissionsBoundary", "PutUserPermissionsBoundary"),
    "rds": (
        "CopyDBClusterSnapshot",
        "CopyDBSnapshot",
        "CreateBlueGreenDeployment",
        "CreateDBClusterEndpoint",
        "CreateDBInstanceReadReplica",
        "CreateDBProxy",
        "CreateDBShardGroup",
        "CreateGlobalCluster",
        "RestoreDBClusterFromS3",
        "RestoreDBClusterToPointInTime",
        "RestoreDBInstanceFromS3",
        "RestoreDBInstanceToPointInTime",
    ),
}
"""By service."""
_OF_OTHER_CLUSTERS = (
    "AllocatedStorage",
    "BacktrackWindow",
    "DBClusterInstanceClass",
    "EnableGlobalWriteForwarding",
    "EnableHttpEndpoint",
    "EnableLimitlessDatabase",
    "GlobalClusterIdentifier",
    "Iops",
    "MonitoringInterval",
    "PubliclyAccessible",
    "ReplicationSourceIdentifier",
    "ScalingConfiguration",
)
"""Of clusters that are none of Aurora Serverless v2, or that others follow."""
_PARAMETERS: dict[tuple[str, str], tuple[str, ...]] = {
    ("ec2", "CreateImage"): ("BlockDeviceMappings",),
    ("ec2", "CreateSubnet"): ("Ipv6CidrBlock", "Ipv6Native"),
    ("ec2", "CreateVpc"): ("AmazonProvidedIpv6CidrBlock", "Ipv6CidrBlock", "Ipv6Pool"),
    ("ec2", "DeregisterImage"): ("DeleteAssociatedSnapshots",),
    ("ec2", "RunInstances"): ("InstanceMarketOptions", "LaunchTemplate"),
    ("iam", "CreateRole"): ("PermissionsBoundary",),
    ("iam", "CreateUser"): ("PermissionsBoundary",),
    ("rds", "CreateDBCluster"): _OF_OTHER_CLUSTERS,
    ("rds", "ModifyDBCluster"): (*_OF_OTHER_CLUSTERS, "NewDBClusterIdentifier"),
    ("rds", "ModifyDBInstance"): ("NewDBInstanceIdentifier",),
    ("rds", "RebootDBInstance"): ("ForceFailover",),
}
"""By operation."""


def _refuse_operation(call: Call) -> None:
    raise unsupported(call.action)


for _service, _actions in _OPERATIONS.items():
    correction.refuses(_service, *_actions)(_refuse_operation)


def _refuse_parameters(call: Call) -> None:
    for name in _PARAMETERS[call.service, call.action]:
        if str(call.params.get(name) or "false").lower() != "false":
            raise unsupported(f"{name} of {call.action}")


for _service, _action in _PARAMETERS:
    correction.refuses(_service, _action)(_refuse_parameters)


@correction.refuses("ec2", "RunInstances")
def _refuse_more_than_one(call: Call) -> None:
    """Refuse what a host would have besides its root volume and its first interface."""
    image = account.ec2(call.region).amis.get(str(call.params.get("ImageId")))
    disks: list[Any] = call.params.get("BlockDeviceMappings") or []
    if image is not None and any(disk.get("DeviceName") != image.root_device_name for disk in disks):
        raise unsupported("another volume than the root")
    if len(call.params.get("NetworkInterfaces") or ()) > 1:
        raise unsupported("a second network interface")


@correction.refuses("ec2", "CreateVpcEndpoint")
def _refuse_other_endpoints(call: Call) -> None:
    kind, service = call.params.get("VpcEndpointType") or "Gateway", str(call.params.get("ServiceName"))
    if kind != "Gateway" or not service.endswith(".s3"):
        raise unsupported(f"an endpoint of {service} of the type {kind}; there are gateway endpoints of S3")
