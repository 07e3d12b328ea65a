"""Destroy removes what is ours, says what it keeps, and may be run again."""

from typing import Any

import pytest
from moto.rds.models import rds_backends

from provisioner.engine import plan
from provisioner.engine.apply import apply
from tests.unit.provisioner.moto_account import Account

BUCKET = "flowstead-123456789012-us-east-1"


def put(account: Account, key: str, body: bytes) -> None:
    """Put an object; the TLS-only policy is taken away, for moto ignores its condition and refuses all."""
    account.call("s3", "delete_bucket_policy", Bucket=BUCKET)
    account.call("s3", "put_object", Bucket=BUCKET, Key=key, Body=body)


def remaining(account: Account) -> list[str]:
    """List what still carries the deployment's tags, secrets on their way out left out."""
    return [
        name
        for name in (resource.name for resource in account.graph() if not resource.looked_up)
        if (live := account.live(name)) and not live.facts.get("is_deleted")
    ]


def test_everything_goes_but_the_bucket(stacked: Account) -> None:
    put(stacked, "artifacts/model", b"model")
    stacked.destroy()
    assert remaining(stacked) == ["artifacts"]
    body = stacked.call("s3", "get_object", Bucket=BUCKET, Key="artifacts/model")["Body"].read()
    assert body == b"model"


def test_what_is_kept_is_named(stacked: Account) -> None:
    kept = "\n".join(stacked.destroy().kept)
    snapshots = stacked.call("rds", "describe_db_snapshots")["DBSnapshots"]
    assert len(snapshots) == 1
    assert snapshots[0]["DBSnapshotIdentifier"] in kept
    assert BUCKET in kept
    assert "flowstead/flowstead/admin, for 7 days" in kept


def test_the_plan_of_a_destroy_changes_nothing(stacked: Account) -> None:
    plan.destroy(stacked.unprotected(), stacked.open())
    assert not [name for name in stacked.calls if not name.startswith(("Describe", "Get", "List", "Head"))]


def test_without_a_final_snapshot_there_is_none(stacked: Account) -> None:
    planned = stacked.destroy(final_snapshot=False)
    assert "snapshot" not in "\n".join(planned.kept)
    assert stacked.call("rds", "describe_db_snapshots")["DBSnapshots"] == []


def test_the_data_goes_when_told_so_old_versions_too(stacked: Account) -> None:
    for body in (b"first", b"second"):
        put(stacked, "artifacts/model", body)
    stacked.call("s3", "delete_object", Bucket=BUCKET, Key="artifacts/model")
    stacked.call("s3", "create_multipart_upload", Bucket=BUCKET, Key="artifacts/half")
    stacked.destroy(keep_data=False)
    assert stacked.call("s3", "list_buckets")["Buckets"] == []


def test_secrets_can_be_had_back_for_seven_days(stacked: Account) -> None:
    before = stacked.call("secretsmanager", "get_secret_value", SecretId="flowstead/flowstead/admin")
    stacked.destroy()
    listed = stacked.call("secretsmanager", "list_secrets", IncludePlannedDeletion=True)["SecretList"]
    assert len(listed) == 5
    assert all("DeletedDate" in item for item in listed)
    stacked.apply()
    after = stacked.call("secretsmanager", "get_secret_value", SecretId="flowstead/flowstead/admin")
    assert after["SecretString"] == before["SecretString"]
    assert stacked.plan().is_empty


def test_the_same_destroy_twice_is_no_error(stacked: Account) -> None:
    aws = stacked.open()
    planned = plan.destroy(stacked.unprotected(), aws, plan.Teardown(keep_data=False))
    apply(planned, aws)
    apply(planned, aws)
    assert remaining(stacked) == []


def test_a_destroyed_deployment_needs_no_second_destroy(stacked: Account) -> None:
    stacked.destroy(keep_data=False)
    secrets = {change.resource.kind for change in plan.destroy(stacked.unprotected(), stacked.open()).changes}
    assert secrets == set()


def test_a_database_being_deleted_is_waited_for(stacked: Account) -> None:
    database = rds_backends["123456789012"]["us-east-1"].databases["flowstead-flowstead"]
    database.status = "deleting"

    def gone(moment: str, name: str) -> None:
        if (moment, name) == ("before", "DescribeDBInstances") and stacked.calls[name] == 3:
            database.deletion_protection = False
            rds_backends["123456789012"]["us-east-1"].databases.pop("flowstead-flowstead", None)

    stacked.hooks.append(gone)
    stacked.destroy()
    assert stacked.calls["DeleteDBInstance"] == 0
    assert remaining(stacked) == ["artifacts"]


def test_policies_that_others_attached_do_not_keep_the_role(stacked: Account) -> None:
    role = "flowstead-flowstead-us-east-1-server"
    theirs: Any = stacked.call(
        "iam",
        "create_policy",
        PolicyName="theirs",
        PolicyDocument='{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ssm:*",'
        ' "Resource": "*"}]}',
    )
    stacked.call("iam", "attach_role_policy", RoleName=role, PolicyArn=theirs["Policy"]["Arn"])
    stacked.destroy()
    assert "server_role" not in remaining(stacked)


@pytest.mark.parametrize("name", ["server", "database", "s3_endpoint", "server_address", "server_role"])
def test_one_that_is_gone_already_is_no_error(stacked: Account, name: str) -> None:
    resource = stacked.graph()[name]
    live = resource.find(stacked.open())
    assert live is not None
    stacked.destroy()
    resource.delete(stacked.open(), live, plan.Teardown(stamp="again"))
