"""What an option of deployment.yml makes, and that it goes when the option goes."""

from typing import Any

import pytest

from provisioner.engine import plan
from provisioner.engine.apply import apply
from provisioner.errors import FlowsteadError
from tests.unit.provisioner.moto_account import Account, changes, settings

LOGS = "a-bucket-for-logs"
ON: dict[str, Any] = {"network": {"flow_logs": f"s3://{LOGS}"}, "database": {"monitoring_s": 60}}


@pytest.fixture
def monitored(stacked: Account) -> Account:
    stacked.call("s3", "create_bucket", Bucket=LOGS)
    planned = changes(stacked.plan(**ON))
    assert planned == {"flow_log": "create", "monitoring_role": "create", "database": "update"}
    stacked.apply(**ON)
    assert stacked.plan(**ON).is_empty
    return stacked


def flow_logs(account: Account) -> list[str]:
    return [one["LogDestination"] for one in account.call("ec2", "describe_flow_logs")["FlowLogs"]]


def roles(account: Account) -> list[str]:
    return [one["RoleName"] for one in account.call("iam", "list_roles")["Roles"]]


def test_an_option_makes_and_the_next_plan_is_empty(monitored: Account) -> None:
    assert flow_logs(monitored) == [f"arn:aws:s3:::{LOGS}"]
    database = monitored.live("database").facts
    assert database["MonitoringInterval"] == 60
    assert database["MonitoringRoleArn"].endswith(":role/flowstead-flowstead-us-east-1-monitor")
    role = monitored.call("iam", "get_role", RoleName="flowstead-flowstead-us-east-1-monitor")["Role"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "monitoring.rds.amazonaws.com"}
    assert trust["Condition"]["StringEquals"] == {
        "aws:SourceAccount": "123456789012",
        "aws:SourceArn": "arn:aws:rds:us-east-1:123456789012:db:flowstead-flowstead",
    }


def test_an_option_that_is_taken_back_leaves_nothing(monitored: Account) -> None:
    assert changes(monitored.plan()) == {
        "flow_log": "delete",
        "monitoring_role": "delete",
        "database": "update",
    }
    monitored.apply()
    assert monitored.plan().is_empty
    assert flow_logs(monitored) == []
    assert not [name for name in roles(monitored) if name.endswith("-monitor")]
    assert monitored.live("database").facts["MonitoringInterval"] == 0


def test_an_apply_that_is_killed_while_it_takes_back_goes_on(monitored: Account) -> None:
    def die(when: str, name: str) -> None:
        if (when, name) == ("before", "ModifyDBInstance"):
            raise FlowsteadError("killed")

    monitored.hooks.append(die)
    with pytest.raises(FlowsteadError, match="killed"):
        monitored.apply()
    monitored.hooks.clear()
    monitored.apply()
    assert monitored.plan().is_empty
    assert not [name for name in roles(monitored) if name.endswith("-monitor")]


def test_flow_logs_move(monitored: Account) -> None:
    monitored.call("s3", "create_bucket", Bucket=f"{LOGS}-2")
    moved = ON | {"network": {"flow_logs": f"s3://{LOGS}-2"}}
    assert settings(monitored.plan(**moved), "flow_log") == {"destination"}
    monitored.apply(**moved)
    assert flow_logs(monitored) == [f"arn:aws:s3:::{LOGS}-2"]
    assert monitored.plan(**moved).is_empty


def test_a_bucket_that_is_not_there_is_told(stacked: Account) -> None:
    with pytest.raises(FlowsteadError, match=r"does not exist(?s:.*)network\.flow_logs"):
        stacked.apply(network=ON["network"])


def test_destroy_takes_them_along(monitored: Account) -> None:
    off = {"deletion_protection": False}
    aws = monitored.open()
    wanted = monitored.graph(**{**ON, "database": {**ON["database"], **off}})
    apply(plan.destroy(wanted, aws), aws)
    assert flow_logs(monitored) == []
    assert not [name for name in roles(monitored) if name.startswith("flowstead-")]
