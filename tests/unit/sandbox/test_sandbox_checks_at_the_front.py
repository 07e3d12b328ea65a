"""At the front: what the schemas refuse is refused before anything is made."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.api import call_log


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
