"""What CloudFormation's schemas say about properties of resources, which cfn-lint carries.

Only its data is read, one file for each kind of resource: importing the library takes seconds.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

KMS_FORMATS = ("AWS::KMS::Key.Arn", "AWS::KMS::Key.Id", "AWS::KMS::Alias.AliasName")

# What a schema says about a value. What it says about a template (types, what is required, what excludes
# what) is not true of calls.
_OF_VALUES = ("enum", "enumCaseInsensitive", "pattern", "minLength", "maxLength", "minimum", "maximum")
_OF_LISTS = ("minItems", "maxItems")
_FORMATS = {*KMS_FORMATS, "ipv4-network"}

# Which resource an operation makes or changes: members and properties of one name are the same thing; the
# others stand here as member: property, with [] for each of a list. PutBucketEncryption is not among them: S3
# does not look at the key's id (PutBucketEncryption, S3 API reference).
_RULES = {"IpPermissions[].IpRanges[].CidrIp": "CidrIp", "CidrIp": "CidrIp"}
_METADATA = {
    name: f"MetadataOptions.{name}"
    for name in ("HttpEndpoint", "HttpProtocolIpv6", "HttpPutResponseHopLimit", "HttpTokens")
}

RESOURCES: dict[tuple[str, str], tuple[str, dict[str, str]]] = {
    ("ec2", "RunInstances"): ("AWS::EC2::Instance", {}),
    ("ec2", "ModifyInstanceMetadataOptions"): ("AWS::EC2::Instance", _METADATA),
    ("ec2", "CreateVolume"): ("AWS::EC2::Volume", {}),
    ("ec2", "ModifyVolume"): ("AWS::EC2::Volume", {}),
    ("ec2", "CreateVpc"): ("AWS::EC2::VPC", {}),
    ("ec2", "CreateSubnet"): ("AWS::EC2::Subnet", {}),
    ("ec2", "CreateRoute"): ("AWS::EC2::Route", {}),
    ("ec2", "ReplaceRoute"): ("AWS::EC2::Route", {}),
    ("ec2", "AllocateAddress"): ("AWS::EC2::EIP", {}),
    ("ec2", "CreateKeyPair"): ("AWS::EC2::KeyPair", {}),
    ("ec2", "ImportKeyPair"): ("AWS::EC2::KeyPair", {}),
    ("ec2", "CreateVpcEndpoint"): ("AWS::EC2::VPCEndpoint", {}),
    ("ec2", "CreateSecurityGroup"): ("AWS::EC2::SecurityGroup", {"Description": "GroupDescription"}),
    ("ec2", "AuthorizeSecurityGroupIngress"): ("AWS::EC2::SecurityGroupIngress", _RULES),
    ("ec2", "AuthorizeSecurityGroupEgress"): ("AWS::EC2::SecurityGroupEgress", _RULES),
    ("rds", "CreateDBInstance"): ("AWS::RDS::DBInstance", {}),
    ("rds", "ModifyDBInstance"): ("AWS::RDS::DBInstance", {}),
    ("rds", "RestoreDBInstanceFromDBSnapshot"): ("AWS::RDS::DBInstance", {}),
    ("rds", "CreateDBSubnetGroup"): ("AWS::RDS::DBSubnetGroup", {}),
    ("rds", "ModifyDBSubnetGroup"): ("AWS::RDS::DBSubnetGroup", {}),
    ("rds", "CreateDBParameterGroup"): ("AWS::RDS::DBParameterGroup", {}),
    ("rds", "CreateDBCluster"): ("AWS::RDS::DBCluster", {}),
    ("rds", "ModifyDBCluster"): ("AWS::RDS::DBCluster", {}),
    ("rds", "RestoreDBClusterFromSnapshot"): ("AWS::RDS::DBCluster", {}),
    ("rds", "CreateDBClusterParameterGroup"): ("AWS::RDS::DBClusterParameterGroup", {}),
    ("iam", "CreateRole"): ("AWS::IAM::Role", {}),
    ("iam", "CreateInstanceProfile"): ("AWS::IAM::InstanceProfile", {}),
    ("secretsmanager", "CreateSecret"): ("AWS::SecretsManager::Secret", {}),
    ("secretsmanager", "UpdateSecret"): ("AWS::SecretsManager::Secret", {}),
    ("s3", "CreateBucket"): ("AWS::S3::Bucket", {"Bucket": "BucketName"}),
}


@functools.cache
def _data() -> Path:
    spec = find_spec("cfnlint")
    if spec is None or spec.origin is None:
        message = "cfn-lint is not installed"
        raise ModuleNotFoundError(message)
    return Path(spec.origin).parent / "data" / "schemas"


@functools.cache
def _files() -> dict[str, str]:
    # One region's are enough: they differ in what a region offers, which the account's other checks know.
    found: dict[str, str] = json.loads((_data() / "providers" / "us-east-1.json").read_text("utf-8"))
    return found


@functools.cache
def resource(kind: str) -> dict[str, Any]:
    """Read the schema of a kind of resource.

    Args:
        kind: CloudFormation's name of it.

    Returns:
        The schema as cfn-lint carries it.

    Raises:
        KeyError: there is no such kind.
    """
    path = _data() / "resources" / f"{_files()[kind]}.json"
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def _values(schema: dict[str, Any], whole: dict[str, Any], above: tuple[str, ...] = ()) -> dict[str, Any]:
    """Keep what a schema says about values, with references resolved."""
    reference = str(schema.get("$ref", "")).rpartition("/")[2]
    if reference:
        if reference in above:
            return {}
        return _values(whole["definitions"][reference], whole, (*above, reference))
    found = {name: schema[name] for name in (*_OF_VALUES, *_OF_LISTS) if name in schema}
    if schema.get("format") in _FORMATS:
        found["format"] = schema["format"]
    formats = [one for one in schema.get("anyOf", ()) if one.get("format") in _FORMATS]
    if formats:
        found["anyOf"] = formats
    members = {name: _values(one, whole, above) for name, one in schema.get("properties", {}).items()}
    members = {name: one for name, one in members.items() if one}
    if members:
        found["properties"] = members
    items = _values(schema["items"], whole, above) if "items" in schema else {}
    if items:
        found["items"] = items
    return found


def _property(kind: str, path: str) -> dict[str, Any]:
    found = _values(resource(kind), resource(kind))
    for step in path.replace("[]", ".[]").split("."):
        found = found.get("items", {}) if step == "[]" else found.get("properties", {}).get(step, {})
    return found


def of_operation(service: str, action: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Say what CloudFormation's schemas know about the parameters of an operation.

    Args:
        service: botocore's name of the service.
        action: the operation.

    Yields:
        Where in the parameters, and what is known about the values there.
    """
    kind, others = RESOURCES.get((service, action), ("", {}))
    if kind:
        same = _values(resource(kind), resource(kind)).get("properties", {})
        yield from same.items()
        for member, name in others.items():
            yield member, _property(kind, name)
