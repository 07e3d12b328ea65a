"""Which IAM actions on which resources a call means.

Source: the "Actions, resources, and condition keys" tables of the Service Authorization Reference.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote

from sandbox import account
from sandbox.api.call import Call

Demand = tuple[str, str]
"""An IAM action and the ARN it is wanted on."""

_S3_OBJECT = {
    "GetObject": "GetObject",
    "HeadObject": "GetObject",
    "GetObjectAttributes": "GetObject",
    "PutObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "AbortMultipartUpload": "AbortMultipartUpload",
    "ListParts": "ListMultipartUploadParts",
    "DeleteObject": "DeleteObject",
    "GetObjectTagging": "GetObjectTagging",
    "PutObjectTagging": "PutObjectTagging",
    "DeleteObjectTagging": "DeleteObjectTagging",
    "GetObjectAcl": "GetObjectAcl",
    "PutObjectAcl": "PutObjectAcl",
}
_S3_BUCKET = {
    "HeadBucket": "ListBucket",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "DeleteBucketTagging": "PutBucketTagging",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "DeleteBucketCors": "PutBucketCORS",
    "GetBucketCors": "GetBucketCORS",
    "PutBucketCors": "PutBucketCORS",
    "GetBucketReplication": "GetReplicationConfiguration",
    "PutBucketReplication": "PutReplicationConfiguration",
}


def bucket_arn(bucket: str) -> str:
    """Write a bucket's ARN."""
    return f"arn:{account.PARTITION}:s3:::{bucket}"


def _copy_source(call: Call) -> list[Demand]:
    source = unquote(call.request.headers.get("x-amz-copy-source", "")).lstrip("/").split("?")[0]
    return [("s3:GetObject", bucket_arn(source))] if source else []


def _s3(call: Call) -> list[Demand]:
    action, bucket, key = call.action, call.params.get("Bucket"), call.params.get("Key")
    if bucket is None:
        return [("s3:ListAllMyBuckets", "*")]
    if action == "DeleteObjects":
        # Each key is judged by itself, and refused by itself, where moto works through the list.
        return []
    if key is not None:
        name = _S3_OBJECT.get(action, action)
        if action in {"CopyObject", "UploadPartCopy"}:
            name = "PutObject"
        if "versionid" in call.params and name in {"GetObject", "DeleteObject"}:
            name += "Version"
        return [(f"s3:{name}", f"{bucket_arn(bucket)}/{key}"), *_copy_source(call)]
    return [(f"s3:{_S3_BUCKET.get(action, action)}", bucket_arn(bucket))]


def secret_arn(region: str, secret_id: str) -> str:
    """Write the ARN of a secret that a caller names by its name, its ARN or a part of it."""
    secret = account.secrets(region).secrets.get(secret_id)
    if secret is not None:
        return str(secret.arn)
    if secret_id.startswith("arn:"):
        return secret_id
    return f"arn:{account.PARTITION}:secretsmanager:{region}:{account.ACCOUNT_ID}:secret:{secret_id}"


def _secretsmanager(call: Call) -> list[Demand]:
    action = f"secretsmanager:{call.action}"
    if call.action == "CreateSecret":
        return [(action, secret_arn(call.region, str(call.params.get("Name", ""))))]
    if call.action == "BatchGetSecretValue":
        ids = [str(i) for i in call.params.get("SecretIdList") or []]
        return [(action, "*"), *(("secretsmanager:GetSecretValue", secret_arn(call.region, i)) for i in ids)]
    if "SecretId" in call.params:
        return [(action, secret_arn(call.region, str(call.params["SecretId"])))]
    return [(action, "*")]


_IAM_RESOURCES = {
    "RoleName": "role",
    "InstanceProfileName": "instance-profile",
    "UserName": "user",
    "GroupName": "group",
}


def _iam_arn(kind: str, name: str) -> str:
    return f"arn:{account.PARTITION}:iam::{account.ACCOUNT_ID}:{kind}/{name}"


def _iam(call: Call) -> list[Demand]:
    action = f"iam:{call.action}"
    if call.action == "AddRoleToInstanceProfile":
        return [
            (action, _iam_arn("instance-profile", str(call.params.get("InstanceProfileName", "")))),
            ("iam:PassRole", _iam_arn("role", str(call.params.get("RoleName", "")))),
        ]
    if "PolicyArn" in call.params and "RoleName" not in call.params and "UserName" not in call.params:
        return [(action, str(call.params["PolicyArn"]))]
    for param, kind in _IAM_RESOURCES.items():
        if param in call.params:
            return [(action, _iam_arn(kind, str(call.params[param])))]
    return [(action, "*")]


def _sts(call: Call) -> list[Demand]:
    if call.action in {"GetCallerIdentity", "GetSessionToken"}:
        # Allowed always, whatever the policies say.
        return []
    return [(f"sts:{call.action}", str(call.params.get("RoleArn", "*")))]


_RDS_RESOURCES = {
    "DBInstanceIdentifier": "db",
    "DBSubnetGroupName": "subgrp",
    "DBParameterGroupName": "pg",
    "DBSnapshotIdentifier": "snapshot",
    "DBClusterIdentifier": "cluster",
    "DBClusterParameterGroupName": "cluster-pg",
    "DBClusterSnapshotIdentifier": "cluster-snapshot",
}


