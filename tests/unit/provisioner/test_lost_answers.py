"""What has no token is made once, though answers are lost and lists lag; of two, the one in use stays."""

import collections
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from provisioner.errors import DriftError
from tests.unit.provisioner.moto_account import Account, changes

# They make a deployment each: these run in `make test`.
pytestmark = pytest.mark.slow

MADE = {
    "CreateVpc": ("network", "DescribeVpcs", "Vpcs", "VpcId"),
    "CreateInternetGateway": (
        "internet_gateway",
        "DescribeInternetGateways",
        "InternetGateways",
        "InternetGatewayId",
    ),
    "AllocateAddress": ("server_address", "DescribeAddresses", "Addresses", "AllocationId"),
}


class KilledError(Exception):
    """The process is gone."""


def owned(account: Account, operation: str) -> list[str]:
    """List what carries the deployment's tag, by id."""
    name, describe, key, id_ = MADE[operation]
    del name
    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in describe).lstrip("_")
    filters = [{"Name": "tag:flowstead:deployment", "Values": ["flowstead"]}]
    return [item[id_] for item in account.call("ec2", words, Filters=filters)[key]]


def once(error: Exception, operation: str) -> Callable[[str, str], None]:
    """Let one answer not come."""
    left = [error]

    def hook(moment: str, name: str) -> None:
        if (moment, name) == ("after", operation) and left:
            raise left.pop()

    return hook


def test_every_call_whose_answer_is_lost_once_is_made_good(account: Account) -> None:
    """botocore repeats it, though AWS has done it; where that would make a second one, we look first."""
    # moto forgets the tokens of RunInstances, which EC2 knows, and breaks when the other is repeated.
    lost = {"RunInstances", "RemoveRoleFromInstanceProfile"}

    def loses(operation: str) -> bool:
        return operation not in lost and not lost.add(operation)

    account.loses = loses
    account.apply()
    assert account.plan().is_empty
    assert {name: len(owned(account, name)) for name in MADE} == dict.fromkeys(MADE, 1)
    assert {"CreateSubnet", "CreateBucket", "CreateDBInstance", "CreateRole"} <= lost
    before = len(lost)
    account.destroy(keep_data=False)
    assert len(lost) > before + 10
    assert {name: owned(account, name) for name in MADE} == {name: [] for name in MADE}


def test_lists_that_lag_make_nothing_twice(account: Account) -> None:
    """EC2 lists a thing only at the third look, each time."""
    looks: collections.Counter[str] = collections.Counter()

    def lag(called: str, answer: dict[str, Any]) -> None:
        if account.calling.lists:
            for key in (key for key, items in answer.items() if isinstance(items, list)):
                answer[key] = [item for item in answer[key] if not is_new(called, item)]

    def is_new(called: str, item: Any) -> bool:
        marks = [tag["Value"] for tag in item.get("Tags", []) if tag["Key"] == "flowstead:resource"]
        for mark in marks:
            looks[f"{called} {mark}"] += 1
        return any(looks[f"{called} {mark}"] <= 2 for mark in marks)

    account.edits.append(lag)
    account.apply()
    account.edits.clear()
    assert account.plan().is_empty
    assert {name: len(owned(account, name)) for name in MADE} == dict.fromkeys(MADE, 1)


@pytest.mark.parametrize("lag", [1, 2])
@pytest.mark.parametrize("operation", MADE)
def test_a_run_after_one_that_was_killed_leaves_one_although_lists_lag(
    account: Account, operation: str, lag: int
) -> None:
    """The next run removes the second one, if the first is listed only after that."""
    name, describe, key, id_ = MADE[operation]
    account.hooks.append(once(KilledError(), operation))
    with pytest.raises(KilledError):
        account.apply()
    account.hooks.clear()
    (first,) = owned(account, operation)
    looks = [0]

    def hide(called: str, answer: dict[str, Any]) -> None:
        if called == describe:
            looks[0] += 1
            if looks[0] <= lag:
                answer[key] = [item for item in answer[key] if item[id_] != first]

    account.edits.append(hide)
    account.apply()
    account.edits.clear()
    assert account.calls[operation] == 2
    assert len(owned(account, operation)) == lag
    account.apply()
    assert len(owned(account, operation)) == 1
    assert account.plan().is_empty
    assert account.live(name)


