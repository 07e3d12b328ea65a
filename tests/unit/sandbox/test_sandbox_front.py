from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from asking import code_of
from botocore.exceptions import ConnectionClosedError

from sandbox.api.call_log import read
from sandbox.api.faults import Fault


def test_every_call_is_logged_in_order(cloud, client, unique):
    first = len(read(cloud.log))
    client("sts").get_caller_identity()
    client("s3").create_bucket(Bucket=unique)
    code_of(client("s3").head_object, Bucket=unique, Key="none")
    entries = read(cloud.log)[first:]
    assert [(e.principal, e.service, e.action, e.status) for e in entries] == [
        ("operator", "sts", "GetCallerIdentity", 200),
        ("operator", "s3", "CreateBucket", 200),
        ("operator", "s3", "HeadObject", 404),
    ]
    assert [e.number for e in entries] == list(range(first + 1, first + 4))


def test_the_operator_is_a_named_user(client):
    assert client("sts").get_caller_identity()["Arn"] == "arn:aws:iam::123456789012:user/operator"


@pytest.mark.parametrize("path", ["/moto-api/reset", "/moto-api/data.json"])
def test_motos_own_interface_is_closed(cloud, path):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(cloud.endpoint + path, method="POST"))  # noqa: S310 - our own server
    assert caught.value.code == 403


def test_an_unsigned_call_is_refused(cloud):
    body = b"Action=DescribeVpcs&Version=2016-11-15"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(cloud.endpoint, data=body)  # noqa: S310 - our own server
    assert caught.value.code == 403
    assert b"MissingAuthenticationToken" in caught.value.read()


def test_a_fault_meets_the_calls_it_names_and_no_others(cloud, client):
    cloud.faults.add(
        Fault(service="ec2", action="DescribeV*", code="RequestLimitExceeded", status=503, times=2, skip=1)
    )
    ec2 = client("ec2")
    ec2.describe_vpcs()
    ec2.describe_subnets()
    assert [code_of(ec2.describe_vpcs), code_of(ec2.describe_volumes)] == ["RequestLimitExceeded"] * 2
    ec2.describe_vpcs()


def test_a_fault_can_lose_the_answer_of_a_call_that_took_effect(cloud, client, unique):
    cloud.faults.add(Fault(service="s3", action="CreateBucket", drop=True, after=True))
    with pytest.raises(ConnectionClosedError):
        client("s3").create_bucket(Bucket=unique)
    assert unique in [bucket["Name"] for bucket in client("s3").list_buckets()["Buckets"]]


@pytest.mark.parametrize("service", ["ec2", "iam", "rds", "secretsmanager"])
def test_errors_are_written_as_each_service_writes_them(cloud, client, service):
    operation = {
        "ec2": "describe_vpcs",
        "iam": "list_roles",
        "rds": "describe_db_instances",
        "secretsmanager": "list_secrets",
    }
    cloud.faults.add(Fault(service=service, code="Thrown", status=400))
    assert code_of(getattr(client(service), operation[service])) == "Thrown"
