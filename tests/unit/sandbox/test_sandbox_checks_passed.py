"""What AWS takes passes the checks of requests."""

from __future__ import annotations

import pytest
from checked import (
    KEY,
    database,
    disk,
    ec2_tags,
    encryption,
    group,
    options,
    refused_with,
    role,
    rule,
    secret,
    tags,
    versioning,
)


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
        ("rds", "CreateDBInstance", database(StorageType="gp3", AllocatedStorage=65_536, KmsKeyId=KEY)),
        ("rds", "CreateDBInstance", database(Tags=tags(Name="Größe 1", empty=""))),
        ("iam", "CreateRole", role(Tags=tags(Größe="ok@example.com"), Path="/team/")),
        ("secretsmanager", "CreateSecret", secret(KmsKeyId=KEY)),
        ("s3", "CreateBucket", {"Bucket": "flowstead.team-artifacts-123456789012"}),
        ("s3", "PutBucketEncryption", encryption("nonsense")),
        ("s3", "PutBucketVersioning", versioning("Enabled")),
    ],
)  # fmt: skip
def test_what_aws_takes_passes(service, action, params):
    assert refused_with(service, action, params) == ""


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
    assert refused_with(service, action, params) == ""
