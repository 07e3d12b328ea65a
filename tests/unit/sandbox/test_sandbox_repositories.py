"""Container repositories: who may do what, and that they are among what carries tags."""

from __future__ import annotations

import pytest
from asking import code_of, policy


@pytest.fixture
def ecr(client):
    return client("ecr")


def test_a_repository_is_listed_by_its_tags(client, ecr, unique):
    tags = [{"Key": "of", "Value": unique}]
    arn = ecr.create_repository(repositoryName=f"team/{unique}", tags=tags)["repository"]["repositoryArn"]
    wanted = {"TagFilters": [{"Key": "of", "Values": [unique]}]}
    found = client("resourcegroupstaggingapi").get_resources(**wanted)["ResourceTagMappingList"]
    assert [one["ResourceARN"] for one in found] == [arn]


def test_a_policy_may_name_single_repositories(client, ecr, unique):
    for name in ("ours", "theirs"):
        ecr.create_repository(repositoryName=f"{unique}/{name}")
    arn = f"arn:aws:ecr:us-east-1:123456789012:repository/{unique}/ours"
    iam = client("iam")
    iam.create_user(UserName=unique)
    allowed = policy({"Effect": "Allow", "Action": "ecr:*", "Resource": arn})
    iam.put_user_policy(UserName=unique, PolicyName="p", PolicyDocument=allowed)
    key = iam.create_access_key(UserName=unique)["AccessKey"]
    mine = client("ecr", (key["AccessKeyId"], key["SecretAccessKey"]))
    assert mine.list_images(repositoryName=f"{unique}/ours")["imageIds"] == []
    assert mine.list_tags_for_resource(resourceArn=arn)["tags"] == []
    assert code_of(mine.list_images, repositoryName=f"{unique}/theirs") == "AccessDeniedException"
    assert code_of(mine.describe_repositories) == "AccessDeniedException"


def test_names_that_ecr_does_not_take_are_refused(ecr):
    code = code_of(ecr.create_repository, repositoryName="Team/MLflow")
    assert code == "InvalidParameterException"
