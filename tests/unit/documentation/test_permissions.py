"""docs/operator_policy.json: with it, and nothing else, an operator can run every command."""

from __future__ import annotations

import ast
import contextlib
import fnmatch
import json
from pathlib import Path

import botocore.session
from botocore import xform_name
from botocore.exceptions import UnknownServiceError

PROJECT = Path(__file__).resolve().parents[3]

# Where S3's permission is not named like the operation:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
S3_ACTIONS = {
    "DeleteObjects": "DeleteObjectVersion",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "HeadBucket": "ListBucket",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
}
# What a call needs beside its own permission: tags of what it makes, the server's role, what RDS makes;
# what site.yml calls: the inventory, a snapshot before a migration, the master's password; what podman or
# docker asks when it pushes and pulls; and what `fab import` sends. Sources:
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html#rds-secrets-manager-permissions
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAM.ServiceLinkedRoles.html
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
# https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-permissions.html
ALSO = {
    "ec2:CreateTags",
    "ec2:DescribeInstances",
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:CompleteLayerUpload",
    "ecr:GetDownloadUrlForLayer",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
    "iam:CreateServiceLinkedRole",
    "iam:PassRole",
    "kms:DescribeKey",
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "rds:AddTagsToResource",
    "rds:CreateDBClusterSnapshot",
    "rds:CreateDBSnapshot",
    "rds:DescribeDBClusterSnapshots",
    "rds:DescribeDBSnapshots",
    "s3:DeleteObject",
    "s3:GetObject",
    "s3:PutObject",
    "s3:TagResource",
    "secretsmanager:GetSecretValue",
    "secretsmanager:TagResource",
}


# Other services' operations have these names, and ours are theirs.
OF_OTHERS = {"ecr:DeleteLifecyclePolicy"}
SERVICES = ("dlm", "ec2", "ecr", "iam", "rds", "resourcegroupstaggingapi", "s3", "secretsmanager", "sts")


def actions(service: str) -> dict[str, str]:
    """Give a service's permissions by boto3's names of its operations and waiters."""
    session = botocore.session.get_session()
    operations = {xform_name(name): name for name in session.get_service_model(service).operation_names}
    with contextlib.suppress(UnknownServiceError):
        waiters = session.get_waiter_model(service)
        operations |= {xform_name(name): waiters.get_waiter(name).operation for name in waiters.waiter_names}
    renamed = S3_ACTIONS if service == "s3" else {}
    prefix = session.get_service_model(service).signing_name
    prefix = "tag" if prefix == "tagging" else prefix
    return {name: f"{prefix}:{renamed.get(operation, operation)}" for name, operation in operations.items()}


def words() -> set[str]:
    """Give every string in the provisioner's code."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in PROJECT.glob("provisioner/**/*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def policy() -> list[str]:
    text = (PROJECT / "docs/operator_policy.json").read_text(encoding="utf-8")
    # A managed policy's size: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    assert len("".join(text.split())) <= 6144
    found = [statement["Action"] for statement in json.loads(text)["Statement"]]
    return [action for one in found for action in (one if isinstance(one, list) else [one])]


def test_the_policy_allows_every_call_and_nothing_that_no_call_needs() -> None:
    said = words()
    assert {"logs", "ssm", "kms", "dynamodb"}.isdisjoint(said), "a new service: name it in SERVICES"
    called = [
        (name, action) for service in SERVICES for name, action in actions(service).items() if name in said
    ]
    allowed = policy()
    needed = ALSO | {action for _, action in called} - OF_OTHERS
    forbidden = {one for one in needed if not any(fnmatch.fnmatchcase(one, pattern) for pattern in allowed)}
    idle = {pattern for pattern in allowed if not any(fnmatch.fnmatchcase(one, pattern) for one in needed)}
    assert (forbidden, idle) == (set(), set())
