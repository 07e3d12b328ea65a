"""Requests are checked against botocore's model, CloudFormation's schemas and AWS's documentation."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.model import ServiceModel

from sandbox.api import call_log
from sandbox.api.checks import documented, properties, schemas, wording

_loader = Loader()
_KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@functools.cache
def model_of(service: str) -> ServiceModel:
    return ServiceModel(_loader.load_service_model(service, "service-2"), service)


def schema_of(service: str, action: str) -> schemas.OperationSchema:
    return schemas.of_operation(service, model_of(service).operation_model(action))


def code_of(service: str, action: str, params: dict[str, Any]) -> str:
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
        ("s3", "PutBucketEncryption", encryption(_KEY, "rot13"), "MalformedXML"),
        ("s3", "PutBucketVersioning", versioning("On"), "MalformedXML"),
        ("s3", "PutBucketTagging", bucket_tags(**{"aws:x": ""}), "InvalidTag"),
        ("sts", "AssumeRole", {"RoleArn": "arn", "RoleSessionName": "x y"}, "ValidationError"),
        ("kms", "DescribeKey", {"KeyId": ""}, "ValidationException"),
    ],
)  # fmt: skip
def test_what_no_schema_allows_is_refused_with_the_services_own_code(service, action, params, code):
    assert code_of(service, action, params) == code


@pytest.mark.parametrize(
    ("service", "action", "params"),
    [
        ("ec2", "RunInstances", disk(VolumeType="gp3", VolumeSize=65_536, Encrypted=True)),
        ("ec2", "RunInstances", disk(KmsKeyId="alias/aws/ebs")),
        ("ec2", "RunInstances", disk() | {"InstanceType": "z99.new"}),
        ("ec2", "RunInstances", options(HttpPutResponseHopLimit=64, HttpTokens="required")),
        ("ec2", "CreateSecurityGroup", group(Description="Database: PostgreSQL from [the] server & {us}!")),
        ("ec2", "AuthorizeSecurityGroupIngress", rule(IpProtocol="-1", FromPort=-1, ToPort=-1)),
        ("ec2", "AuthorizeSecurityGroupIngress", rule(IpRanges=[{"CidrIp": "0.0.0.0/0"}])),
        ("ec2", "CreateTags", ec2_tags({"Key": "what? <ü>", "Value": ""})),
        ("ec2", "CreateTags", ec2_tags(*tags(Name="1", name="2"))),
        ("ec2", "DescribeInstances", {}),
        ("rds", "CreateDBInstance", database(StorageType="gp3", AllocatedStorage=65_536, KmsKeyId=_KEY)),
        ("rds", "CreateDBInstance", database(Tags=tags(Name="Größe 1", empty=""))),
        ("iam", "CreateRole", role(Tags=tags(Größe="ok@example.com"), Path="/team/")),
        ("secretsmanager", "CreateSecret", secret(KmsKeyId=_KEY)),
        ("s3", "CreateBucket", {"Bucket": "flowstead.team-artifacts-123456789012"}),
        ("s3", "PutBucketEncryption", encryption("nonsense")),
        ("s3", "PutBucketVersioning", versioning("Enabled")),
    ],
)  # fmt: skip
def test_what_aws_takes_passes(service, action, params):
    assert code_of(service, action, params) == ""


_OURS = tags(
    **{"Name": "team-server", "flowstead:deployment": "team", "flowstead:artifacts": "s3://b/artifacts"}
)


@pytest.mark.parametrize(
    ("service", "action", "params"),
    [
        (
            "ec2",
            "RunInstances",
            {
                **disk(VolumeSize=20, VolumeType="gp3", Encrypted=True, DeleteOnTermination=True),
                **options(HttpEndpoint="enabled", HttpPutResponseHopLimit=1, HttpTokens="required"),
                "ImageId": "ami-00000000000000002",
                "InstanceType": "t3.small",
                "KeyName": "team-ssh-key",
                "CreditSpecification": {"CpuCredits": "standard"},
                "IamInstanceProfile": {"Arn": "arn:aws:iam::123456789012:instance-profile/team-server"},
                "InstanceInitiatedShutdownBehavior": "stop",
                "TagSpecifications": [{"ResourceType": "instance", "Tags": _OURS}],
                "UserData": "I2Nsb3VkLWNvbmZpZwo=",
            },
        ),
        (
            "rds",
            "CreateDBInstance",
            database(
                AllocatedStorage=20,
                MaxAllocatedStorage=100,
                BackupRetentionPeriod=7,
                DBSubnetGroupName="flowstead-team-database-subnets",
                DBParameterGroupName="flowstead-team-database-parameters-postgres17",
                EngineLifecycleSupport="open-source-rds-extended-support-disabled",
                EngineVersion="17",
                ManageMasterUserPassword=True,
                MasterUsername="flowstead_master",
                StorageType="gp3",
                Tags=_OURS,
                VpcSecurityGroupIds=["sg-8fdd1211d53d3fe37"],
            ),
        ),
        (
            "s3",
            "PutBucketLifecycleConfiguration",
            {
                "Bucket": "team-artifacts",
                "LifecycleConfiguration": {
                    "Rules": [
                        {
                            "ID": "flowstead",
                            "Status": "Enabled",
                            "Filter": {"Prefix": "artifacts/"},
                            "Expiration": {"ExpiredObjectDeleteMarker": True},
                            "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
                            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
                        }
                    ]
                },
            },
        ),
        (
            "ec2",
            "CreateVpcEndpoint",
            {
                "VpcId": "vpc-c8bd397009f2401cd",
                "ServiceName": "com.amazonaws.us-east-1.s3",
                "VpcEndpointType": "Gateway",
                "RouteTableIds": ["rtb-6ff1de8d3b62b11d2"],
                "TagSpecifications": [{"ResourceType": "vpc-endpoint", "Tags": _OURS}],
            },
        ),
        ("iam", "CreateRole", role(Description="MLflow server of the deployment team", Tags=_OURS)),
        ("secretsmanager", "CreateSecret", secret(SecretString="{}", Tags=_OURS)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_requests_as_they_make_a_whole_deployment_pass(service, action, params):
    assert code_of(service, action, params) == ""


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


def test_the_front_refuses_before_anything_is_made(client, network):
    ec2 = client("ec2")
    with pytest.raises(ClientError, match=r"InvalidParameterValue.*parameter description is invalid"):
        ec2.create_security_group(GroupName="ours", Description="a team's own", VpcId=network.vpc)
    found = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [network.vpc]}])
    assert {one["GroupName"] for one in found["SecurityGroups"]} == {"default", "group"}


def test_a_request_that_is_not_allowed_is_not_looked_at(client, unique):
    iam = client("iam")
    iam.create_user(UserName=unique)
    key = iam.create_access_key(UserName=unique)["AccessKey"]
    poor = client("ec2", (key["AccessKeyId"], key["SecretAccessKey"]))
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        poor.create_vpc(CidrBlock="nonsense")


def test_s3_is_checked_in_either_addressing_style(client):
    s3 = client("s3")
    with pytest.raises(ClientError, match="MalformedXML"):
        s3.put_bucket_versioning(Bucket="any-bucket", VersioningConfiguration={"Status": "On"})


def test_ec2_refuses_a_parameter_that_it_does_not_know(client):
    ec2 = client("ec2")
    ec2.describe_vpcs(Filters=[{"Name": "vpc-id", "Values": ["vpc-1"]}])

    def add(params: dict[str, Any], **_: object) -> None:
        params["body"]["Banana.1"] = "yes"

    ec2.meta.events.register("before-call.ec2.DescribeVpcs", add)
    with pytest.raises(ClientError, match=r"UnknownParameter.*Banana\.1"):
        ec2.describe_vpcs()


def test_what_no_schema_knows_is_in_the_log(cloud, client, unique):
    client("ec2").describe_vpcs(Filters=[{"Name": "tag:a", "Values": [unique]}], DryRun=False)
    entry = call_log.read(cloud.log)[-1]
    assert entry.checked == ["DryRun"]
    assert entry.unchecked == ["Filters[].Name", "Filters[].Values[]"]
    client("iam").list_roles(PathPrefix="/a/", MaxItems=5)
    assert set(call_log.read(cloud.log)[-1].checked) == {"PathPrefix", "MaxItems"}


def test_the_hole_is_shown_with_its_size():
    def entry(action: str, checked: list[str], unchecked: list[str]) -> call_log.Entry:
        return call_log.Entry(1, 0.0, "-", "ec2", action, 200, "", "us-east-1", "", 1, checked, unchecked)

    entries = [
        entry("CreateVpc", ["CidrBlock"], []),
        entry("DeleteVpc", [], ["VpcId"]),
        entry("DeleteVpc", ["DryRun"], ["VpcId"]),
    ]
    assert call_log.describe_coverage(entries) == [
        "ec2 DeleteVpc: VpcId",
        "2 of 3 parameters of 2 operations are checked",
    ]
