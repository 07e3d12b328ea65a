"""Data Lifecycle Manager: policies are kept and checked, and a night does what they say."""

from __future__ import annotations

import json

import pytest
from asking import code_of, policy, trust

from sandbox import account


@pytest.fixture
def role(client, unique):
    """A role that the service can take."""
    trusted = trust({"Service": "dlm.amazonaws.com"})
    made = client("iam").create_role(RoleName=unique, AssumeRolePolicyDocument=trusted)
    return made["Role"]["Arn"]


@pytest.fixture
def details(unique):
    return {
        "PolicyType": "EBS_SNAPSHOT_MANAGEMENT",
        "ResourceTypes": ["VOLUME"],
        "TargetTags": [{"Key": "nightly", "Value": unique}],
        "Schedules": [
            {
                "Name": "nightly",
                "CopyTags": True,
                "CreateRule": {"Interval": 24, "IntervalUnit": "HOURS", "Times": ["03:00"]},
                "RetainRule": {"Interval": 2, "IntervalUnit": "DAYS"},
            }
        ],
    }


@pytest.fixture
def make(client, role, details):
    def run(**changed):
        asked = {"Description": "d", "State": "ENABLED", "ExecutionRoleArn": role, "PolicyDetails": details}
        return client("dlm").create_lifecycle_policy(**asked | {"Tags": {"a": "b"}} | changed)["PolicyId"]

    return run


def test_a_policy_is_made_found_changed_tagged_and_deleted(client, make, details, unique, role):
    dlm, id_ = client("dlm"), make()
    (listed,) = dlm.get_lifecycle_policies(TargetTags=[f"nightly={unique}"])["Policies"]
    assert (listed["PolicyId"], listed["Tags"]) == (id_, {"a": "b"})
    found = dlm.get_lifecycle_policy(PolicyId=id_)["Policy"]
    assert (found["ExecutionRoleArn"], found["State"]) == (role, "ENABLED")
    assert found["PolicyDetails"]["Schedules"][0]["RetainRule"]["Interval"] == 2
    details["Schedules"][0]["RetainRule"]["Interval"] = 9
    dlm.update_lifecycle_policy(PolicyId=id_, PolicyDetails=details)
    dlm.update_lifecycle_policy(PolicyId=id_, State="DISABLED")
    dlm.tag_resource(ResourceArn=found["PolicyArn"], Tags={"c": "d"})
    dlm.untag_resource(ResourceArn=found["PolicyArn"], TagKeys=["a"])
    found = dlm.get_lifecycle_policy(PolicyId=id_)["Policy"]
    assert (found["State"], found["Tags"]) == ("DISABLED", {"c": "d"})
    assert found["PolicyDetails"]["Schedules"][0]["RetainRule"]["Interval"] == 9
    filters = [{"Key": "c", "Values": ["d"]}]
    listed = client("resourcegroupstaggingapi").get_resources(TagFilters=filters)["ResourceTagMappingList"]
    assert found["PolicyArn"] in [one["ResourceARN"] for one in listed]
    dlm.delete_lifecycle_policy(PolicyId=id_)
    for call in (dlm.get_lifecycle_policy, dlm.delete_lifecycle_policy):
        assert code_of(call, PolicyId=id_) == "ResourceNotFoundException"
    assert dlm.get_lifecycle_policies(TargetTags=[f"nightly={unique}"])["Policies"] == []


def test_a_role_that_the_service_cannot_take_is_refused(client, make, unique):
    missing = f"arn:aws:iam::{account.ACCOUNT_ID}:role/missing"
    assert code_of(make, ExecutionRoleArn=missing) == "InvalidRequestException"
    others = trust({"Service": "ec2.amazonaws.com"})
    arn = client("iam").create_role(RoleName=f"{unique}-2", AssumeRolePolicyDocument=others)["Role"]["Arn"]
    assert code_of(make, ExecutionRoleArn=arn) == "InvalidRequestException"


