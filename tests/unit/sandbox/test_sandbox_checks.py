"""Requests are checked against botocore's model, CloudFormation's schemas and AWS's documentation."""

from __future__ import annotations

from typing import Any

import pytest
from checked import (
    BAD,
    KEY,
    bucket_tags,
    database,
    disk,
    ec2_tags,
    encryption,
    group,
    model_of,
    options,
    refused_with,
    role,
    rule,
    schema_of,
    secret,
    tags,
    versioning,
)

from sandbox.api.checks import documented, properties, wording


@pytest.mark.parametrize(
    ("service", "action", "params", "code"),
    [
        ("ec2", "RunInstances", disk(VolumeType="banana"), BAD),
        ("ec2", "RunInstances", disk(VolumeType="gp3", VolumeSize=70_000), BAD),
        ("ec2", "RunInstances", disk(VolumeType="gp2", VolumeSize=20_000), BAD),
        ("ec2", "RunInstances", disk(VolumeType="gp3", Iops=100), BAD),
        ("ec2", "RunInstances", disk(KmsKeyId="nonsense"), BAD),
        ("ec2", "RunInstances", options(HttpPutResponseHopLimit=100), BAD),
        ("ec2", "RunInstances", options(HttpTokens="always"), BAD),
        ("ec2", "RunInstances", {"MaxCount": 1}, "MissingParameter"),
        ("ec2", "RunInstances", disk() | {"CreditSpecification": {}}, "MissingParameter"),
        ("ec2", "ModifyInstanceMetadataOptions", {"InstanceId": "i", "HttpPutResponseHopLimit": 0}, BAD),
        ("ec2", "ModifyVolume", {"VolumeId": "vol-1", "Size": 70_000}, BAD),
        ("ec2", "CreateVpc", {"CidrBlock": "10.0.0.0"}, BAD),
        ("ec2", "CreateVpc", {"CidrBlock": "10.0.0.0/33"}, BAD),
        ("ec2", "CreateSecurityGroup", group(Description="a team's own"), BAD),
        ("ec2", "CreateSecurityGroup", group(Description="x" * 256), BAD),
        ("ec2", "CreateSecurityGroup", group(GroupName="sg-mine"), BAD),
        ("ec2", "AuthorizeSecurityGroupIngress", rule(ToPort=65_536), BAD),
        ("ec2", "AuthorizeSecurityGroupIngress", rule(IpProtocol="http"), BAD),
        ("ec2", "AuthorizeSecurityGroupIngress", rule(IpRanges=[{"CidrIp": "10.0.0.1"}]), BAD),
        ("ec2", "AuthorizeSecurityGroupIngress", rule(IpRanges=[{"Description": "übel"}]), BAD),
        ("ec2", "CreateTags", ec2_tags({"Key": "aws:mine", "Value": ""}), BAD),
        ("ec2", "CreateTags", ec2_tags({"Key": "", "Value": ""}), BAD),
        ("ec2", "CreateTags", ec2_tags({"Key": "k" * 129, "Value": ""}), BAD),
        ("ec2", "CreateTags", ec2_tags({"Key": "k", "Value": "v" * 257}), BAD),
        ("ec2", "CreateTags", ec2_tags(*tags(**{f"k{n}": "" for n in range(51)})), "TagLimitExceeded"),
        ("ec2", "CreateTags", ec2_tags(*tags(a="1"), *tags(a="2")), BAD),
        ("rds", "CreateDBInstance", database(StorageType="banana"), "StorageTypeNotSupported"),
        ("rds", "CreateDBInstance", database(AllocatedStorage=70_000), "InvalidParameterCombination"),
        ("rds", "ModifyDBInstance", database(AllocatedStorage=70_000), "InvalidParameterCombination"),
        ("rds", "CreateDBInstance", database(KmsKeyId="nonsense"), "KMSKeyNotAccessibleFault"),
        ("rds", "CreateDBInstance", database(DBInstanceIdentifier="a--b"), BAD),
        ("rds", "CreateDBInstance", database(DBInstanceIdentifier="ends-"), BAD),
        ("rds", "CreateDBInstance", database(DBInstanceIdentifier="d" * 64), BAD),
        ("rds", "CreateDBInstance", database(EngineLifecycleSupport="never"), BAD),
        ("rds", "ModifyDBInstance", database(EngineLifecycleSupport="never"), BAD),
        ("rds", "CreateDBInstance", {"Engine": "postgres"}, "MissingParameter"),
        ("rds", "CreateDBInstance", database(Tags=tags(**{"rds:x": ""})), BAD),
        ("rds", "CreateDBInstance", database(Tags=tags(a="what?")), BAD),
        ("rds", "DeleteDBInstance", {"DBInstanceIdentifier": "a", "FinalDBSnapshotIdentifier": "a--b"}, BAD),
        ("iam", "CreateRole", role(RoleName="two words"), "ValidationError"),
        ("iam", "CreateRole", role(RoleName="größe"), "ValidationError"),
        ("iam", "CreateRole", role(RoleName="r" * 65), "ValidationError"),
        ("iam", "CreateRole", role(MaxSessionDuration=60), "ValidationError"),
        ("iam", "CreateRole", role(Tags=tags(a="tab\there")), "ValidationError"),
        ("iam", "CreateRole", role(Tags=tags(Name="a", name="b")), "InvalidInput"),
        ("iam", "CreateRole", role(Tags=tags(**{"aws:x": ""})), "InvalidInput"),
        ("iam", "CreateRole", {"RoleName": "server"}, "ValidationError"),
        ("secretsmanager", "CreateSecret", secret(Name="two words"), "ValidationException"),
        ("secretsmanager", "CreateSecret", secret(Name="n" * 513), "ValidationException"),
        ("secretsmanager", "CreateSecret", secret(SecretString="x" * 65_537), "ValidationException"),
        ("secretsmanager", "CreateSecret", secret(KmsKeyId="nonsense"), "EncryptionFailure"),
        ("s3", "CreateBucket", {"Bucket": "Not_This"}, "InvalidBucketName"),
        ("s3", "PutBucketEncryption", encryption(KEY, "rot13"), "MalformedXML"),
        ("s3", "PutBucketVersioning", versioning("On"), "MalformedXML"),
        ("s3", "PutBucketTagging", bucket_tags(**{"aws:x": ""}), "InvalidTag"),
        ("sts", "AssumeRole", {"RoleArn": "arn", "RoleSessionName": "x y"}, "ValidationError"),
        ("kms", "DescribeKey", {"KeyId": ""}, "ValidationException"),
    ],
)  # fmt: skip
def test_what_no_schema_allows_is_refused_with_the_services_own_code(service, action, params, code):
    assert refused_with(service, action, params) == code


