from __future__ import annotations

import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from email.message import Message

import pytest
from asking import code_of
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from sandbox.api import signature
from sandbox.api.signature import read_signature
from sandbox.web import HttpRequest

SECRET = "secret"


def signed(auth, service, url, *request_of):
    method, body, headers = (*request_of, *("GET", b"", None)[len(request_of) :])
    request = AWSRequest(method=method, url=f"https://host{url}", data=body, headers=headers or {})
    request.headers["Host"] = "host"
    auth(Credentials("AKIAKEY", SECRET), service, "us-east-1").add_auth(request)
    message = Message()
    for name, value in request.headers.items():
        message[name] = value
    return HttpRequest(method, url, message, body, "127.0.0.1", None)


@pytest.mark.parametrize(
    ("auth", "service", "url"),
    [
        (SigV4Auth, "ec2", "/"),
        (SigV4Auth, "tagging", "/service/x/operation/y?b=2&a=1&a=0"),
        (S3SigV4Auth, "s3", "/bucket/a%20b/%C3%BC%2B"),
        (S3SigV4Auth, "s3", "/bucket?list-type=2&prefix=a%2Fb%20c"),
    ],
)
def test_botocores_signatures_are_recognized(auth, service, url):
    request = signed(auth, service, url, "PUT", b"body")
    parts = read_signature(request)
    assert signature.is_valid(request, parts, SECRET)
    assert not signature.is_valid(request, parts, "other")
    request.target += "&x=1" if "?" in url else "?x=1"
    assert not signature.is_valid(request, parts, SECRET)


def test_another_body_than_the_signed_one_is_noticed():
    request = signed(S3SigV4Auth, "s3", "/bucket/key", "PUT", b"body", {"X-Amz-Content-SHA256": "x"})
    del request.headers["X-Amz-Content-SHA256"]
    request.headers["X-Amz-Content-SHA256"] = "0" * 64
    assert not signature.body_matches(request)


def test_old_and_future_signatures_are_refused():
    parts = read_signature(signed(SigV4Auth, "ec2", "/"))
    now = datetime.now(UTC)
    assert signature.is_timely(parts, now)
    assert not signature.is_timely(parts, now + timedelta(minutes=16))
    assert not signature.is_timely(parts, now - timedelta(minutes=16))


@pytest.mark.parametrize(
    ("service", "operation", "wrong_secret", "unknown_key"),
    [
        ("ec2", "describe_vpcs", "AuthFailure", "AuthFailure"),
        ("iam", "list_roles", "SignatureDoesNotMatch", "InvalidClientTokenId"),
        ("s3", "list_buckets", "SignatureDoesNotMatch", "InvalidAccessKeyId"),
        ("secretsmanager", "list_secrets", "SignatureDoesNotMatch", "UnrecognizedClientException"),
    ],
)
def test_bad_credentials_get_the_services_own_code(client, service, operation, wrong_secret, unknown_key):
    assert code_of(getattr(client(service, ("AKIAOPERATOROPERATOR", "wrong")), operation)) == wrong_secret
    assert code_of(getattr(client(service, ("AKIANOBODYNOBODYNOBO", "wrong")), operation)) == unknown_key


def test_a_presigned_address_works_without_credentials(client, unique):
    s3 = client("s3")
    s3.create_bucket(Bucket=unique)
    s3.put_object(Bucket=unique, Key="a b/ü", Body=b"content")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": unique, "Key": "a b/ü"}, ExpiresIn=60)
    assert urllib.request.urlopen(url).read() == b"content"  # noqa: S310 - our own server
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(url.replace("Expires=60", "Expires=9999"))  # noqa: S310 - our own server
    assert caught.value.code == 403
