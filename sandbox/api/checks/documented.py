"""What only AWS's documentation says about parameters, and no schema.

A schema may carry ``aws``: the error that AWS answers with, as code and message; the message may name the
``{value}``. Where no other source is named, it is the operation's page in the service's API reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

# Source: "Key identifiers (KeyId)", AWS KMS developer guide.
KMS_KEY = re.compile(
    r"(arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:(key/)?|)"
    r"([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32}|alias/[a-zA-Z0-9:/_-]+)"
)

_RESERVED = {"pattern": "^aws:"}
_TAG_CHARACTERS = r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*"
_GROUP_TEXT = {"maxLength": 255, "javaPattern": r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]*"}


def _key(*, aws: tuple[str, str], characters: str | None = None, longest: int = 128) -> Schema:
    """What a tag's key may be.

    Source: "Tag naming limits and requirements", Tagging AWS resources user guide.
    """
    schema: Schema = {
        "minLength": 1,
        "maxLength": longest,
        "allOf": [{"not": _RESERVED, "aws": aws}],
    }
    return schema | ({"javaPattern": characters} if characters else {})


def _tags(key: Schema, value: Schema, *, distinct: str, most: int = 50, **aws: tuple[str, str]) -> Schema:
    """What a list of tags may be; ``aws`` gives the errors of a list with too many, or with one key twice."""
    rules: list[Schema] = [
        {"items": {"properties": {"Key": key, "Value": value}}},
        {"maxItems": most} | ({"aws": aws["many"]} if "many" in aws else {}),
        {"distinctKeys": distinct} | ({"aws": aws["twice"]} if "twice" in aws else {}),
    ]
    return {"allOf": rules}


# The rules for lists of tags, by service and botocore's name of the list. EC2 takes any character.
# Codes and messages as seen of AWS: EC2's in https://github.com/cloud-custodian/cloud-custodian/issues/5975,
# IAM's in https://github.com/github-aws-runners/terraform-aws-github-runner/pull/1346, EC2's limit in "Error
# codes for the Amazon EC2 API", S3's InvalidTag in "Error responses", Amazon S3 API reference.
_EC2_TAGS = _tags(
    _key(
        aws=(
            "InvalidParameterValue",
            (
                "Value ( {value} ) for parameter key is invalid. "
                "Tag keys starting with 'aws:' are reserved for internal use"
            ),
        )
    ),
    {"maxLength": 256},
    distinct="exact",
    many=("TagLimitExceeded", "The maximum number of Tags for a resource has been reached."),
)
_IAM_TAGS = _tags(
    _key(
        aws=("InvalidInput", "aws: prefixed tag key names are not allowed for external use."),
        characters=_TAG_CHARACTERS,
    ),
    {},
    distinct="folded",
    twice=("InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive."),
)
_RDS_TAGS = _tags(
    _key(
        aws=("InvalidParameterValue", "Tag keys cannot start with aws: ({value})."),
        characters=_TAG_CHARACTERS,
    )
    | {"not": {"pattern": "^rds:"}},
    {"maxLength": 256, "javaPattern": _TAG_CHARACTERS},
    distinct="exact",
)
_S3_TAGS = _tags(
    _key(aws=("InvalidTag", "System tags cannot be added/updated by requester"), characters=_TAG_CHARACTERS),
    {"maxLength": 256, "javaPattern": _TAG_CHARACTERS},
    distinct="exact",
    twice=("InvalidTag", "Cannot provide multiple Tags with the same key"),
)
_SECRET_TAGS = _tags(
    _key(
        aws=("InvalidParameterException", "Tag keys cannot start with aws: ({value})."),
        characters=_TAG_CHARACTERS,
    ),
    {"javaPattern": _TAG_CHARACTERS},
    distinct="exact",
)

SHAPES: dict[tuple[str, str], Schema] = {
    ("ec2", "TagList"): _EC2_TAGS,
    ("iam", "tagListType"): _IAM_TAGS,
    ("rds", "TagList"): _RDS_TAGS,
    ("s3", "TagSet"): _S3_TAGS,
    ("secretsmanager", "TagListType"): _SECRET_TAGS,
}


def _by_type(member: str, limits: dict[str, tuple[int, int]], aws: tuple[str, str] | None = None) -> Schema:
    """Bound a number by the volume's type; a type that is not given is known to AWS only."""
    rules: list[Schema] = []
    for kind, (least, most) in limits.items():
        bounds = {"minimum": least, "maximum": most} | ({"aws": aws} if aws else {})
        is_kind = {"properties": {"VolumeType": {"const": kind}}, "required": ["VolumeType"]}
        rules.append({"if": is_kind, "then": {"properties": {member: bounds}}})
    widest = {
        "minimum": min(least for least, _ in limits.values()),
        "maximum": max(most for _, most in limits.values()),
    }
    return {"allOf": [{"properties": {member: widest}}, *rules]}


