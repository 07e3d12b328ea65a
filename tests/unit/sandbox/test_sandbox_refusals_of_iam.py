"""What AWS refuses of policies, roles and other accounts, moto does not."""

from __future__ import annotations

import json

from asking import TRUST, code_of, error_of, policy, trust

from sandbox import account

ROLE = "arn:aws:iam::123456789012:role/none"


def test_a_policy_names_who_is_there(client, unique):
    iam, secrets, s3 = client("iam"), client("secretsmanager"), client("s3")
    role = {"RoleName": unique, "AssumeRolePolicyDocument": trust({"AWS": [ROLE]})}
    assert error_of(iam.create_role, **role) == ("MalformedPolicyDocument", 400)
    arn = iam.create_role(RoleName=unique, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    change = {"RoleName": unique, "PolicyDocument": trust({"AWS": ROLE})}
    assert code_of(iam.update_assume_role_policy, **change) == "MalformedPolicyDocument"
    iam.update_assume_role_policy(RoleName=unique, PolicyDocument=trust({"AWS": arn}))

    def reader(name):
        return policy(
            {
                "Effect": "Allow",
                "Principal": {"AWS": name},
                "Action": ["s3:GetObject", "secretsmanager:GetSecretValue"],
                "Resource": f"arn:aws:s3:::{unique}/*",
            }
        )

    s3.create_bucket(Bucket=unique)
    assert error_of(s3.put_bucket_policy, Bucket=unique, Policy=reader(ROLE)) == ("MalformedPolicy", 400)
    s3.put_bucket_policy(Bucket=unique, Policy=reader(arn))
    secrets.create_secret(Name=unique, SecretString="1")
    of_secret = {"SecretId": unique, "ResourcePolicy": reader(ROLE)}
    assert code_of(secrets.put_resource_policy, **of_secret) == "MalformedPolicyDocumentException"
    secrets.put_resource_policy(SecretId=unique, ResourcePolicy=reader(arn))


def test_a_roles_inline_policies_have_a_size_together_without_white_space(client, unique):
    iam = client("iam")
    iam.create_role(RoleName=unique, AssumeRolePolicyDocument=TRUST)

    def put(name, letters, blanks=0):
        text = policy(
            {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::" + "x" * letters}
        )
        iam.put_role_policy(RoleName=unique, PolicyName=name, PolicyDocument=text + " " * blanks)

    put("first", 6000, blanks=10_000)
    assert error_of(put, name="second", letters=6000) == ("LimitExceeded", 409)
    put("first", 2000)
    put("second", 6000)


def test_tags_of_iam_differ_in_more_than_case(client, unique):
    iam = client("iam")
    tags = [{"Key": "Name", "Value": "1"}, {"Key": "name", "Value": "2"}]
    assert error_of(iam.create_instance_profile, InstanceProfileName=unique, Tags=tags) == (
        "InvalidInput",
        400,
    )
    iam.create_instance_profile(InstanceProfileName=unique, Tags=tags[:1])
    iam.create_role(RoleName=unique, AssumeRolePolicyDocument=TRUST, Tags=tags[:1])
    assert code_of(iam.tag_role, RoleName=unique, Tags=tags) == "InvalidInput"
    iam.tag_role(RoleName=unique, Tags=tags[1:])
    iam.tag_instance_profile(InstanceProfileName=unique, Tags=tags[1:])
    assert iam.list_role_tags(RoleName=unique)["Tags"] == tags[1:]
    assert iam.get_instance_profile(InstanceProfileName=unique)["InstanceProfile"]["Tags"] == tags[1:]


def session_of(account_id, name, statement):
    """Return credentials of a role in any account with one statement in its policy."""
    with account.lock:
        iam = account.iam(account_id)
        role = iam.create_role(name, TRUST, "/", None, "", [], None)
        iam.put_role_policy(name, "p", policy(statement))
        session = account.sts().assume_role("us-east-1", "s", role.arn, "", 3600, "")
    return role.arn, (session.access_key_id, session.secret_access_key, session.session_token)


def test_other_accounts_need_leave_on_both_sides(client, unique):
    s3, key = client("s3"), {"Bucket": unique, "Key": "k"}
    s3.create_bucket(Bucket=unique)
    s3.put_object(**key, Body=b"1")
    reads = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{unique}/*"}
    other = "999999999999"
    arn, allowed = session_of(other, unique, reads)
    silent_arn, silent = session_of(other, f"{unique}-silent", reads | {"Action": "s3:PutObject"})
    assert code_of(client("s3", allowed).get_object, **key) == "AccessDenied"
    for names in ([arn, silent_arn], other):
        s3.put_bucket_policy(Bucket=unique, Policy=policy(reads | {"Principal": {"AWS": names}}))
        assert client("s3", allowed).get_object(**key)["Body"].read() == b"1"
        assert code_of(client("s3", silent).get_object, **key) == "AccessDenied"


def test_naming_the_account_leaves_the_decision_to_its_own_policies(client, unique):
    s3, key = client("s3"), {"Bucket": unique, "Key": "k"}
    s3.create_bucket(Bucket=unique)
    s3.put_object(**key, Body=b"1")
    reads = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{unique}/*"}
    arn, mine = session_of(account.ACCOUNT_ID, unique, reads | {"Action": "s3:PutObject"})
    s3.put_bucket_policy(Bucket=unique, Policy=policy(reads | {"Principal": {"AWS": account.ACCOUNT_ID}}))
    assert code_of(client("s3", mine).get_object, **key) == "AccessDenied"
    s3.put_bucket_policy(Bucket=unique, Policy=policy(reads | {"Principal": {"AWS": arn}}))
    assert client("s3", mine).get_object(**key)["Body"].read() == b"1"


def test_a_role_is_assumed_by_whom_it_trusts(client, unique):
    iam, assume = client("iam"), client("sts").assume_role
    arn = iam.create_role(RoleName=unique, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    wanted = {"RoleArn": arn, "RoleSessionName": "me"}
    assert error_of(assume, **wanted) == ("AccessDenied", 403)
    trusted = json.loads(trust({"AWS": "arn:aws:iam::123456789012:root"}))
    iam.update_assume_role_policy(RoleName=unique, PolicyDocument=json.dumps(trusted))
    assert assume(**wanted)["AssumedRoleUser"]["Arn"].endswith(f"{unique}/me")
    trusted["Statement"][0]["Condition"] = {"StringEquals": {"sts:ExternalId": "mine"}}
    iam.update_assume_role_policy(RoleName=unique, PolicyDocument=json.dumps(trusted))
    assert error_of(assume, **wanted) == ("AccessDenied", 403)
    assume(**wanted, ExternalId="mine")
