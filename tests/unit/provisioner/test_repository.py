"""The repository of container images: made when wanted, one of others used as it is, images kept."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provisioner.engine import plan
from provisioner.engine.apply import apply
from provisioner.engine.plan import Plan
from provisioner.errors import AwsError, DriftError
from provisioner.resources.base import Live
from tests.unit.provisioner.moto_account import Account, changes, settings

NAME = "flowstead/mlflow"
ARN = f"arn:aws:ecr:us-east-1:123456789012:repository/{NAME}"
AUTO: dict[str, Any] = {"images": {"repository": "auto"}, "database": {"deletion_protection": False}}
NONE: dict[str, Any] = {"database": {"deletion_protection": False}}


def repository(account: Account, name: str = NAME) -> Live | None:
    wanted = {**AUTO, "images": {"repository": name}}
    return account.graph(**wanted)["images"].find(account.open())


def push(account: Account, tag: str = "1", name: str = NAME) -> None:
    manifest = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [{"digest": tag}]}
    account.call("ecr", "put_image", repositoryName=name, imageManifest=json.dumps(manifest), imageTag=tag)


def destroy(account: Account, **choices: bool) -> Plan:
    aws = account.open()
    planned = plan.destroy(account.graph(**AUTO), aws, plan.Teardown(**choices))
    apply(planned, aws)
    return planned


def test_without_it_there_is_none_and_ecr_is_not_asked(account: Account) -> None:
    account.apply()
    assert account.calls["DescribeRepositories"] == 0
    assert account.call("ecr", "describe_repositories")["repositories"] == []


def test_it_is_made_whole_and_tagged_in_one_call_and_then_there_is_nothing_to_do(account: Account) -> None:
    account.apply(**AUTO)
    assert (account.calls["CreateRepository"], account.calls["TagResource"]) == (1, 0)
    live = repository(account)
    assert live
    assert live.tags["flowstead:resource"] == "images"
    assert live.facts["imageTagMutability"] == "IMMUTABLE"
    assert live.facts["imageScanningConfiguration"] == {"scanOnPush": True}
    assert live.facts["encryptionConfiguration"]["encryptionType"] == "AES256"
    (rule,) = live.facts["policy"]["rules"]
    assert (rule["selection"]["countNumber"], rule["action"]) == (10, {"type": "expire"})
    aws = account.open()
    assert plan.make(account.graph(**AUTO), aws).is_empty
    assert aws.mutating_calls == 0


DRIFT = {
    "tags of images": ("put_image_tag_mutability", {"imageTagMutability": "MUTABLE"}),
    "scan of pushed images": (
        "put_image_scanning_configuration",
        {"imageScanningConfiguration": {"scanOnPush": False}},
    ),
    "images kept": ("delete_lifecycle_policy", {}),
}


@pytest.mark.parametrize("setting", DRIFT)
def test_what_drifted_is_shown_and_set_back(account: Account, setting: str) -> None:
    account.apply(**AUTO)
    operation, what = DRIFT[setting]
    account.call("ecr", operation, repositoryName=NAME, **what)
    assert settings(account.plan(**AUTO), "images") == {setting}
    account.apply(**AUTO)
    assert account.plan(**AUTO).is_empty


def test_another_number_of_images_is_set(account: Account) -> None:
    account.apply(**AUTO)
    fewer = {**AUTO, "images": {"repository": "auto", "keep": 3}}
    assert settings(account.plan(**fewer), "images") == {"images kept"}
    account.apply(**fewer)
    assert account.plan(**fewer).is_empty


def test_the_users_tags_come_and_go(account: Account) -> None:
    account.apply(**AUTO, tags={"team": "ml"})
    account.apply(**AUTO)
    tags = account.call("ecr", "list_tags_for_resource", resourceArn=ARN)["tags"]
    assert "team" not in {tag["Key"] for tag in tags}
    assert account.plan(**AUTO).is_empty


def test_answers_that_are_lost_leave_one(account: Account) -> None:
    # moto forgets the tokens of RunInstances, which EC2 knows.
    lost = {"RunInstances"}
    account.loses = lambda operation: operation not in lost and not lost.add(operation)
    account.apply(**AUTO)
    assert "CreateRepository" in lost
    assert account.plan(**AUTO).is_empty


def test_a_killed_run_is_taken_up_by_the_next(account: Account) -> None:
    def die(moment: str, name: str) -> None:
        if (moment, name) == ("after", "CreateRepository"):
            raise KeyboardInterrupt

    account.hooks.append(die)
    with pytest.raises(KeyboardInterrupt):
        account.apply(**AUTO)
    account.hooks.clear()
    account.apply(**AUTO)
    assert account.plan(**AUTO).is_empty
    assert account.calls["CreateRepository"] == 1


def test_one_that_was_there_is_used_as_it_is_and_never_removed(account: Account) -> None:
    account.call("ecr", "create_repository", repositoryName="team/mlflow")
    own = {**AUTO, "images": {"repository": "team/mlflow"}}
    account.apply(**own)
    planned = account.plan(**own)
    assert planned.is_empty
    assert [one for one in planned.notices if "team/mlflow was there before" in one and "can be moved" in one]
    before = repository(account, "team/mlflow")
    assert before
    assert (before.tags, before.facts["policy"], before.facts["imageTagMutability"]) == ({}, None, "MUTABLE")
    aws = account.open()
    gone = plan.destroy(account.graph(**own), aws, plan.Teardown(keep_data=False))
    apply(gone, aws)
    assert "image repository team/mlflow, which was there before" in gone.kept
    assert repository(account, "team/mlflow")
    assert plan.left_by(gone, account.open()).unknown == ()


def test_one_of_another_deployment_is_refused(account: Account) -> None:
    tags = [{"Key": "flowstead:deployment", "Value": "production"}]
    account.call("ecr", "create_repository", repositoryName=NAME, tags=tags)
    with pytest.raises(DriftError, match="belongs to the deployment 'production'"):
        account.plan(**AUTO)


def test_an_empty_one_goes_with_the_deployment(account: Account) -> None:
    account.apply(**AUTO)
    destroy(account)
    assert repository(account) is None


def test_one_with_images_stays_until_told(account: Account) -> None:
    account.apply(**AUTO)
    push(account)
    planned = destroy(account)
    assert f"image repository {NAME} with its images" in planned.kept
    assert plan.left_by(planned, account.open()).unknown == ()
    assert repository(account)
    assert destroy(account, keep_data=False).kept != ()
    assert repository(account) is None


def test_an_image_that_comes_while_an_empty_one_is_removed_is_not_lost(account: Account) -> None:
    account.apply(**AUTO)
    aws = account.open()
    planned = plan.destroy(account.graph(**AUTO), aws, plan.Teardown())
    push(account)
    with pytest.raises(AwsError, match="RepositoryNotEmptyException"):
        apply(planned, aws)
    assert repository(account)


def test_a_destroy_may_be_run_twice(account: Account) -> None:
    account.apply(**AUTO)
    aws = account.open()
    planned = plan.destroy(account.graph(**AUTO), aws, plan.Teardown(keep_data=False))
    apply(planned, aws)
    apply(planned, aws)
    assert repository(account) is None


def test_an_empty_one_that_is_no_longer_wanted_goes(account: Account) -> None:
    account.apply(**AUTO)
    assert changes(account.plan(**NONE)) == {"images": "delete"}
    account.apply(**NONE)
    assert repository(account) is None
    assert account.plan(**NONE).is_empty


def test_one_with_images_that_is_no_longer_wanted_goes_by_its_name_only(account: Account) -> None:
    account.apply(**AUTO)
    push(account)
    planned = account.plan(**NONE)
    assert planned.is_empty
    assert [notice for notice in planned.notices if f"--remove {NAME}" in notice]
    aws = account.open()
    apply(plan.make(account.graph(**NONE), aws, {NAME}), aws)
    assert repository(account) is None


def test_the_hosts_role_may_do_nothing_with_it(account: Account) -> None:
    account.apply(**AUTO)
    roles = account.call("iam", "list_roles")["Roles"]
    for role in roles:
        for name in account.call("iam", "list_role_policies", RoleName=role["RoleName"])["PolicyNames"]:
            found = account.call("iam", "get_role_policy", RoleName=role["RoleName"], PolicyName=name)
            assert "ecr:" not in json.dumps(found["PolicyDocument"])
