"""A deployment is made once, found again, set right, and removed."""

import pytest

from provisioner.engine import plan
from provisioner.engine.apply import apply
from tests.unit.provisioner.moto_account import Account, changes


def test_nothing_is_there_then_everything_is_made(account: Account) -> None:
    planned = account.plan()
    assert set(changes(planned).values()) == {"create"}
    assert {"network", "server", "database", "artifacts", "secret_admin"} <= set(changes(planned))


def test_the_second_plan_is_empty_and_costs_few_calls(stacked: Account) -> None:
    aws = stacked.open()
    planned = plan.make(stacked.graph(), aws)
    assert changes(planned) == {}
    assert planned.is_empty
    assert aws.mutating_calls == 0
    assert aws.reading_calls <= 50
    assert sum(stacked.calls.values()) == aws.reading_calls


def test_each_setting_of_a_resource_is_declared_once(stacked: Account) -> None:
    """What was tried is remembered by its name: of two with one name, the second would not be repaired."""
    planned = stacked.plan()
    for change in planned.changes:
        assert change.live
        names = [one.name for one in change.resource.settings(change.live, planned.state)]
        assert len(names) == len(set(names)), (change.resource, names)


def test_a_second_apply_changes_nothing(stacked: Account) -> None:
    aws = stacked.open()
    apply(plan.make(stacked.graph(), aws), aws)
    assert aws.mutating_calls == 0


def test_the_plan_makes_no_mutating_call(account: Account) -> None:
    account.plan()
    assert not [name for name in account.calls if not name.startswith(("Describe", "Get", "List", "Head"))]


def test_every_resource_is_tagged_in_the_call_that_makes_it(account: Account) -> None:
    account.apply()
    calls = {
        name for name in account.calls if "Tag" in name and not name.startswith(("Describe", "Get", "List"))
    }
    assert calls <= {"PutBucketTagging"}  # moto forgets the tags that CreateBucket carries


def test_users_tags_are_set_and_changed(stacked: Account) -> None:
    wanted = {"team": "ml", "empty": ""}
    planned = stacked.plan(tags=wanted)
    assert set(changes(planned).values()) == {"update"}
    stacked.apply(tags=wanted)
    assert stacked.plan(tags=wanted).is_empty
    assert stacked.live("server").tags["team"] == "ml"


def test_a_tag_that_is_no_longer_wanted_goes_and_those_of_others_stay(stacked: Account) -> None:
    stacked.apply(tags={"team": "ml", "stage": "production"})
    server = stacked.live("server")
    stacked.call("ec2", "create_tags", Resources=[server.id], Tags=[{"Key": "theirs", "Value": "x"}])
    planned = stacked.plan(tags={"stage": "production"})
    assert set(changes(planned).values()) == {"update"}
    stacked.apply(tags={"stage": "production"})
    assert stacked.plan(tags={"stage": "production"}).is_empty
    stacked.apply()
    assert stacked.plan().is_empty
    for name in changes(planned):
        left = {key for key in stacked.live(name).tags if not key.startswith("flowstead:")}
        assert left == {"Name", "theirs"} if name == "server" else {"Name"}


_GONE = {
    "server_address": lambda a, live: (
        a.call("ec2", "disassociate_address", AssociationId=live.facts["AssociationId"]),
        a.call("ec2", "release_address", AllocationId=live.id),
    ),
    "server": lambda a, live: a.call("ec2", "terminate_instances", InstanceIds=[live.id]),
    "s3_endpoint": lambda a, live: a.call("ec2", "delete_vpc_endpoints", VpcEndpointIds=[live.id]),
    "ssh_key": lambda a, live: a.call("ec2", "delete_key_pair", KeyName=live.id),
    "database": lambda a, live: (
        a.call("rds", "modify_db_instance", DBInstanceIdentifier=live.id, DeletionProtection=False),
        a.call("rds", "delete_db_instance", DBInstanceIdentifier=live.id, SkipFinalSnapshot=True),
    ),
    "artifacts": lambda a, live: a.call("s3", "delete_bucket", Bucket=live.id),
    "secret_admin": lambda a, live: a.call(
        "secretsmanager", "delete_secret", SecretId=live.id, ForceDeleteWithoutRecovery=True
    ),
    "server_profile": lambda a, live: (
        a.call("iam", "remove_role_from_instance_profile", InstanceProfileName=live.id, RoleName=live.id),
        a.call("iam", "delete_instance_profile", InstanceProfileName=live.id),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", _GONE)
def test_what_is_gone_is_made_again(stacked: Account, name: str) -> None:
    _GONE[name](stacked, stacked.live(name))
    assert changes(stacked.plan())[name] == "create"
    stacked.apply()
    assert stacked.plan().is_empty
    assert stacked.live(name) is not None


@pytest.mark.slow
def test_two_deployments_live_side_by_side(stacked: Account) -> None:
    stacked.apply(name="second")
    assert stacked.plan().is_empty
    assert stacked.plan(name="second").is_empty
    stacked.destroy()
    assert stacked.plan(name="second").is_empty