# Source: EbsBlockDevice and ModifyVolume, EC2 API reference. GiB, and operations a second.
_SIZES_GIB = {
    "gp2": (1, 16384),
    "gp3": (1, 65536),
    "io1": (4, 16384),
    "io2": (4, 65536),
    "st1": (125, 16384),
    "sc1": (125, 16384),
    "standard": (1, 1024),
}
_IOPS = {"gp3": (3000, 80000), "io1": (100, 64000), "io2": (100, 256000)}
_THROUGHPUT = {"properties": {"Throughput": {"minimum": 125, "maximum": 2000}}}


def _volume(size: str) -> Schema:
    return {"allOf": [_by_type(size, _SIZES_GIB), _by_type("Iops", _IOPS), _THROUGHPUT]}


# Source: CreateDBInstance, RDS API reference: 5 GiB is the least of a magnetic one, 65,536 the most of all.
# Codes: https://github.com/convox/rack/issues/2846 and https://github.com/aws/aws-cdk/issues/5345
_STORAGE_TYPE: Schema = {
    "enum": ["gp2", "gp3", "io1", "io2", "standard"],
    "aws": ("StorageTypeNotSupported", "Invalid storage type: {value}"),
}
_STORAGE_GIB: Schema = {
    "minimum": 5,
    "maximum": 65536,
    "aws": ("InvalidParameterCombination", "Invalid storage size: {value}"),
}
_SUPPORT: Schema = {
    "enum": ["open-source-rds-extended-support", "open-source-rds-extended-support-disabled"],
}
_DB_NAME = {"minLength": 1, "maxLength": 255, "javaPattern": r"[a-zA-Z](?:-?[a-zA-Z0-9])*"}
_KEY_OF_DB = {
    "anyOf": [{"format": "AWS::KMS::Key.Id"}],
    "aws": (
        "KMSKeyNotAccessibleFault",
        (
            "The specified KMS key [{value}] does not exist, is not enabled or you do not have permissions "
            "to access it."
        ),
    ),
}
_KEY_OF_SECRET = {
    "anyOf": [{"format": "AWS::KMS::Key.Id"}],
    "aws": (
        "EncryptionFailure",
        "Secrets Manager can't encrypt the protected secret text using the provided KMS key.",
    ),
}
_RESTORED: Schema = {
    "StorageType": _STORAGE_TYPE,
    "AllocatedStorage": _STORAGE_GIB,
    "EngineLifecycleSupport": _SUPPORT,
}
_CHANGED: Schema = {
    "StorageType": _STORAGE_TYPE,
    "AllocatedStorage": _STORAGE_GIB,
    "EngineLifecycleSupport": _SUPPORT,
    "MaxAllocatedStorage": _STORAGE_GIB,
    "MonitoringInterval": {"enum": [0, 1, 5, 10, 15, 30, 60]},
}
# Source: CreateDBCluster, RDS API reference.
_OF_CLUSTER: Schema = {
    "StorageType": {
        "enum": ["aurora", "aurora-iopt1"],
        "aws": ("StorageTypeNotSupported", "Invalid storage type: {value}"),
    },
    "EngineLifecycleSupport": _SUPPORT,
    "Port": {"minimum": 1150, "maximum": 65535},
}
_NEW: Schema = {"KmsKeyId": _KEY_OF_DB, "Port": {"minimum": 1150, "maximum": 65535}}
_SUBNET_GROUP_NAME = {
    "maxLength": 255,
    "javaPattern": "[a-zA-Z][a-zA-Z0-9._ -]*",
    "not": {"pattern": "^[dD][eE][fF][aA][uU][lL][tT]$"},
}
_SECRET: Schema = {
    # Source: CreateSecret, Secrets Manager API reference.
    "Name": {
        "javaPattern": "[a-zA-Z0-9/_+=.@-]+",
        "aws": (
            "ValidationException",
            (
                "Invalid name. Must be a valid name containing alphanumeric characters, or any of the "
                "following: -/_+=.@!"
            ),
        ),
    },
    "KmsKeyId": _KEY_OF_SECRET,
}
_RECOVERY = {
    "minimum": 7,
    "maximum": 30,
    "aws": (
        "InvalidParameterException",
        "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).",
    ),
}
_PORT: Schema = {"minimum": -1, "maximum": 65535}
# A protocol is a number, or one of these: IpPermission, EC2 API reference.
_PROTOCOL = {"javaPattern": r"-1|\d{1,3}|(?i:tcp|udp|icmp|icmpv6)"}
_PERMISSIONS: Schema = {
    "IpPermissions[].IpProtocol": _PROTOCOL,
    "IpPermissions[].FromPort": _PORT,
    "IpPermissions[].ToPort": _PORT,
    "IpPermissions[].IpRanges[].Description": _GROUP_TEXT,
    "IpPermissions[].Ipv6Ranges[].Description": _GROUP_TEXT,
    "IpPermissions[].UserIdGroupPairs[].Description": _GROUP_TEXT,
}
_CREDITS = {"enum": ["standard", "unlimited"]}
_DAYS = {"minimum": 1, "aws": ("InvalidArgument", "'Days' must be a positive integer")}
_KEY_NAME: Schema = {"KeyName": {"minLength": 1, "maxLength": 255, "javaPattern": r"[\x00-\x7f]+"}}

