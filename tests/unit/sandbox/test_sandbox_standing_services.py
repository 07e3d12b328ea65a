"""What of the services that need no machine is real, and what has no effect: as docs/sandbox.md says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from asking import TRUST, code_of, policy, trust
from standings import NO_EFFECT, REAL, REFUSED, Proofs, listed, prove, proving, standing_of

PAGE = Path(__file__).parents[3] / "docs/sandbox.md"
PROOFS: Proofs = {}
proves = proving(PROOFS)


def user_of(here, *statements):
    """Make a user with a policy; returns the key."""
    iam = here.client("iam")
    iam.create_user(UserName=here.name)
    iam.put_user_policy(UserName=here.name, PolicyName="p", PolicyDocument=policy(*statements))
    key = iam.create_access_key(UserName=here.name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


@proves(REAL, "IAM: policies of users, groups, roles and sessions")
def _(here):
    key = user_of(here, {"Effect": "Allow", "Action": "ec2:DescribeVpcs", "Resource": "*"})
    ec2 = here.client("ec2", key)
    return ec2.describe_vpcs()["Vpcs"] and code_of(ec2.describe_volumes) == "UnauthorizedOperation"


@proves(REAL, "STS: sessions of roles")
def _(here):
    iam, sts = here.client("iam"), here.client("sts")
    operator = trust({"AWS": sts.get_caller_identity()["Arn"]})
    role = iam.create_role(RoleName=here.name, AssumeRolePolicyDocument=operator)["Role"]
    session = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="me")["Credentials"]
    key = session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"]
    mine = here.client("sts", key).get_caller_identity()
    return mine["Arn"].endswith(f"{here.name}/me") and code_of(here.client("iam", key).list_roles)


@proves(REAL, "S3: objects, versions, policies, public access")
def _(here):
    s3, key = here.client("s3"), {"Bucket": here.name, "Key": "k"}
    s3.create_bucket(Bucket=here.name)
    s3.put_bucket_versioning(Bucket=here.name, VersioningConfiguration={"Status": "Enabled"})
    versions = [s3.put_object(**key, Body=body)["VersionId"] for body in (b"1", b"2")]
    old = s3.get_object(**key, VersionId=versions[0])["Body"].read()
    locked = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject"}
    document = policy(locked | {"Resource": f"arn:aws:s3:::{here.name}/*"})
    s3.put_bucket_policy(Bucket=here.name, Policy=document)
    return old == b"1" and code_of(s3.get_object, **key) == "AccessDenied"


@proves(REAL, "Secrets Manager: values, versions, policies, deletion")
def _(here):
    secrets, named = here.client("secretsmanager"), {"SecretId": here.name}
    secrets.create_secret(Name=here.name, SecretString="1")
    secrets.put_secret_value(**named, SecretString="2")
    before = secrets.get_secret_value(**named, VersionStage="AWSPREVIOUS")["SecretString"]
    secrets.delete_secret(**named)
    return before == "1" and code_of(secrets.get_secret_value, **named) == "InvalidRequestException"


@proves(REAL, "ECR: repositories, tokens, images that are pushed and pulled, tags that never move")
def _(here):
    ecr, name = here.client("ecr"), {"repositoryName": here.name}
    where = ecr.create_repository(**name, imageTagMutability="IMMUTABLE")["repository"]["repositoryUri"]
    (data,) = ecr.get_authorization_token()["authorizationData"]
    return data["proxyEndpoint"] == f"https://{where.partition('/')[0]}" and here.asked() == ["start"]


@proves(NO_EFFECT, "ECR: scans, lifecycle policies, encryption")
def _(here):
    ecr, name = here.client("ecr"), {"repositoryName": here.name}
    ecr.create_repository(**name, encryptionConfiguration={"encryptionType": "AES256"})
    here.forget()
    ecr.put_image_scanning_configuration(**name, imageScanningConfiguration={"scanOnPush": True})
    selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}
    rule = {"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}
    ecr.put_lifecycle_policy(**name, lifecyclePolicyText=json.dumps({"rules": [rule]}))


@proves(REFUSED, "ECR: policies of repositories, replication, images that are put by the API")
def _(here):
    ecr, name = here.client("ecr"), {"repositoryName": here.name}
    ecr.create_repository(**name)
    replication = {"replicationConfiguration": {"rules": []}}
    return [
        (ecr.set_repository_policy, {**name, "policyText": "{}"}),
        (ecr.put_replication_configuration, replication),
        (ecr.put_image, {**name, "imageManifest": "{}"}),
        (ecr.initiate_layer_upload, name),
        (ecr.start_image_scan, {**name, "imageId": {"imageTag": "1"}}),
    ]


@proves(REAL, "tags, and the tagging API")
def _(here):
    here.client("ec2").create_tags(Resources=[here.network.vpc], Tags=[{"Key": "of", "Value": here.name}])
    wanted = {"TagFilters": [{"Key": "of", "Values": [here.name]}]}
    found = here.client("resourcegroupstaggingapi").get_resources(**wanted)["ResourceTagMappingList"]
    return [one["ResourceARN"].rpartition("/")[2] for one in found] == [here.network.vpc]


@proves(REFUSED, "permission boundaries, and what moto does not have")
def _(here):
    iam, limit = here.client("iam"), {"PermissionsBoundary": "arn:aws:iam::aws:policy/ReadOnlyAccess"}
    return [
        (iam.create_role, {"RoleName": here.name, "AssumeRolePolicyDocument": TRUST, **limit}),
        (iam.create_user, {"UserName": here.name, **limit}),
        (iam.put_role_permissions_boundary, {"RoleName": here.name, **limit}),
        (iam.put_user_permissions_boundary, {"UserName": here.name, **limit}),
        (iam.generate_organizations_access_report, {"EntityPath": "o-a1b2c3d4e5/r-abcd"}),
    ]


@proves(NO_EFFECT, "S3: encryption, lifecycle, replication")
def _(here):
    s3, bucket = here.client("s3"), {"Bucket": here.name}
    s3.create_bucket(**bucket)
    s3.put_object(**bucket, Key="k", Body=b"1")
    default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    s3.put_bucket_encryption(**bucket, ServerSideEncryptionConfiguration={"Rules": [default]})
    rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": ""}}
    ended = rule | {"Expiration": {"Date": "2020-01-01T00:00:00Z"}}
    s3.put_bucket_lifecycle_configuration(**bucket, LifecycleConfiguration={"Rules": [ended]})
    s3.put_bucket_versioning(**bucket, VersioningConfiguration={"Status": "Enabled"})
    other = f"{here.name}-copy"
    s3.create_bucket(Bucket=other)
    s3.put_bucket_versioning(Bucket=other, VersioningConfiguration={"Status": "Enabled"})
    copied = rule | {"Priority": 1, "DeleteMarkerReplication": {"Status": "Disabled"}}
    copied |= {"Destination": {"Bucket": f"arn:aws:s3:::{other}"}}
    role = "arn:aws:iam::123456789012:role/r"
    s3.put_bucket_replication(**bucket, ReplicationConfiguration={"Role": role, "Rules": [copied]})
    s3.put_object(**bucket, Key="later", Body=b"1")
    kept = {item["Key"] for item in s3.list_objects_v2(**bucket)["Contents"]}
    assert kept == {"k", "later"}
    assert s3.list_objects_v2(Bucket=other)["KeyCount"] == 0


@proves(NO_EFFECT, "services that are not on this page, as far as moto has them")
def _(here):
    balancer = here.client("elbv2").create_load_balancer(Name=here.name, Subnets=here.network.subnets)
    assert balancer["LoadBalancers"][0]["DNSName"]
    here.forget()


@pytest.mark.parametrize("kind", PROOFS)
def test_it_is_what_the_page_says(here, kind):
    prove(PROOFS, kind, here)


def test_the_page_lists_each_kind():
    assert listed(PAGE.read_text(encoding="utf-8"), "Services without machines") == standing_of(PROOFS)
