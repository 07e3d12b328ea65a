"""The bucket's two folders: who may do what in them, and what goes from them by itself."""

import pytest
from moto.iam.models import iam_backends

from provisioner import stack
from provisioner.config import Deployment
from provisioner.errors import DriftError
from provisioner.resources.base import Teardown
from provisioner.resources.iam.role import Role
from tests.unit.provisioner.moto_account import ACCESS, PUBLIC_KEY, Account, changes

# Each starts from a stack of its own: these run in `make test`, not in `make check`.


def test_another_folder_of_backups_goes_into_policy_and_lifecycle(stacked: Account) -> None:
    wanted = {"backups": {"prefix": "other"}}
    assert changes(stacked.plan(**wanted)) == {"artifacts": "update", "server_role": "update"}
    stacked.apply(**wanted)
    assert stacked.plan(**wanted).is_empty
    rules = stacked.live("artifacts").facts["lifecycle"]
    assert "other/" in {rule["Filter"]["Prefix"] for rule in rules}
    assert {rule["ID"] for rule in rules} == {"flowstead", "flowstead-backups"}


@pytest.mark.parametrize("wanted", [{"prefix": "other"}, {"bucket": "another-bucket"}], ids=str)
def test_artifacts_are_not_left_behind(stacked: Account, wanted: dict[str, str]) -> None:
    """The database's runs name bucket and folder."""
    with pytest.raises(DriftError, match="place of the artifacts: s3://flowstead-123456789012-us-east-1/art"):
        stacked.plan(artifacts=wanted)


def test_a_rule_of_others_that_deletes_artifacts_is_a_notice(stacked: Account) -> None:
    bucket = stacked.live("artifacts")
    theirs = {"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 3}}
    rules = {"Rules": [*bucket.facts["lifecycle"], theirs]}
    stacked.call("s3", "put_bucket_lifecycle_configuration", Bucket=bucket.id, LifecycleConfiguration=rules)
    (notice,) = stacked.plan().notices
    assert "'tidy', which deletes what is under /" in notice


def test_rules_and_parameters_of_users_are_left_alone(stacked: Account) -> None:
    bucket = stacked.live("artifacts")
    theirs = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 3}}
    stacked.call(
        "s3",
        "put_bucket_lifecycle_configuration",
        Bucket=bucket.id,
        LifecycleConfiguration={"Rules": [*bucket.facts["lifecycle"], theirs]},
    )
    assert stacked.plan().is_empty
    stacked.apply(artifacts={"noncurrent_days": 90})
    rules = stacked.live("artifacts").facts["lifecycle"]
    assert {rule["ID"] for rule in rules} == {"theirs", "flowstead", "flowstead-backups"}


def test_backups_expire_and_the_server_can_delete_none(stacked: Account) -> None:
    rule = next(r for r in stacked.live("artifacts").facts["lifecycle"] if r["ID"] == "flowstead-backups")
    assert rule["Filter"]["Prefix"] == "backups/"
    assert rule["Expiration"]["Days"] == rule["NoncurrentVersionExpiration"]["NoncurrentDays"] == 35
    statements = stacked.live("server_role").facts["Policies"]["flowstead"]["Statement"]
    about = [s for s in statements if s["Resource"] == f"{stacked.live('artifacts').arn}/backups/*"]
    allowed, denied = about
    assert set(allowed["Action"]) == {"s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"}
    assert (denied["Effect"], denied["Action"]) == ("Deny", "s3:PutObject")
    deleting = [s["Resource"] for s in statements if "s3:DeleteObject" in s["Action"]]
    assert deleting == [f"{stacked.live('artifacts').arn}/artifacts/*"]


def test_only_the_instances_role_may_take_the_servers(stacked: Account) -> None:
    role = stacked.live("artifacts_role")
    (trust,) = role.facts["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"AWS": stacked.live("server_role").arn}
    policies = role.facts["Policies"]
    assert list(policies) == ["flowstead"]
    about = str(policies["flowstead"])
    assert "/artifacts/*" in about
    assert "backups" not in about
    assert "secretsmanager" not in about


def test_a_deployment_of_an_earlier_release_gets_the_servers_role(stacked: Account) -> None:
    resource = stacked.graph()["artifacts_role"]
    resource.delete(stacked.open(), stacked.live("artifacts_role"), Teardown())
    assert changes(stacked.plan()) == {"artifacts_role": "create"}
    stacked.apply()
    assert stacked.plan().is_empty


def test_the_role_may_read_its_prefix_and_its_secrets_only(stacked: Account) -> None:
    role = iam_backends["123456789012"]["aws"].get_role("flowstead-flowstead-us-east-1-server")
    assert list(role.policies) == ["flowstead"]
    policy = role.policies["flowstead"]
    assert "tls-ca" not in policy
    assert "rds!" not in policy
    for allowed in ("database-owner", "database-application", "admin", "server-keys"):
        assert stacked.live(f"secret_{allowed.replace('-', '_')}").arn in policy


def test_the_longest_name_in_the_longest_region_makes_names_that_iam_takes() -> None:
    monitored = {"monitoring_s": 60}
    deployment = Deployment.model_validate(
        {"name": "n" * 31, "region": "ap-southeast-2", "database": monitored}
    )
    graph = stack.build(stack.Context(deployment, "123456789012", ACCESS, PUBLIC_KEY)).graph
    names = [one.role_name for one in graph if isinstance(one, Role)]
    assert sorted(map(len, names)) == [63, 63, 64]
    assert len(set(names)) == 3
