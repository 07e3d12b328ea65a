from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from asking import TRUST, code_of, policy
from botocore.exceptions import ClientError

from sandbox import account
from sandbox.api import principals


@pytest.fixture
def server(client, unique):
    """A role like a tracking server's, its bucket and its secret; returns clients of a session of it."""
    s3, secrets = client("s3"), client("secretsmanager")
    s3.create_bucket(Bucket=unique)
    s3.create_bucket(Bucket=f"{unique}-other")
    mine = secrets.create_secret(Name=f"{unique}/mine", SecretString="1")["ARN"]
    secrets.create_secret(Name=f"{unique}/other", SecretString="1")
    client("iam").create_role(RoleName=unique, AssumeRolePolicyDocument=TRUST)
    document = policy(
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
            "Resource": f"arn:aws:s3:::{unique}/artifacts/*",
        },
        {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": f"arn:aws:s3:::{unique}",
            "Condition": {"StringLike": {"s3:prefix": "artifacts/*"}},
        },
        {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": mine},
    )
    client("iam").put_role_policy(RoleName=unique, PolicyName="p", PolicyDocument=document)
    session = account.sts().assume_role(
        "us-east-1", "i-1", f"arn:aws:iam::123456789012:role/{unique}", "", 3600, ""
    )
    credentials = (session.access_key_id, session.secret_access_key, session.session_token)
    return lambda service: client(service, credentials)


def test_a_role_reaches_its_prefix_and_nothing_else(server, unique):
    s3 = server("s3")
    s3.put_object(Bucket=unique, Key="artifacts/a", Body=b"1")
    assert s3.get_object(Bucket=unique, Key="artifacts/a")["Body"].read() == b"1"
    assert s3.list_objects_v2(Bucket=unique, Prefix="artifacts/")["KeyCount"] == 1
    assert code_of(s3.put_object, Bucket=unique, Key="a", Body=b"1") == "AccessDenied"
    assert code_of(s3.list_objects_v2, Bucket=unique) == "AccessDenied"
    assert code_of(s3.list_objects_v2, Bucket=f"{unique}-other", Prefix="artifacts/") == "AccessDenied"
    assert code_of(s3.list_buckets) == "AccessDenied"


def test_each_key_of_a_deletion_is_judged_by_itself(server, client, unique):
    client("s3").put_object(Bucket=unique, Key="kept", Body=b"1")
    server("s3").put_object(Bucket=unique, Key="artifacts/a", Body=b"1")
    answer = server("s3").delete_objects(
        Bucket=unique, Delete={"Objects": [{"Key": "artifacts/a"}, {"Key": "kept"}]}
    )
    assert [(e["Key"], e["Code"]) for e in answer["Errors"]] == [("kept", "AccessDenied")]
    assert [o["Key"] for o in client("s3").list_objects_v2(Bucket=unique)["Contents"]] == ["kept"]


def test_a_missing_key_is_hidden_from_whoever_may_not_list(server, client, unique):
    assert code_of(server("s3").get_object, Bucket=unique, Key="artifacts/none") == "AccessDenied"
    assert code_of(client("s3").get_object, Bucket=unique, Key="artifacts/none") == "NoSuchKey"


def test_a_copy_needs_the_source_too(server, client, unique):
    client("s3").put_object(Bucket=f"{unique}-other", Key="x", Body=b"1")
    copy = server("s3").copy_object
    arguments = {
        "Bucket": unique,
        "Key": "artifacts/x",
        "CopySource": {"Bucket": f"{unique}-other", "Key": "x"},
    }
    assert code_of(copy, **arguments) == "AccessDenied"


def test_secrets_are_allowed_by_arn_however_they_are_named(server, unique):
    secrets = server("secretsmanager")
    assert secrets.get_secret_value(SecretId=f"{unique}/mine")["SecretString"] == "1"
    assert code_of(secrets.get_secret_value, SecretId=f"{unique}/other") == "AccessDeniedException"
    assert code_of(secrets.describe_secret, SecretId=f"{unique}/mine") == "AccessDeniedException"
    assert code_of(secrets.list_secrets) == "AccessDeniedException"


def test_a_role_asks_nothing_else_of_aws(server):
    assert code_of(server("ec2").describe_instances) == "UnauthorizedOperation"
    assert code_of(server("rds").describe_db_instances) == "AccessDenied"
    assert server("sts").get_caller_identity()["Arn"].endswith("/i-1")


