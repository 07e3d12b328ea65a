"""Container repositories, and the registry that container tools talk to; what keeps images is a stand-in."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import timedelta
from email.message import Message
from types import SimpleNamespace

import pytest
from asking import code_of, policy

from sandbox.web import HttpRequest


@pytest.fixture
def ecr(client):
    return client("ecr")


def test_a_repository_is_listed_by_its_tags(client, ecr, unique):
    tags = [{"Key": "of", "Value": unique}]
    arn = ecr.create_repository(repositoryName=f"team/{unique}", tags=tags)["repository"]["repositoryArn"]
    wanted = {"TagFilters": [{"Key": "of", "Values": [unique]}]}
    found = client("resourcegroupstaggingapi").get_resources(**wanted)["ResourceTagMappingList"]
    assert [one["ResourceARN"] for one in found] == [arn]


def test_a_policy_may_name_single_repositories(client, ecr, unique):
    for name in ("ours", "theirs"):
        ecr.create_repository(repositoryName=f"{unique}/{name}")
    arn = f"arn:aws:ecr:us-east-1:123456789012:repository/{unique}/ours"
    iam = client("iam")
    iam.create_user(UserName=unique)
    allowed = policy({"Effect": "Allow", "Action": "ecr:*", "Resource": arn})
    iam.put_user_policy(UserName=unique, PolicyName="p", PolicyDocument=allowed)
    key = iam.create_access_key(UserName=unique)["AccessKey"]
    mine = client("ecr", (key["AccessKeyId"], key["SecretAccessKey"]))
    assert mine.list_images(repositoryName=f"{unique}/ours")["imageIds"] == []
    assert mine.list_tags_for_resource(resourceArn=arn)["tags"] == []
    assert code_of(mine.list_images, repositoryName=f"{unique}/theirs") == "AccessDeniedException"
    assert code_of(mine.describe_repositories) == "AccessDeniedException"


def test_names_that_ecr_does_not_take_are_refused(ecr):
    assert code_of(ecr.create_repository, repositoryName="Team/MLflow") == "InvalidParameterException"


MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"size": 100, "digest": "sha256:" + "0" * 64},
        "layers": [{"size": 2000, "digest": "sha256:" + "1" * 64}],
    }
).encode()
OTHER = MANIFEST.replace(b"2000", b"3000")


@pytest.fixture
def repository(ecr, unique):
    ecr.create_repository(repositoryName=unique, imageTagMutability="IMMUTABLE")
    return unique


@pytest.fixture
def registry(cloud, ecr):
    """Ask the registry as a container tool does; gives status, the error's code, and the body."""

    def ask(method, path, body=b"", *, login=None):
        if login is None:
            (data,) = ecr.get_authorization_token()["authorizationData"]
            login = data["authorizationToken"]
        headers = Message()
        headers["Content-Type"] = "application/vnd.docker.distribution.manifest.v2+json"
        if login:
            headers["Authorization"] = f"Basic {login}"
        answer = cloud.infrastructure.registry.answer(
            HttpRequest(method, f"/v2/{path}", headers, body, "198.18.0.1", None)
        )
        said = json.loads(answer.body or b"{}")
        code = said["errors"][0]["code"] if "errors" in said else ""
        return SimpleNamespace(
            status=answer.status, code=code, body=answer.body, headers=dict(answer.headers)
        )

    return ask


@pytest.mark.parametrize(
    "login", ["", "bm9ib2R5", base64.b64encode(b"AWS:guess").decode(), "not base64"], ids=str
)
def test_without_a_token_of_ecr_nobody_gets_in(registry, repository, login):
    for path in ("", f"{repository}/manifests/1"):
        answer = registry("GET", path, login=login)
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
        assert answer.headers["Www-Authenticate"].startswith("Basic ")


def test_a_token_ends_after_twelve_hours(registry, repository, monkeypatch):
    assert registry("GET", "").status == 200
    monkeypatch.setattr("sandbox.mapping.registry.LIFETIME", timedelta(seconds=-1))
    answer = registry("GET", f"{repository}/tags/list")
    assert (answer.status, answer.code) == (403, "DENIED")


