"""The repository that keeps MLflow's container images."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from provisioner.aws import Aws
from provisioner.resources.base import DEPLOYMENT_TAG, Live, Resource, Teardown
from provisioner.resources.refusals import foreign
from provisioner.resources.setting import Setting
from provisioner.resources.state import State
from provisioner.resources.tags import as_items, as_tags

_ABSENT = ("RepositoryNotFoundException",)
_NO_POLICY = ("LifecyclePolicyNotFoundException", *_ABSENT)
_IMMUTABLE = "IMMUTABLE"


@dataclass(frozen=True, eq=False)
class Repository(Resource):
    """A repository in ECR: a tag never moves, images are scanned when they are pushed, old ones expire.

    Each is private and encrypted, with ECR's own keys unless its maker chose another:
    https://docs.aws.amazon.com/AmazonECR/latest/userguide/encryption-at-rest.html

    One of this name that was there before, and carries no deployment's tag, is used as it is: never changed,
    and never deleted.

    Args:
        repository_name: its name, one in the account and region.
        keep: how many images it keeps; those pushed last.

    """

    kind: ClassVar[str] = "image repository"
    listed_as: ClassVar[str] = "ecr/repository"

    repository_name: str
    keep: int

    def find(self, aws: Aws) -> Live | None:
        """Look it up by its name."""
        live = self.at(aws, self.repository_name)
        if live and not is_adopted(live) and not self.owns(live.tags):
            raise foreign(self, f"the repository {self.repository_name}", live.tags)
        return live

    def at(self, aws: Aws, id_: str) -> Live | None:
        """Look at one by its name."""
        answer = aws.call_or(_ABSENT, "ecr", "describe_repositories", repositoryNames=[id_])
        if answer is None:
            return None
        facts = answer["repositories"][0]
        arn = str(facts["repositoryArn"])
        tags = aws.call_or(_ABSENT, "ecr", "list_tags_for_resource", resourceArn=arn)
        policy = aws.call_or(_NO_POLICY, "ecr", "get_lifecycle_policy", repositoryName=id_)
        images = aws.call_or(_ABSENT, "ecr", "list_images", repositoryName=id_, maxResults=1)
        known = {
            "policy": json.loads(policy["lifecyclePolicyText"]) if policy else None,
            "has_images": bool(images and images["imageIds"]),
        }
        return Live(id=id_, arn=arn, facts=facts | known, tags=as_tags(tags["tags"]) if tags else {})

    def differences(self, live: Live, state: State) -> tuple[Setting, ...]:
        """Pick what is not as wanted; an adopted one is as it is."""
        return () if is_adopted(live) else super().differences(live, state)

    def settings(self, live: Live, state: State) -> Iterable[Setting]:
        """How it treats tags, new images and old ones."""
        facts = live.facts
        yield Setting(
            "tags of images",
            facts["imageTagMutability"],
            _IMMUTABLE,
            self._set_mutability,
            {"imageTagMutability": _IMMUTABLE},
        )
        scans = facts.get("imageScanningConfiguration", {}).get("scanOnPush", False)
        yield Setting(
            "scan of pushed images",
            "on" if scans else "off",
            "on",
            self._set_scanning,
            {"imageScanningConfiguration": {"scanOnPush": True}},
        )
        yield Setting(
            "images kept",
            _kept(facts["policy"]),
            f"the last {self.keep}",
            self._set_lifecycle,
            {"lifecyclePolicyText": json.dumps(self._lifecycle)},
            is_wanted=facts["policy"] == self._lifecycle,
        )

    @property
    def _lifecycle(self) -> dict[str, Any]:
        """Source: https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html."""
        rule = {
            "rulePriority": 1,
            "description": f"keep the last {self.keep}",
            "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": self.keep},
            "action": {"type": "expire"},
        }
        return {"rules": [rule]}

    def _set_mutability(self, aws: Aws, live: Live, to: Mapping[str, Any]) -> None:
        aws.call("ecr", "put_image_tag_mutability", repositoryName=live.id, **to)

    def _set_scanning(self, aws: Aws, live: Live, to: Mapping[str, Any]) -> None:
        aws.call("ecr", "put_image_scanning_configuration", repositoryName=live.id, **to)

    def _set_lifecycle(self, aws: Aws, live: Live, to: Mapping[str, Any]) -> None:
        aws.call("ecr", "put_lifecycle_policy", repositoryName=live.id, **to)

    def notices(self, live: Live, state: State) -> tuple[str, ...]:
        """Tell of an adopted one, and that tags can be moved there."""
        if not is_adopted(live):
            return ()
        moved = (
            "" if live.facts["imageTagMutability"].startswith(_IMMUTABLE) else ", and tags can be moved in it"
        )
        return (f"{self} {live.id} was there before: it is used as it is, and is never removed{moved}",)

    def create(self, aws: Aws, state: State) -> Live:
        """Make it, tagged in the create call."""
        aws.call_or(
            ("RepositoryAlreadyExistsException",),
            "ecr",
            "create_repository",
            repositoryName=self.repository_name,
            imageTagMutability=_IMMUTABLE,
            imageScanningConfiguration={"scanOnPush": True},
            encryptionConfiguration={"encryptionType": "AES256"},
            tags=as_items(self.tags),
        )
        return self.found(aws)

    def retag(self, aws: Aws, live: Live, tags: Mapping[str, str | None], /) -> None:
        """Set these tags, and remove those that are None."""
        wanted = {key: value for key, value in tags.items() if value is not None}
        if wanted:
            aws.call("ecr", "tag_resource", resourceArn=live.arn, tags=as_items(wanted))
        if unwanted := sorted(set(tags) - set(wanted)):
            aws.call("ecr", "untag_resource", resourceArn=live.arn, tagKeys=unwanted)

    def keeps_data(self, live: Live) -> bool:
        """Tell whether images are in it: others may run them, and one that is built again is another."""
        return bool(live.facts["has_images"])

    def is_spared(self, live: Live, teardown: Teardown) -> bool:
        """Keep one with images unless told otherwise, and an adopted one whatever is told."""
        return is_adopted(live) or (teardown.keep_data and self.keeps_data(live))

    def remains(self, live: Live, teardown: Teardown) -> str:
        """Say that it stays."""
        if is_adopted(live):
            return f"image repository {live.id}, which was there before"
        return f"image repository {live.id} with its images" if self.is_spared(live, teardown) else ""

    def delete(self, aws: Aws, live: Live, teardown: Teardown) -> None:
        """Delete it, with the images that were seen in it; one with others by now is refused."""
        aws.call_or(_ABSENT, "ecr", "delete_repository", repositoryName=live.id, force=self.keeps_data(live))


def is_adopted(live: Live) -> bool:
    """Tell whether a repository was there before: it carries no deployment's tag."""
    return DEPLOYMENT_TAG not in live.tags


def _kept(policy: Mapping[str, Any] | None) -> str:
    return "by other rules" if policy else "all"
