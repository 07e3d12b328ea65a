"""The bucket's two folders: who may do what in them, and what goes from them by itself."""

import pytest
from moto.iam.models import iam_backends

from provisioner.errors import DriftError
from tests.unit.provisioner.in_account import Account, changes

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
    assert [set(s["Action"]) for s in about] == [{"s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"}]
    deleting = [s["Resource"] for s in statements if "s3:DeleteObject" in s["Action"]]
    assert deleting == [f"{stacked.live('artifacts').arn}/artifacts/*"]


def test_the_role_may_read_its_prefix_and_its_secrets_only(stacked: Account) -> None:
    role = iam_backends["123456789012"]["aws"].get_role("flowstead-flowstead-us-east-1-server")
    assert list(role.policies) == ["flowstead"]
    policy = role.policies["flowstead"]
    assert "tls-ca" not in policy
    assert "rds!" not in policy
    for allowed in ("database-owner", "database-application", "admin", "server-keys"):
        assert stacked.live(f"secret_{allowed.replace('-', '_')}").arn in policy