def test_iam_says_it_in_the_words_of_aws_and_all_of_it():
    errors = schema_of("iam", "CreateRole").errors(role(RoleName="a b", Tags=tags(k="v" * 257)))
    said = wording.refusal("iam", errors).message
    assert said.startswith(
        "2 validation errors detected: Value 'a b' at 'roleName' failed to satisfy constraint: "
    )
    assert "at 'tags.1.member.value' failed to satisfy constraint: Member must have length less than" in said


def test_a_secret_is_not_repeated_in_the_answer():
    value = "s" * 65_537
    errors = schema_of("secretsmanager", "CreateSecret").errors(secret(SecretString=value))
    assert value not in wording.refusal("secretsmanager", errors).message


@pytest.mark.parametrize("kind", sorted({kind for kind, _ in properties.RESOURCES.values()}))
def test_each_kind_of_resource_is_one_that_cfn_lint_has(kind):
    assert properties.resource(kind)["typeName"] == kind


@pytest.mark.parametrize(("operation", "to"), sorted(properties.RESOURCES.items()))
def test_each_property_that_is_named_says_something(operation, to):
    assert set(to[1]) <= {path for path, schema in properties.of_operation(*operation) if schema}


def has(shape: Any, path: str) -> bool:
    for step in path.replace("[]", ".[]").split(".") if path else ():
        if step != "[]" and step not in shape.members:
            return False
        shape = shape.member if step == "[]" else shape.members[step]
    return True


@pytest.mark.parametrize("operation", sorted(documented.PARAMETERS.keys() | properties.RESOURCES.keys()))
def test_each_rule_is_about_a_parameter_that_there_is(operation):
    shape = model_of(operation[0]).operation_model(operation[1]).input_shape
    paths = {*documented.PARAMETERS.get(operation, ()), *properties.RESOURCES.get(operation, ("", {}))[1]}
    assert [path for path in paths if not has(shape, path)] == []


def test_each_list_of_tags_with_rules_is_one_that_there_is():
    for service, name in documented.SHAPES:
        assert model_of(service).shape_for(name).type_name == "list"