@pytest.mark.parametrize("operation", MADE)
def test_an_empty_second_one_is_shown_and_removed_and_the_one_in_use_stays(
    stacked: Account, operation: str
) -> None:
    name = MADE[operation][0]
    live = stacked.live(name)
    second(stacked, operation, live.tags)
    assert len(owned(stacked, operation)) == 2
    planned = stacked.plan()
    assert changes(planned) == {name: "update"}
    stacked.apply()
    assert owned(stacked, operation) == [live.id]


ABSENT = {
    "server_role": ("GetRole", "NoSuchEntity"),
    "artifacts_role": ("GetRole", "NoSuchEntity"),
    "server_profile": ("GetInstanceProfile", "NoSuchEntity"),
    "secret_admin": ("DescribeSecret", "ResourceNotFoundException"),
    "artifacts": ("GetBucketTagging", "NoSuchBucket"),
    "database": ("DescribeDBInstances", "DBInstanceNotFound"),
    "database_subnets": ("DescribeDBSubnetGroups", "DBSubnetGroupNotFoundFault"),
    "database_parameters": ("DescribeDBParameterGroups", "DBParameterGroupNotFound"),
}


@pytest.mark.parametrize("name", ABSENT)
def test_what_a_look_did_not_show_is_taken_when_it_is_there_and_ours(stacked: Account, name: str) -> None:
    operation, code = ABSENT[name]
    error = ClientError({"Error": {"Code": code, "Message": "not yet"}}, operation)
    left = [error]

    def hook(moment: str, called: str) -> None:
        if (moment, called) == ("before", operation) and left:
            raise left.pop()

    stacked.hooks.append(hook)
    assert not [change for change in stacked.plan().changes if change.action == "delete"]
    left.append(error)
    stacked.apply()
    assert not left
    assert stacked.plan().is_empty


LISTED = {
    "private_2": ("DescribeSubnets", "Subnets"),
    "server_firewall": ("DescribeSecurityGroups", "SecurityGroups"),
    "ssh_key": ("DescribeKeyPairs", "KeyPairs"),
}


@pytest.mark.parametrize("name", LISTED)
def test_what_a_list_did_not_show_is_taken_when_it_is_there_and_ours(stacked: Account, name: str) -> None:
    operation, key = LISTED[name]
    looks = [0]

    def hide(called: str, answer: dict[str, Any]) -> None:
        if called == operation:
            looks[0] += 1
            if looks[0] == 1:
                tag = {"Key": "flowstead:resource", "Value": name}
                answer[key] = [item for item in answer[key] if tag not in item["Tags"]]

    before = stacked.live(name).id
    stacked.edits.append(hide)
    stacked.apply()
    assert stacked.plan().is_empty
    assert stacked.live(name).id == before


def test_the_first_database_of_an_account_waits_for_rdss_own_role(account: Account) -> None:
    message = "Unable to create the resource. Verify that you have permission to create service linked role."
    error = ClientError({"Error": {"Code": "InvalidParameterValue", "Message": message}}, "CreateDBInstance")
    left = [error, error]

    def hook(moment: str, called: str) -> None:
        if moment == "before" and called in {"CreateDBSubnetGroup", "CreateDBInstance"} and left:
            raise left.pop()

    account.hooks.append(hook)
    account.apply()
    assert not left
    assert account.plan().is_empty


def second(account: Account, operation: str, tags: dict[str, str]) -> Any:
    words = {
        "CreateVpc": ("create_vpc", "vpc", {"CidrBlock": "10.80.0.0/16"}),
        "CreateInternetGateway": ("create_internet_gateway", "internet-gateway", {}),
        "AllocateAddress": ("allocate_address", "elastic-ip", {"Domain": "vpc"}),
    }
    call, kind, parameters = words[operation]
    items = [{"Key": key, "Value": value} for key, value in tags.items()]
    return account.call("ec2", call, TagSpecifications=[{"ResourceType": kind, "Tags": items}], **parameters)


def test_two_in_use_are_an_error_that_names_both_and_destroy_takes_both(stacked: Account) -> None:
    first = stacked.live("network")
    other = second(stacked, "CreateVpc", first.tags)["Vpc"]["VpcId"]
    subnet = stacked.call("ec2", "create_subnet", VpcId=other, CidrBlock="10.80.5.0/24")["Subnet"]["SubnetId"]
    with pytest.raises(DriftError, match="both are: remove the one that you do not need") as caught:
        stacked.plan()
    assert first.id in str(caught.value) or other in str(caught.value)
    stacked.call("ec2", "delete_subnet", SubnetId=subnet)
    stacked.destroy()
    assert owned(stacked, "CreateVpc") == []