def _rds(call: Call) -> list[Demand]:
    prefix = f"arn:{account.PARTITION}:rds:{call.region}:{account.ACCOUNT_ID}"
    role = call.params.get("MonitoringRoleArn")
    passed = [("iam:PassRole", str(role))] if role else []
    for param, kind in _RDS_RESOURCES.items():
        if param in call.params:
            return [(f"rds:{call.action}", f"{prefix}:{kind}:{call.params[param]}"), *passed]
    return [(f"rds:{call.action}", "*"), *passed]


_EC2_KINDS = {
    "VpcId": "vpc",
    "SubnetId": "subnet",
    "GroupId": "security-group",
    "InstanceId": "instance",
    "RouteTableId": "route-table",
    "InternetGatewayId": "internet-gateway",
    "AllocationId": "elastic-ip",
    "KeyName": "key-pair",
    "VolumeId": "volume",
    "SnapshotId": "snapshot",
}


def _dlm(call: Call) -> list[Demand]:
    role = call.params.get("ExecutionRoleArn")
    return [(f"dlm:{call.action}", "*"), *([("iam:PassRole", str(role))] if role else [])]


def repository_arn(region: str, name: str) -> str:
    """Write a container repository's ARN."""
    return f"arn:{account.PARTITION}:ecr:{region}:{account.ACCOUNT_ID}:repository/{name}"


def _ecr(call: Call) -> list[Demand]:
    action, params = f"ecr:{call.action}", call.params
    if "resourceArn" in params:
        return [(action, str(params["resourceArn"]))]
    names = params.get("repositoryNames") or (
        [params["repositoryName"]] if "repositoryName" in params else []
    )
    return [(action, repository_arn(call.region, str(name))) for name in names] or [(action, "*")]


def _ec2(call: Call) -> list[Demand]:
    action, params = f"ec2:{call.action}", call.params
    prefix = f"arn:{account.PARTITION}:ec2:{call.region}:{account.ACCOUNT_ID}"
    if call.action.startswith("Describe"):
        return [(action, "*")]
    demands: list[Demand] = []
    if call.action == "RunInstances":
        demands.append((action, f"{prefix}:instance/*"))
        profile = params.get("IamInstanceProfile") or {}
        name = str(profile.get("Name") or str(profile.get("Arn", "")).rpartition("/")[2])
        known = account.iam().instance_profiles
        for item in known.values():
            if item.name == name:
                demands += [("iam:PassRole", str(role.arn)) for role in item.roles]
        return demands
    ids = params.get("InstanceIds") or params.get("Resources") or []
    if params.get("InstanceIds"):
        return [(action, f"{prefix}:instance/{i}") for i in ids]
    for param, kind in _EC2_KINDS.items():
        if params.get(param):
            demands.append((action, f"{prefix}:{kind}/{params[param]}"))
    return demands or [(action, "*")]


MONITORING = "monitoring.rds.amazonaws.com"
"""Takes the role of Enhanced Monitoring. Source: "Setting up Enhanced Monitoring", RDS User Guide."""

RDS_ROLE_ARN = _iam_arn("role", "aws-service-role/rds.amazonaws.com/AWSServiceRoleForRDS")
"""The role that RDS makes of itself. Source: "Using service-linked roles for Amazon RDS", RDS User Guide."""


def conditions(call: Call, action: str) -> dict[str, str]:
    """Tell the condition keys that only one action has.

    Args:
        call: the call.
        action: the IAM action that is demanded for it.

    Returns:
        Values by key, in lower case.
    """
    # An instance profile's role is for EC2.
    service = f"{'ec2' if call.service == 'iam' else call.service}.amazonaws.com"
    if action == "iam:PassRole":
        # The one role that RDS is given is for its monitoring.
        return {"iam:passedtoservice": MONITORING if call.service == "rds" else service}
    if action == "iam:CreateServiceLinkedRole":
        return {"iam:awsservicename": str(call.params.get("AWSServiceName") or service)}
    if action == "s3:PutObject":
        return _write_conditions(call)
    return {}


def _write_conditions(call: Call) -> dict[str, str]:
    """Tell whether a write makes an object, and what it asks for; parts of one make none.

    Source: "Enforce conditional writes on Amazon S3 buckets", Amazon S3 User Guide.
    """
    makes = call.action not in {"CreateMultipartUpload", "UploadPart", "UploadPartCopy"}
    found = {"s3:objectcreationoperation": str(makes).lower()}
    asked = call.request.headers.get("If-None-Match")
    return found if asked is None else {**found, "s3:if-none-match": asked}


_READERS: dict[str, Callable[[Call], list[Demand]]] = {
    "s3": _s3,
    "secretsmanager": _secretsmanager,
    "iam": _iam,
    "sts": _sts,
    "rds": _rds,
    "dlm": _dlm,
    "ecr": _ecr,
    "ec2": _ec2,
}
_IAM_PREFIX = {"resourcegroupstaggingapi": "tag", "elbv2": "elasticloadbalancing"}


def demands(call: Call) -> list[Demand]:
    """List what a caller must be allowed for a call.

    Args:
        call: the call.

    Returns:
        Pairs of IAM action and ARN, all of which are needed; empty for what everybody may do.
    """
    reader = _READERS.get(call.service)
    if reader is not None:
        return reader(call)
    return [(f"{_IAM_PREFIX.get(call.service, call.service)}:{call.action}", "*")]