_IMAGE_NAME: Schema = {
    "minLength": 3,
    "maxLength": 128,
    "javaPattern": r"[a-zA-Z0-9()\[\] ./\-'@_]+",
    "aws": (
        "InvalidAMIName.Malformed",
        (
            "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, "
            "'(', ')', '.', '-', '/' and '_'"
        ),
    ),
}

PARAMETERS: dict[tuple[str, str], dict[str, Schema]] = {
    ("ec2", "RunInstances"): {
        "BlockDeviceMappings[].Ebs": _volume("VolumeSize"),
        "CreditSpecification.CpuCredits": _CREDITS,
    },
    ("ec2", "ModifyInstanceCreditSpecification"): {"InstanceCreditSpecifications[].CpuCredits": _CREDITS},
    ("ec2", "CreateVolume"): {"": _volume("Size")},
    ("ec2", "ModifyVolume"): {"": _volume("Size")},
    ("ec2", "CreateSecurityGroup"): {
        "GroupName": _GROUP_TEXT | {"minLength": 1, "not": {"pattern": "^sg-"}},
        "Description": _GROUP_TEXT,
    },
    ("ec2", "AuthorizeSecurityGroupIngress"): _PERMISSIONS,
    ("ec2", "AuthorizeSecurityGroupEgress"): _PERMISSIONS,
    ("ec2", "CreateKeyPair"): _KEY_NAME,
    ("ec2", "ImportKeyPair"): _KEY_NAME,
    ("ec2", "CreateImage"): {"Name": _IMAGE_NAME},
    ("rds", "CreateDBInstance"): _CHANGED | _RESTORED | _NEW,
    ("rds", "RestoreDBInstanceFromDBSnapshot"): _RESTORED,
    ("rds", "ModifyDBInstance"): _CHANGED,
    ("rds", "CreateDBCluster"): _OF_CLUSTER | {"KmsKeyId": _KEY_OF_DB},
    ("rds", "ModifyDBCluster"): _OF_CLUSTER,
    ("rds", "RestoreDBClusterFromSnapshot"): _OF_CLUSTER,
    ("rds", "CreateDBClusterSnapshot"): {"DBClusterSnapshotIdentifier": {**_DB_NAME, "maxLength": 63}},
    ("rds", "DeleteDBCluster"): {"FinalDBSnapshotIdentifier": _DB_NAME},
    ("rds", "CreateDBClusterParameterGroup"): {"DBClusterParameterGroupName": _DB_NAME},
    ("rds", "CreateDBSnapshot"): {"DBSnapshotIdentifier": _DB_NAME},
    ("rds", "DeleteDBInstance"): {"FinalDBSnapshotIdentifier": _DB_NAME},
    ("rds", "CreateDBParameterGroup"): {"DBParameterGroupName": _DB_NAME},
    ("rds", "CreateDBSubnetGroup"): {"DBSubnetGroupName": _SUBNET_GROUP_NAME},
    ("s3", "PutBucketLifecycleConfiguration"): {
        "LifecycleConfiguration.Rules[].Expiration.Days": _DAYS,
        "LifecycleConfiguration.Rules[].NoncurrentVersionExpiration.NoncurrentDays": _DAYS,
        "LifecycleConfiguration.Rules[].AbortIncompleteMultipartUpload.DaysAfterInitiation": _DAYS,
        "LifecycleConfiguration.Rules[].ID": {"maxLength": 255},
    },
    ("secretsmanager", "CreateSecret"): _SECRET,
    ("secretsmanager", "DeleteSecret"): {"RecoveryWindowInDays": _RECOVERY},
}


def of_operation(service: str, action: str) -> Iterator[tuple[str, Schema]]:
    """Say what the documentation knows about the parameters of an operation.

    Args:
        service: botocore's name of the service.
        action: the operation.

    Yields:
        Where in the parameters, and what is known about the values there.
    """
    yield from PARAMETERS.get((service, action), {}).items()