def test_what_was_pushed_is_listed_and_comes_back(registry, repository, ecr):
    assert registry("PUT", f"{repository}/manifests/1", MANIFEST).status == 201
    (image,) = ecr.describe_images(repositoryName=repository)["imageDetails"]
    assert image["imageDigest"] == f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"
    assert (image["imageTags"], image["imageSizeInBytes"]) == (["1"], 2100)
    assert registry("GET", f"{repository}/manifests/1").body == MANIFEST
    assert registry("GET", f"{repository}/manifests/{image['imageDigest']}").body == MANIFEST
    assert json.loads(registry("GET", f"{repository}/tags/list").body)["tags"] == ["1"]


def test_an_immutable_tag_stays_and_the_same_image_may_come_again(registry, repository):
    registry("PUT", f"{repository}/manifests/1", MANIFEST)
    refused = registry("PUT", f"{repository}/manifests/1", OTHER)
    assert (refused.status, refused.code) == (400, "TAG_INVALID")
    assert registry("GET", f"{repository}/manifests/1").body == MANIFEST
    assert registry("PUT", f"{repository}/manifests/1", MANIFEST).status == 201
    assert registry("PUT", f"{repository}/manifests/2", MANIFEST).status == 201


def test_a_mutable_tag_moves(registry, repository, ecr):
    ecr.put_image_tag_mutability(repositoryName=repository, imageTagMutability="MUTABLE")
    for manifest in (MANIFEST, OTHER):
        assert registry("PUT", f"{repository}/manifests/1", manifest).status == 201
    assert registry("GET", f"{repository}/manifests/1").body == OTHER


def test_what_is_deleted_is_gone_for_good(registry, repository, ecr):
    registry("PUT", f"{repository}/manifests/1", MANIFEST)
    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "1"}])
    assert ecr.list_images(repositoryName=repository)["imageIds"] == []
    assert registry("GET", f"{repository}/manifests/1").code == "MANIFEST_UNKNOWN"
    registry("PUT", f"{repository}/manifests/1", MANIFEST)
    assert code_of(ecr.delete_repository, repositoryName=repository) == "RepositoryNotEmptyException"
    ecr.delete_repository(repositoryName=repository, force=True)
    assert registry("GET", f"{repository}/manifests/1").code == "NAME_UNKNOWN"
    ecr.create_repository(repositoryName=repository)
    assert registry("GET", f"{repository}/manifests/1").code == "MANIFEST_UNKNOWN"


def test_images_go_from_the_real_registry_too(cloud, registry, repository, ecr):
    kept = cloud.infrastructure.registry.real.kept
    before = set(kept)
    registry("PUT", f"{repository}/manifests/1", MANIFEST)
    assert set(kept) - before
    ecr.delete_repository(repositoryName=repository, force=True)
    assert set(kept) == before


def test_a_tools_way_to_upload_leads_back_here(registry, repository):
    answer = registry("POST", f"{repository}/blobs/uploads/?mount=sha256:{'1' * 64}&from=secret/images")
    assert answer.headers["Location"].startswith(f"/v2/{repository}/blobs/uploads/")
    assert "secret" not in answer.headers["Location"]


def test_each_request_needs_its_permission(client, registry, repository):
    arn = f"arn:aws:ecr:us-east-1:123456789012:repository/{repository}"
    iam = client("iam")
    iam.create_user(UserName=repository)
    allowed = policy(
        {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
        {"Effect": "Allow", "Action": "ecr:BatchGetImage", "Resource": arn},
    )
    iam.put_user_policy(UserName=repository, PolicyName="p", PolicyDocument=allowed)
    key = iam.create_access_key(UserName=repository)["AccessKey"]
    reader = client("ecr", (key["AccessKeyId"], key["SecretAccessKey"]))
    login = reader.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    registry("PUT", f"{repository}/manifests/1", MANIFEST)
    assert registry("GET", f"{repository}/manifests/1", login=login).body == MANIFEST
    for method, path in (("PUT", "manifests/2"), ("POST", "blobs/uploads/"), ("GET", "tags/list")):
        assert registry(method, f"{repository}/{path}", OTHER, login=login).code == "DENIED"
