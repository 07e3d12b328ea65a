"""The bucket that keeps artifacts and models."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from provisioner.aws import Aws, RetryOn
from provisioner.errors import AwsError
from provisioner.resources.base import Live, Resource, Teardown
from provisioner.resources.iam.policy import Policy, as_policy, document, is_same_policy
from provisioner.resources.refusals import foreign
from provisioner.resources.s3.lifecycle_rules import (
    PROJECT_RULES,
    Expiry,
    deletes,
    is_same_rule,
    prefix_of,
    shown,
)
from provisioner.resources.setting import Setting
from provisioner.resources.state import State
from provisioner.resources.tags import as_items, as_tags

_ABSENT = ("NoSuchBucket", "404", "NotFound")
_ENCRYPTION = "AES256"
"""With S3's own keys; with another's key, whoever takes that key away takes the artifacts away."""
_OWNERSHIP = "BucketOwnerEnforced"
"""Nobody but policies decides who may what; ACLs are off. The default of new buckets, said all the same:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html"""
_BATCH = 1000
"""DeleteObjects takes no more: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html"""

_CLOSED = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}


@dataclass(frozen=True, eq=False)
class Bucket(Resource):
    """An S3 bucket: closed to the public, without ACLs, TLS only, encrypted, versioned.

    Every object is encrypted since January 2023, and nobody can turn it off
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/default-encryption-faq.html);
    the key can be changed.

    Args:
        bucket_name: its name, one in all of AWS.
        account_id: who must own it: a name may be taken by a stranger.
        lifecycle: what expires, folder by folder: where two rules meet, S3 goes by the shorter time.

    """

    kind: ClassVar[str] = "bucket"
    listed_as: ClassVar[str] = "s3"
    holds_data: ClassVar[bool] = True

    bucket_name: str
    account_id: str
    lifecycle: tuple[Expiry, ...]

    @property
    def arn(self) -> str:
        """Its ARN, known before it is made."""
        return f"arn:aws:s3:::{self.bucket_name}"

    def _mine(self, id_: str = "") -> dict[str, str]:
        return {"Bucket": id_ or self.bucket_name, "ExpectedBucketOwner": self.account_id}

    def find(self, aws: Aws) -> Live | None:
        """Look it up by its name; owner and tags must be ours."""
        try:
            tagging = aws.call_or(_ABSENT, "s3", "get_bucket_tagging", **self._mine())
        except AwsError as error:
            if error.code == "NoSuchTagSet":
                return self._untagged(aws)
            if error.code in {"AccessDenied", "403", "PermanentRedirect"}:
                raise self._taken(error) from error
            raise
        if tagging is None:
            return None
        tags = as_tags(tagging["TagSet"])
        if not self.owns(tags):
            raise foreign(self, f"the bucket {self.bucket_name}", tags)
        return Live(id=self.bucket_name, arn=self.arn, facts=self._facts(aws), tags=tags)

    def at(self, aws: Aws, id_: str) -> Live | None:
        """Look at one by its name: its tags only."""
        answer = aws.call_or((*_ABSENT, "NoSuchTagSet"), "s3", "get_bucket_tagging", **self._mine(id_))
        return Live(id=id_, arn=f"arn:aws:s3:::{id_}", tags=as_tags(answer["TagSet"])) if answer else None

    def _untagged(self, aws: Aws) -> Live:
        """Judge a bucket without tags: ours if the account's and empty, as a killed run leaves it."""
        answer = aws.call("s3", "list_object_versions", MaxKeys=1, **self._mine())
        if answer.get("Versions") or answer.get("DeleteMarkers"):
            raise foreign(self, f"the bucket {self.bucket_name}", {})
        return Live(id=self.bucket_name, arn=self.arn, facts=self._facts(aws), tags={})

    def _taken(self, error: AwsError) -> AwsError:
        return AwsError(
            f"the bucket {self.bucket_name} belongs to another account, or is closed to you. {error.message}",
            code=error.code,
            operation=error.operation,
            next_step="Set artifacts.bucket in deployment.yml to a free name, or check your permissions.",
        )

    def _facts(self, aws: Aws) -> dict[str, Any]:
        encryption = aws.call_or(
            ("ServerSideEncryptionConfigurationNotFoundError",), "s3", "get_bucket_encryption", **self._mine()
        )
        policy = aws.call_or(("NoSuchBucketPolicy",), "s3", "get_bucket_policy", **self._mine())
        closed = aws.call_or(
            ("NoSuchPublicAccessBlockConfiguration",), "s3", "get_public_access_block", **self._mine()
        )
        lifecycle = aws.call_or(
            ("NoSuchLifecycleConfiguration",), "s3", "get_bucket_lifecycle_configuration", **self._mine()
        )
        ownership = aws.call_or(
            ("OwnershipControlsNotFoundError",), "s3", "get_bucket_ownership_controls", **self._mine()
        )
        rules = ownership["OwnershipControls"]["Rules"] if ownership else []
        return {
            "ownership": rules[0]["ObjectOwnership"] if rules else "ObjectWriter",
            "encryption": _key(encryption),
            "versioning": aws.call("s3", "get_bucket_versioning", **self._mine()).get("Status", "off"),
            "policy": as_policy(policy["Policy"]) if policy else None,
            "closed": (closed or {}).get("PublicAccessBlockConfiguration", {}),
            "lifecycle": (lifecycle or {}).get("Rules", []),
        }

    @property
    def _policy(self) -> Policy:
        """Nobody without TLS."""
        return document(
            [
                {
                    "Sid": "OnlyOverTls",
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "s3:*",
                    "Resource": [self.arn, f"{self.arn}/*"],
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                }
            ]
        )

    def settings(self, live: Live, state: State) -> Iterable[Setting]:
        """Every part of it; lifecycle rules that the user adds are left alone."""
        facts = live.facts
        yield Setting(
            "public access",
            "blocked" if facts["closed"] == _CLOSED else "not blocked",
            "blocked",
            self._close,
        )
        yield Setting("ownership of objects", facts["ownership"], _OWNERSHIP, self._own)
        yield Setting("versioning", facts["versioning"], "Enabled", self._version)
        yield Setting("encryption", facts["encryption"], _ENCRYPTION, self._encrypt)
        for expiry in self.lifecycle:
            wanted = expiry.as_data()
            rule = next((one for one in facts["lifecycle"] if one.get("ID") == expiry.rule), None)
            is_wanted = rule is not None and is_same_rule(rule, wanted)
            yield Setting(
                expiry.shown,
                shown(rule),
                shown(wanted),
                self._expire,
                is_wanted=is_wanted,
            )
        own = {one.rule for one in self.lifecycle}
        for rule in facts["lifecycle"]:
            if rule.get("ID", "").startswith(PROJECT_RULES) and rule["ID"] not in own:
                yield Setting(f"lifecycle rule {rule['ID']}", shown(rule), "none", self._expire)
        policy = facts["policy"]
        yield Setting(
            "policy",
            json.dumps(policy) if policy else "none",
            "TLS only",
            self._put_policy,
            is_wanted=policy is not None and is_same_policy(policy, self._policy),
        )

    def notices(self, live: Live, state: State) -> tuple[str, ...]:
        """Tell of others' lifecycle rules that delete what a deployment keeps: somebody may want them."""
        return tuple(
            f"{self} {live.id} has the lifecycle rule {rule.get('ID', '')!r}, which deletes what is "
            f"under {prefix_of(rule) or '/'}, artifacts or backups among it"
            for rule in self._others(live)
            if rule["Status"] == "Enabled"
            and deletes(rule)
            and any(
                f"{one.prefix}/".startswith(prefix_of(rule)) or prefix_of(rule).startswith(f"{one.prefix}/")
                for one in self.lifecycle
            )
        )

    def _others(self, live: Live) -> list[dict[str, Any]]:
        own = {one.rule for one in self.lifecycle}
        return [
            rule
            for rule in live.facts["lifecycle"]
            if rule.get("ID") not in own and not rule.get("ID", "").startswith(PROJECT_RULES)
        ]

    def _close(self, aws: Aws, _: Live, __: Mapping[str, Any]) -> None:
        aws.call("s3", "put_public_access_block", PublicAccessBlockConfiguration=_CLOSED, **self._mine())

    def _own(self, aws: Aws, _: Live, __: Mapping[str, Any]) -> None:
        """Turn ACLs off; S3 refuses it while one of them lets others in."""
        rule = {"ObjectOwnership": _OWNERSHIP}
        aws.call("s3", "put_bucket_acl", ACL="private", **self._mine())
        aws.call("s3", "put_bucket_ownership_controls", OwnershipControls={"Rules": [rule]}, **self._mine())

    def _version(self, aws: Aws, _: Live, __: Mapping[str, Any]) -> None:
        status = {"Status": "Enabled"}
        aws.call("s3", "put_bucket_versioning", VersioningConfiguration=status, **self._mine())

    def _encrypt(self, aws: Aws, _: Live, __: Mapping[str, Any]) -> None:
        rule = {
            "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": _ENCRYPTION},
            "BucketKeyEnabled": False,
        }
        encryption = {"Rules": [rule]}
        aws.call("s3", "put_bucket_encryption", ServerSideEncryptionConfiguration=encryption, **self._mine())

    def _expire(self, aws: Aws, live: Live, _: Mapping[str, Any]) -> None:
        rules = [*self._others(live), *(one.as_data() for one in self.lifecycle)]
        lifecycle = {"Rules": rules}
        aws.call("s3", "put_bucket_lifecycle_configuration", LifecycleConfiguration=lifecycle, **self._mine())

    def _put_policy(self, aws: Aws, _: Live, __: Mapping[str, Any]) -> None:
        aws.call("s3", "put_bucket_policy", Policy=json.dumps(self._policy), **self._mine())

    def create(self, aws: Aws, state: State) -> Live:
        """Make the bucket, tagged in the create call.

        AWS takes tags of a new bucket in any region; us-east-1 has no name as a place.
        """
        configuration: dict[str, Any] = {"Tags": as_items(self.tags)}
        if aws.region != "us-east-1":
            configuration["LocationConstraint"] = aws.region
        try:
            aws.call_or(
                ("BucketAlreadyOwnedByYou",),
                "s3",
                "create_bucket",
                RetryOn(("OperationAborted",)),
                Bucket=self.bucket_name,
                CreateBucketConfiguration=configuration,
                ObjectOwnership=_OWNERSHIP,
            )
        except AwsError as error:
            if error.code == "BucketAlreadyExists":
                raise self._taken(error) from error
            raise
        aws.wait("s3", "bucket_exists", deadline_s=60, Bucket=self.bucket_name)
        return self.found(aws)

    def retag(self, aws: Aws, live: Live, tags: Mapping[str, str | None], /) -> None:
        """Set these tags, and remove those that are None; S3 replaces all, so the others are given again."""
        left = {key: value for key, value in {**live.tags, **tags}.items() if value is not None}
        aws.call("s3", "put_bucket_tagging", Tagging={"TagSet": as_items(left)}, **self._mine())

    def is_spared(self, live: Live, teardown: Teardown) -> bool:
        """Keep it unless told otherwise."""
        return teardown.keep_data

    def remains(self, live: Live, teardown: Teardown) -> str:
        """Say that it stays."""
        return f"bucket {live.id} with everything in it" if teardown.keep_data else ""

    def delete(self, aws: Aws, live: Live, teardown: Teardown) -> None:
        """Empty it, old versions and unfinished uploads too, and delete it."""
        mine = self._mine(live.id)
        if aws.call_or(_ABSENT, "s3", "get_bucket_versioning", **mine) is None:
            return
        _empty(aws, mine)
        aws.call_or(_ABSENT, "s3", "delete_bucket", RetryOn(("OperationAborted",)), **mine)
        aws.wait("s3", "bucket_not_exists", deadline_s=60, Bucket=live.id)


def _empty(aws: Aws, mine: Mapping[str, str]) -> None:
    for upload in aws.call("s3", "list_multipart_uploads", **mine).get("Uploads", []):
        aws.call_or(
            ("NoSuchUpload",),
            "s3",
            "abort_multipart_upload",
            Key=upload["Key"],
            UploadId=upload["UploadId"],
            **mine,
        )
    while True:
        page = aws.call("s3", "list_object_versions", MaxKeys=_BATCH, **mine)
        items = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if not items:
            return
        objects = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in items]
        answer = aws.call("s3", "delete_objects", Delete={"Objects": objects, "Quiet": True}, **mine)
        for error in answer.get("Errors", []):
            raise AwsError(
                f"DeleteObjects: AWS answered {error['Code']} for {error['Key']}: {error.get('Message')}",
                code=error["Code"],
                operation="DeleteObjects",
            )


def _key(answer: dict[str, Any] | None) -> str:
    """Say what a bucket encrypts new objects with."""
    rules = answer["ServerSideEncryptionConfiguration"]["Rules"] if answer else []
    default = rules[0].get("ApplyServerSideEncryptionByDefault", {}) if rules else {}
    return str(default.get("KMSMasterKeyID") or default.get("SSEAlgorithm", "none"))