def test_a_session_ends(server, unique):
    session = account.sts().assumed_roles[-1]
    session.expiration -= timedelta(hours=2)
    assert code_of(server("sts").get_caller_identity) == "ExpiredToken"
    assert code_of(server("s3").list_objects_v2, Bucket=unique, Prefix="artifacts/") == "ExpiredToken"
    assert code_of(server("secretsmanager").list_secrets) == "ExpiredTokenException"


def test_a_users_temporary_credentials_work_and_end(client):
    given = client("sts").get_session_token(DurationSeconds=900)["Credentials"]
    mine = (given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    assert client("sts", mine).get_caller_identity()["Arn"] == client("sts").get_caller_identity()["Arn"]
    assert client("s3", mine).list_buckets()["Buckets"] == client("s3").list_buckets()["Buckets"]
    assert code_of(client("iam", mine).list_users) == "InvalidClientTokenId"
    assert code_of(client("sts", mine).get_session_token) == "AccessDenied"
    known = principals._of_users
    known[mine[0]] = replace(known[mine[0]], expires=known[mine[0]].expires - timedelta(hours=1))
    assert code_of(client("s3", mine).list_buckets) == "ExpiredToken"


@pytest.mark.usefixtures("server")
def test_a_wrong_session_token_is_refused(client):
    session = account.sts().assumed_roles[-1]
    wrong = (session.access_key_id, session.secret_access_key, "wrong")
    assert code_of(client("s3", wrong).list_buckets) == "InvalidToken"
    assert code_of(client("sts", wrong).get_caller_identity) == "InvalidClientTokenId"


def test_a_user_may_what_its_policies_say_and_passing_a_role_is_one_of_them(client, unique):
    iam = client("iam")
    iam.create_user(UserName=unique)
    key = iam.create_access_key(UserName=unique)["AccessKey"]
    mine = (key["AccessKeyId"], key["SecretAccessKey"])
    assert code_of(client("ec2", mine).create_vpc, CidrBlock="10.0.0.0/16") == "UnauthorizedOperation"
    document = policy({"Effect": "Allow", "Action": ["ec2:*", "iam:*Profile*"], "Resource": "*"})
    iam.put_user_policy(UserName=unique, PolicyName="p", PolicyDocument=document)
    client("ec2", mine).create_vpc(CidrBlock="10.0.0.0/16")
    iam.create_role(RoleName=unique, AssumeRolePolicyDocument=TRUST)
    client("iam", mine).create_instance_profile(InstanceProfileName=unique)
    with pytest.raises(ClientError, match="iam:PassRole"):
        client("iam", mine).add_role_to_instance_profile(InstanceProfileName=unique, RoleName=unique)


@pytest.mark.parametrize(("service", "is_allowed"), [("ec2", True), ("ecs", False)])
def test_a_role_is_passed_to_the_service_that_the_policy_names(client, unique, service, is_allowed):
    iam = client("iam")
    iam.create_user(UserName=unique)
    key = iam.create_access_key(UserName=unique)["AccessKey"]
    passing = {
        "Effect": "Allow",
        "Action": "iam:PassRole",
        "Resource": "*",
        "Condition": {"StringEquals": {"iam:PassedToService": f"{service}.amazonaws.com"}},
    }
    profiles = {"Effect": "Allow", "Action": "iam:*Profile*", "Resource": "*"}
    iam.put_user_policy(UserName=unique, PolicyName="p", PolicyDocument=policy(passing, profiles))
    iam.create_role(RoleName=unique, AssumeRolePolicyDocument=TRUST)
    iam.create_instance_profile(InstanceProfileName=unique)
    add = client("iam", (key["AccessKeyId"], key["SecretAccessKey"])).add_role_to_instance_profile
    if is_allowed:
        add(InstanceProfileName=unique, RoleName=unique)
    else:
        assert code_of(add, InstanceProfileName=unique, RoleName=unique) == "AccessDenied"


def test_a_deny_without_tls_leaves_tls_alone(client, unique):
    s3 = client("s3")
    s3.create_bucket(Bucket=unique)
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{unique}", f"arn:aws:s3:::{unique}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    s3.put_bucket_policy(Bucket=unique, Policy=policy(statement))
    s3.put_object(Bucket=unique, Key="k", Body=b"1")
    del statement["Condition"]
    s3.put_bucket_policy(Bucket=unique, Policy=policy(statement | {"Action": "s3:GetObject"}))
    assert code_of(s3.get_object, Bucket=unique, Key="k") == "AccessDenied"


@pytest.fixture
def chained(server, client, unique):
    """A second role that the server's may take; returns its name and what takes it."""
    name = f"{unique}-2"
    trust = policy(
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::123456789012:role/{unique}"},
            "Action": "sts:AssumeRole",
        }
    )
    arn = client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": f"arn:aws:s3:::{unique}/two/*"}
    client("iam").put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(statement))

    def take(of=server, **more):
        credentials = of("sts").assume_role(RoleArn=arn, RoleSessionName="one", **more)["Credentials"]
        keys = ("AccessKeyId", "SecretAccessKey", "SessionToken")
        return lambda service: client(service, tuple(credentials[key] for key in keys))

    return name, take


def test_a_role_that_another_takes_has_its_own_rights_and_not_the_others(chained, unique):
    name, take = chained
    mine = take()
    assert mine("sts").get_caller_identity()["Arn"].endswith(f":assumed-role/{name}/one")
    mine("s3").put_object(Bucket=unique, Key="two/a", Body=b"1")
    assert code_of(mine("s3").put_object, Bucket=unique, Key="artifacts/a", Body=b"1") == "AccessDenied"
    get = mine("secretsmanager").get_secret_value
    assert code_of(get, SecretId=f"{unique}/mine") == "AccessDeniedException"


def test_a_sessions_own_policy_narrows_it(chained, unique):
    statement = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{unique}/two/b"}
    narrow = chained[1](Policy=policy(statement))("s3")
    narrow.put_object(Bucket=unique, Key="two/b", Body=b"1")
    assert code_of(narrow.put_object, Bucket=unique, Key="two/a", Body=b"1") == "AccessDenied"


def test_whom_the_trust_policy_does_not_name_takes_no_role(chained, client, unique):
    _, take = chained
    mine = take()
    assert code_of(take, of=mine) == "AccessDenied"
    iam = client("iam")
    iam.create_user(UserName=unique)
    key = iam.create_access_key(UserName=unique)["AccessKey"]
    everything = policy({"Effect": "Allow", "Action": "*", "Resource": "*"})
    iam.put_user_policy(UserName=unique, PolicyName="p", PolicyDocument=everything)
    stranger = (key["AccessKeyId"], key["SecretAccessKey"])
    assert code_of(take, of=lambda service: client(service, stranger)) == "AccessDenied"


def test_a_session_taken_in_a_session_lasts_an_hour_at_most(chained, client):
    name, take = chained
    client("iam").update_role(RoleName=name, MaxSessionDuration=7200)
    assert code_of(take, DurationSeconds=3601) == "ValidationError"
    take(DurationSeconds=3600)


@pytest.fixture
def add_only(server, client, unique):
    """S3 for the server, whose role may add objects, and replace none."""
    denied = {
        "Effect": "Deny",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{unique}/artifacts/*",
        "Condition": {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}},
    }
    client("iam").put_role_policy(RoleName=unique, PolicyName="add", PolicyDocument=policy(denied))
    return server("s3")


def test_a_write_that_must_not_replace_is_refused_without_the_header(add_only, unique):
    s3, there = add_only, {"Bucket": unique, "Key": "artifacts/a"}
    assert code_of(s3.put_object, **there, Body=b"1") == "AccessDenied"
    s3.put_object(**there, Body=b"1", IfNoneMatch="*")
    assert code_of(s3.put_object, **there, Body=b"2", IfNoneMatch="*") == "PreconditionFailed"
    source = {"Bucket": unique, "Key": "artifacts/a"}
    assert code_of(s3.copy_object, Bucket=unique, Key="artifacts/b", CopySource=source) == "AccessDenied"


def test_an_upload_in_parts_says_at_its_end_that_it_must_not_replace(add_only, unique):
    s3, there = add_only, {"Bucket": unique, "Key": "artifacts/a"}
    upload = {**there, "UploadId": s3.create_multipart_upload(**there)["UploadId"]}
    etag = s3.upload_part(**upload, PartNumber=1, Body=b"1")["ETag"]
    parts = {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": etag}]}}
    assert code_of(s3.complete_multipart_upload, **upload, **parts) == "AccessDenied"
    s3.complete_multipart_upload(**upload, **parts, IfNoneMatch="*")
    assert s3.get_object(**there)["Body"].read() == b"1"
