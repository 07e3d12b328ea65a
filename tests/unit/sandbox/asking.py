"""What the tests of the control plane ask with: errors by their codes, policies, moto's objects."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from sandbox import account, amis

IMAGE = amis.images()[-1]["ami_id"]
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(principal):
    return policy({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})


def code_of(function, **arguments):
    with pytest.raises(ClientError) as caught:
        function(**arguments)
    return caught.value.response["Error"]["Code"]


def error_of(function, **arguments):
    with pytest.raises(ClientError) as caught:
        function(**arguments)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def instance_of(instance):
    return account.ec2("us-east-1").get_instance(instance["InstanceId"])


def database_of(identifier):
    return account.rds("us-east-1").databases[identifier]


def cluster_of(identifier):
    return account.rds("us-east-1").clusters[identifier]