def test_keys_of_tags_that_the_service_does_not_take_are_refused(make):
    assert code_of(make, Tags={"cost centre": "x"}) == "ValidationException"


@pytest.mark.parametrize(
    "changed",
    [
        {"ResourceTypes": ["INSTANCE"]},
        {"PolicyType": "IMAGE_MANAGEMENT"},
        {"Schedules": [{"CreateRule": {"CronExpression": "cron(0 3 * * ? *)"}, "RetainRule": {"Count": 1}}]},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_what_a_night_does_not_do_is_refused(make, details, changed):
    assert code_of(make, PolicyDetails=details | changed) == "UnsupportedInSandbox"


def test_who_may_not_pass_the_role_makes_no_policy(client, role, details, unique):
    iam = client("iam")
    iam.create_user(UserName=unique)
    allowed = policy({"Effect": "Allow", "Action": "dlm:*", "Resource": "*"})
    iam.put_user_policy(UserName=unique, PolicyName="p", PolicyDocument=allowed)
    key = iam.create_access_key(UserName=unique)["AccessKey"]
    dlm = client("dlm", (key["AccessKeyId"], key["SecretAccessKey"]))
    asked = {"Description": "d", "State": "ENABLED", "ExecutionRoleArn": role, "PolicyDetails": details}
    assert code_of(dlm.create_lifecycle_policy, **asked) == "AccessDeniedException"
    passes = {
        "Effect": "Allow",
        "Action": "iam:PassRole",
        "Resource": role,
        "Condition": {"StringEquals": {"iam:PassedToService": "dlm.amazonaws.com"}},
    }
    both = policy(*json.loads(allowed)["Statement"], passes)
    iam.put_user_policy(UserName=unique, PolicyName="p", PolicyDocument=both)
    assert dlm.create_lifecycle_policy(**asked)["PolicyId"]


def test_each_night_has_a_snapshot_and_those_that_are_old_go(client, make, cloud, unique):
    ec2, night = client("ec2"), cloud.infrastructure.lifecycle_policies.night
    tags = [{"Key": "nightly", "Value": unique}, {"Key": "whose", "Value": "ours"}]
    volume = ec2.create_volume(
        AvailabilityZone="us-east-1a",
        Size=1,
        TagSpecifications=[{"ResourceType": "volume", "Tags": tags}],
    )["VolumeId"]
    ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)
    by_hand = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    id_ = make()
    filters = [{"Name": "volume-id", "Values": [volume]}, {"Name": "tag-key", "Values": ["nightly"]}]

    def there():
        return [one["SnapshotId"] for one in ec2.describe_snapshots(Filters=filters)["Snapshots"]]

    begun = [taken for _ in range(2) for taken in night()["begun"]]
    assert sorted(there()) == sorted(begun)
    third = night()
    assert third["removed"] == [begun[0]]
    assert sorted(there()) == sorted([begun[1], *third["begun"]])
    assert ("drop_snapshot", (begun[0],)) in cloud.infrastructure.volumes.asked
    (shown,) = ec2.describe_snapshots(SnapshotIds=third["begun"])["Snapshots"]
    carried = {tag["Key"]: tag["Value"] for tag in shown["Tags"]}
    assert carried["whose"] == "ours"
    assert carried["aws:dlm:lifecycle-policy-id"] == id_
    client("dlm").update_lifecycle_policy(PolicyId=id_, State="DISABLED")
    assert night()["begun"] == []
    assert by_hand in [one["SnapshotId"] for one in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]]


def test_the_last_snapshot_of_a_lost_volume_stays(client, make, cloud, unique):
    ec2, night = client("ec2"), cloud.infrastructure.lifecycle_policies.night
    specification = {"ResourceType": "volume", "Tags": [{"Key": "nightly", "Value": unique}]}
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, TagSpecifications=[specification])
    make()
    (taken,) = night()["begun"]
    ec2.delete_volume(VolumeId=volume["VolumeId"])
    for _ in range(5):
        night()
    assert ec2.describe_snapshots(SnapshotIds=[taken])["Snapshots"]
