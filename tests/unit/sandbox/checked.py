"""Parameters of calls, and what the schemas say of them."""

from __future__ import annotations

import functools
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel

from sandbox.api.checks import schemas, wording

_loader = Loader()
KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@functools.cache
def model_of(service: str) -> ServiceModel:
    return ServiceModel(_loader.load_service_model(service, "service-2"), service)


def schema_of(service: str, action: str) -> schemas.OperationSchema:
    return schemas.of_operation(service, model_of(service).operation_model(action))


def refused_with(service: str, action: str, params: dict[str, Any]) -> str:
    errors = schema_of(service, action).errors(params)
    return wording.refusal(service, errors).code if errors else ""


def tags(**pairs: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in pairs.items()]


def disk(**ebs: object) -> dict[str, Any]:
    return {"MinCount": 1, "MaxCount": 1, "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": ebs}]}


def options(**metadata: object) -> dict[str, Any]:
    return {"MinCount": 1, "MaxCount": 1, "MetadataOptions": metadata}


def database(**changes: object) -> dict[str, Any]:
    plain = {"DBInstanceIdentifier": "main-db", "DBInstanceClass": "db.t4g.micro", "Engine": "postgres"}
    return plain | changes


def role(**changes: object) -> dict[str, Any]:
    return {"RoleName": "server", "AssumeRolePolicyDocument": "{}"} | changes


def group(**changes: object) -> dict[str, Any]:
    return {"GroupName": "web", "Description": "MLflow server: HTTPS and SSH"} | changes


def ec2_tags(*items: dict[str, str]) -> dict[str, Any]:
    return {"Resources": ["vpc-1"], "Tags": list(items)}


def rule(**changes: object) -> dict[str, Any]:
    return {"IpPermissions": [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443} | changes]}


def encryption(key: str, algorithm: str = "aws:kms") -> dict[str, Any]:
    default = {"SSEAlgorithm": algorithm, "KMSMasterKeyID": key}
    rules = [{"ApplyServerSideEncryptionByDefault": default}]
    return {"Bucket": "plain", "ServerSideEncryptionConfiguration": {"Rules": rules}}


def versioning(status: str) -> dict[str, Any]:
    return {"Bucket": "plain", "VersioningConfiguration": {"Status": status}}


def bucket_tags(**pairs: str) -> dict[str, Any]:
    return {"Bucket": "plain", "Tagging": {"TagSet": tags(**pairs)}}


def secret(**changes: object) -> dict[str, Any]:
    return {"Name": "flowstead/team/admin"} | changes


BAD = "InvalidParameterValue"
