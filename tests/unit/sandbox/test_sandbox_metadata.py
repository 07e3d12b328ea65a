from __future__ import annotations

import json
import socket
import time
from email.message import Message
from types import SimpleNamespace

import pytest
from asking import TRUST

from sandbox import account, amis
from sandbox.corrections import profiles
from sandbox.mapping import metadata
from sandbox.mapping.metadata import Metadata
from sandbox.web import HttpRequest


@pytest.fixture
def ask(client, network, unique, monkeypatch):
    """Ask as the host of an instance with a role, a key and user data, that must use tokens."""
    monkeypatch.setattr(profiles, "DELAY_S", 0.0)
    iam = client("iam")
    iam.create_role(RoleName=unique, AssumeRolePolicyDocument=TRUST)
    iam.create_instance_profile(InstanceProfileName=unique)
    iam.add_role_to_instance_profile(InstanceProfileName=unique, RoleName=unique)
    client("ec2").create_key_pair(KeyName=unique, KeyType="ed25519")
    launched = client("ec2").run_instances(
        ImageId=amis.images()[0]["ami_id"],
        InstanceType="t3.small",
        MinCount=1,
        MaxCount=1,
        SubnetId=network.subnets[0],
        KeyName=unique,
        UserData="#cloud-config\n",
        IamInstanceProfile={"Name": unique},
        MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
    )["Instances"][0]
    instance = account.ec2("us-east-1").get_instance(launched["InstanceId"])
    service = Metadata(lambda address: instance if address == instance.private_ip else None)
    here, there = socket.socketpair()
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)

    def run(path, method="GET", peer=None, **headers):
        message = Message()
        for name, value in headers.items():
            message[name.replace("_", "-")] = value
        return service(HttpRequest(method, path, message, b"", peer or instance.private_ip, tcp))

    run.instance, run.connection = instance, tcp
    yield run
    for sock in (here, there, tcp):
        sock.close()


def token(ask, ttl_s="60"):
    return ask("/latest/api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds=ttl_s)


def read(ask, path):
    response = ask(f"/latest/{path}", X_aws_ec2_metadata_token=token(ask).body.decode())
    return response.status, response.body.decode()


def test_without_a_token_nothing_is_told(ask):
    assert ask("/latest/meta-data/instance-id").status == 401
    assert ask("/latest/meta-data/instance-id", X_aws_ec2_metadata_token="made-up").status == 401


def test_where_tokens_are_optional_none_is_needed_but_a_wrong_one_is_wrong(ask):
    ask.instance.metadata_options.http_tokens = "optional"
    assert ask("/latest/meta-data/instance-id").body.decode() == ask.instance.id
    assert ask("/latest/meta-data/instance-id", X_aws_ec2_metadata_token="made-up").status == 401


@pytest.mark.parametrize("ttl_s", ["", "0", "21601", "x"])
def test_a_token_needs_a_lifetime(ask, ttl_s):
    assert token(ask, ttl_s).status == 400


def test_a_token_is_not_given_through_a_proxy_and_not_for_a_get(ask):
    headers = {"X_aws_ec2_metadata_token_ttl_seconds": "60"}
    assert ask("/latest/api/token", "PUT", X_Forwarded_For="10.0.0.1", **headers).status == 403
    assert ask("/latest/api/token", **headers).status == 405


def test_a_token_ends(ask, monkeypatch):
    given = token(ask, "1").body.decode()
    now = time.monotonic()
    monkeypatch.setattr(metadata, "time", SimpleNamespace(monotonic=lambda: now + 2))
    assert ask("/latest/meta-data/", X_aws_ec2_metadata_token=given).status == 401


def test_the_answer_with_the_token_dies_after_the_hop_limit(ask):
    token(ask)
    assert ask.connection.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == 1


def test_a_host_learns_about_itself(ask, unique):
    assert read(ask, "meta-data/instance-id") == (200, ask.instance.id)
    assert read(ask, "meta-data/local-ipv4") == (200, ask.instance.private_ip)
    assert read(ask, "meta-data/placement/region") == (200, "us-east-1")
    assert read(ask, "user-data") == (200, "#cloud-config\n")
    assert read(ask, "meta-data/public-keys/") == (200, f"0={unique}")
    assert read(ask, "meta-data/public-keys/0/openssh-key")[1].startswith("ssh-")
    assert json.loads(read(ask, "dynamic/instance-identity/document")[1])["instanceId"] == ask.instance.id
    assert read(ask, "meta-data/none")[0] == 404
    assert "iam/" in read(ask, "meta-data/")[1].splitlines()


def test_nobody_else_learns_anything(ask):
    assert ask("/latest/meta-data/", peer="10.9.9.9").status == 404


def test_a_hosts_credentials_are_its_roles(ask, client, unique):
    assert read(ask, "meta-data/iam/security-credentials/") == (200, unique)
    given = json.loads(read(ask, f"meta-data/iam/security-credentials/{unique}")[1])
    sts = client("sts", (given["AccessKeyId"], given["SecretAccessKey"], given["Token"]))
    assert sts.get_caller_identity()["Arn"].endswith(f"assumed-role/{unique}/{ask.instance.id}")
    assert json.loads(read(ask, f"meta-data/iam/security-credentials/{unique}")[1])["Token"] == given["Token"]


def test_without_a_role_there_are_no_credentials(ask, client, unique):
    client("iam").remove_role_from_instance_profile(InstanceProfileName=unique, RoleName=unique)
    assert read(ask, "meta-data/iam/security-credentials/")[0] == 404
    client("iam").delete_instance_profile(InstanceProfileName=unique)
    assert read(ask, "meta-data/iam/info")[0] == 404


def test_a_switched_off_service_tells_nothing(ask):
    ask.instance.metadata_options.http_endpoint = "disabled"
    assert token(ask).status == 403
