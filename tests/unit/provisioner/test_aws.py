"""The door to AWS: what is tried again, for how long, and what a person is told."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, TokenRetrievalError
from moto.ec2.models import ec2_backends
from moto.ec2.responses import EC2Response
from moto.sts.exceptions import STSClientError
from moto.sts.responses import TokenResponse

from provisioner.aws import Aws, RetryOn
from provisioner.engine import plan
from provisioner.engine.apply import apply
from provisioner.errors import AwsError, FlowsteadError, NotOfferedError
from tests.unit.provisioner.moto_account import REGION, Account, Clock


def refusal(code: str, operation: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


@pytest.mark.usefixtures("account")
@pytest.mark.filterwarnings("ignore:Exception.STSClientError")  # botocore's model lacks the code, AWS has it
def test_a_region_that_the_account_has_not_enabled_is_said_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: object) -> None:
        raise STSClientError("InvalidClientTokenId", "The security token included in the request is invalid")

    monkeypatch.setattr(TokenResponse, "get_caller_identity", refused)
    with pytest.raises(NotOfferedError, match="region: this account has not enabled me-south-1: enable it"):
        Aws("me-south-1", clock=Clock()).identity()
    with pytest.raises(AwsError, match=r"InvalidClientTokenId.*aws sts get-caller-identity"):
        Aws("eu-west-1", clock=Clock()).identity()
    monkeypatch.setattr(EC2Response, "describe_regions", refused)
    with pytest.raises(AwsError, match=r"InvalidClientTokenId.*aws sts get-caller-identity"):
        Aws("me-south-1", clock=Clock()).identity()


def test_the_free_plan_is_told_with_the_setting_to_change(account: Account) -> None:
    text = "The specified backup retention period exceeds the maximum available to free tier customers."
    refuse(account, "CreateDBInstance", refusal("FreeTierRestrictionError", "CreateDBInstance", text))
    with pytest.raises(FlowsteadError, match=r"free plan.*set database.backup_days: 1"):
        account.apply()


def refuse(account: Account, operation: str, error: Exception, *, times: int = 1000) -> list[str]:
    """Let calls of an operation fail before they reach AWS; gives the failures as they happen."""
    happened: list[str] = []

    def hook(moment: str, name: str) -> None:
        if (moment, name) == ("before", operation) and len(happened) < times:
            happened.append(name)
            raise error

    account.hooks.append(hook)
    return happened


def test_a_profile_that_ec2_does_not_know_yet_is_waited_for(account: Account) -> None:
    text = "Value (x) for parameter iamInstanceProfile.arn is invalid. Invalid IAM Instance Profile ARN"
    unknown = refusal("InvalidParameterValue", "RunInstances", text)
    happened = refuse(account, "RunInstances", unknown, times=4)
    account.apply()
    assert len(happened) == 4
    assert account.live("server") is not None


def test_the_wait_for_a_profile_has_an_end(account: Account) -> None:
    text = "Invalid IAM Instance Profile name"
    happened = refuse(account, "RunInstances", refusal("InvalidParameterValue", "RunInstances", text))
    with pytest.raises(AwsError, match="instance server"):
        account.apply()
    assert 10 < len(happened) < 100


def test_another_invalid_value_is_not_tried_again(account: Account) -> None:
    happened = refuse(account, "RunInstances", refusal("InvalidParameterValue", "RunInstances", "bad size"))
    with pytest.raises(AwsError):
        account.apply()
    assert len(happened) == 1


def test_a_token_that_made_a_terminated_host_is_not_used_again(account: Account) -> None:
    tokens = []
    client = account.open().client("ec2")
    client.meta.events.register(
        "provide-client-params.ec2.RunInstances",
        lambda params, **_: tokens.append(params["ClientToken"]),
        unique_id="tokens",
    )
    refuse(account, "RunInstances", refusal("IdempotentParameterMismatch", "RunInstances"), times=1)
    account.apply()
    client.meta.events.unregister("provide-client-params.ec2.RunInstances", unique_id="tokens")
    assert len(set(tokens)) == 2


def test_a_token_that_made_a_forgotten_host_is_not_used_again(stacked: Account) -> None:
    """AWS keeps tokens for a day, and shows a terminated instance for an hour."""
    ec2 = ec2_backends["123456789012"][REGION]
    old = stacked.live("server").id
    answer = stacked.call("ec2", "describe_instances", InstanceIds=[old])["Reservations"][0]
    stacked.call("ec2", "terminate_instances", InstanceIds=[old])
    for reservation in list(ec2.reservations.values()):
        ec2.reservations.pop(reservation.id)
    tokens: list[str] = []
    aws = stacked.open()
    call = aws.call

    def known(service: str, operation: str, *retries: RetryOn, **parameters: Any) -> Any:
        if operation == "run_instances":
            tokens.append(parameters["ClientToken"])
            if len(tokens) == 1:
                return answer
        return call(service, operation, *retries, **parameters)

    aws.call = known  # type: ignore[method-assign]
    apply(plan.make(stacked.graph(), aws), aws)
    assert len(set(tokens)) == len(tokens) == 2
    assert stacked.live("server").id != old
    assert stacked.plan().is_empty


QUOTAS = {
    "CreateVpc": "VpcLimitExceeded",
    "AllocateAddress": "AddressLimitExceeded",
    "RunInstances": "VcpuLimitExceeded",
    "CreateInternetGateway": "InternetGatewayLimitExceeded",
    "CreateDBInstance": "InstanceQuotaExceeded",
    "CreateRole": "LimitExceeded",
    "CreateBucket": "TooManyBuckets",
}


@pytest.mark.parametrize("operation", QUOTAS)
def test_a_quota_names_the_resource_the_code_and_the_way_out(account: Account, operation: str) -> None:
    refuse(account, operation, refusal(QUOTAS[operation], operation))
    with pytest.raises(FlowsteadError) as caught:
        account.apply()
    assert QUOTAS[operation] in str(caught.value)
    assert operation in str(caught.value)
    assert "Service Quotas" in str(caught.value)


def test_a_taken_bucket_name_names_the_key_to_change(account: Account) -> None:
    refuse(account, "CreateBucket", refusal("BucketAlreadyExists", "CreateBucket"))
    with pytest.raises(FlowsteadError, match=r"belongs to another account.*artifacts\.bucket"):
        account.apply()


def test_a_strangers_bucket_stops_the_plan(account: Account) -> None:
    refuse(account, "GetBucketTagging", refusal("AccessDenied", "GetBucketTagging"))
    with pytest.raises(AwsError, match=r"belongs to another account.*artifacts\.bucket"):
        account.plan()


def test_the_failure_of_one_holds_up_only_what_needs_it(account: Account) -> None:
    refuse(account, "RunInstances", refusal("InsufficientInstanceCapacity", "RunInstances"))
    with pytest.raises(AwsError, match="InsufficientInstanceCapacity"):
        account.apply()
    account.hooks.clear()
    assert account.live("database") is not None
    assert account.live("server_address") is None


def test_two_failures_are_both_told(account: Account) -> None:
    refuse(account, "RunInstances", refusal("InsufficientInstanceCapacity", "RunInstances"))
    refuse(account, "CreateDBInstance", refusal("StorageQuotaExceeded", "CreateDBInstance"))
    with pytest.raises(FlowsteadError, match=r"(?s)2 things failed.*instance server|database database"):
        account.apply()


CALLER: dict[str, tuple[Exception, str]] = {
    "none": (NoCredentialsError(), "aws configure"),
    "expired": (refusal("ExpiredToken", "GetCallerIdentity"), "aws sso login"),
    "wrong": (refusal("InvalidClientTokenId", "GetCallerIdentity"), "aws sts get-caller-identity"),
    "SSO over": (TokenRetrievalError(provider="sso", error_msg="expired"), "aws sso login"),
    "region": (EndpointConnectionError(endpoint_url="https://ec2.us-east-9.amazonaws.com"), REGION),
    "not enabled": (refusal("OptInRequired", "GetCallerIdentity"), "another one in deployment.yml"),
    "permission": (refusal("UnauthorizedOperation", "DescribeVpcs"), "permission for"),
}


@pytest.mark.parametrize("name", CALLER)
def test_what_is_wrong_with_the_caller_is_one_sentence_and_the_next_step(account: Account, name: str) -> None:
    error, step = CALLER[name]
    refuse(account, "GetCallerIdentity", error)
    with pytest.raises(AwsError) as caught:
        account.open().identity()
    assert step in caught.value.next_step
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 1


STEPS = {
    ("Blocked", ""): "AWS Support",
    ("IncorrectModificationState", ""): "after that",
    ("InvalidParameterCombination", "Cannot find version 99 for postgres"): "change that in deployment.yml",
    ("InvalidParameterValue", "Verify that you have permission to create service linked role."): (
        "iam:CreateServiceLinkedRole"
    ),
    ("PendingVerification", ""): "e-mail",
    ("RequestLimitExceeded", ""): "wait a minute",
    ("RequestTimeTooSkewed", ""): "clock",
    ("SlowDown", ""): "wait a minute",
    ("Unsupported", "not supported in your requested Availability Zone"): "change that in deployment.yml",
    ("VolumeModificationRateExceeded", ""): "server.volume_gib",
}


@pytest.mark.parametrize(("code", "text"), STEPS)
def test_the_next_step_is_one_that_helps(stacked: Account, code: str, text: str) -> None:
    refuse(stacked, "ModifyVolume", refusal(code, "ModifyVolume", text))
    with pytest.raises(AwsError) as caught:
        stacked.apply(server={"volume_gib": 60})
    assert STEPS[code, text] in caught.value.next_step
    assert "Service Quotas" not in caught.value.next_step


def test_wrong_credentials_are_told_once_not_for_each_resource(account: Account) -> None:
    for operation in ("DescribeVpcs", "DescribeSubnets", "GetRole", "DescribeDBInstances"):
        refuse(account, operation, refusal("ExpiredToken", operation))
    with pytest.raises(AwsError, match="ExpiredToken"):
        account.plan()


def test_every_missing_permission_is_told_at_once(account: Account) -> None:
    refuse(account, "DescribeVpcs", refusal("UnauthorizedOperation", "DescribeVpcs"))
    refuse(account, "GetRole", refusal("AccessDenied", "GetRole"))
    with pytest.raises(FlowsteadError, match=r"(?s)DescribeVpcs.*GetRole|GetRole.*DescribeVpcs"):
        account.plan()


def test_the_clock_decides_when_not_yet_is_never(account: Account) -> None:
    refuse(account, "DescribeVpcs", refusal("InvalidVpcID.NotFound", "DescribeVpcs"))
    clock = Clock()
    aws = account.open()
    aws._clock = clock
    with pytest.raises(AwsError):
        aws.call("ec2", "describe_vpcs", RetryOn(("InvalidVpcID.NotFound",), deadline_s=30))
    assert 30 <= clock.seconds < 40


def test_until_gives_up_with_words() -> None:
    aws = Aws(REGION, clock=Clock())
    with pytest.raises(AwsError, match=r"After 5 s, the moon .* the same command again"):
        aws.until(lambda: None, what="the moon being blue", deadline_s=5)


def test_a_question_is_asked_once_for_all(account: Account) -> None:
    aws = account.open()
    ask: Callable[[], int] = iter((1, 2)).__next__
    assert [aws.remembered("question", ask) for _ in range(3)] == [1, 1, 1]
    aws.forget()
    assert aws.remembered("question", ask) == 2


def test_calls_are_counted_by_what_they_do(account: Account) -> None:
    aws = account.open()
    aws.page("ec2", "describe_vpcs", "Vpcs")
    aws.call("ec2", "create_internet_gateway")
    assert (aws.reading_calls, aws.mutating_calls) == (1, 1)
