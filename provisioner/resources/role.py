"""What the host may do in AWS, without keys."""

from dataclasses import dataclass, field
from typing import ClassVar

from provisioner import rendering
from provisioner.aws import Aws, Lag
from provisioner.resources.base import Difference, Live, Parting, Resource, State, foreign
from provisioner.resources.bucket import Bucket
from provisioner.resources.ec2 import as_items, as_tags
from provisioner.resources.iam import NO_SUCH, Policy, as_json, is_same_policy
from provisioner.resources.secret import Secret

_POLICY_NAME = "flowstead"


@dataclass(frozen=True, eq=False)
class Role(Resource):
    """An IAM role with one policy: two prefixes of one bucket and some secrets, and nothing else.

    Args:
        role_name: its name; the account has one of a name for all regions.
        bucket: the bucket.
        prefix: the part of it that may be read, written and deleted from.
        backups_prefix: the part of it that may be read and added to.
        secrets: those that may be read.

    """

    kind: ClassVar[str] = "IAM role"

    role_name: str
    bucket: Bucket
    prefix: str
    backups_prefix: str
    secrets: tuple[Secret, ...] = field(default=())

    def permissions(self, state: State) -> Policy:
        """Write the policy; "*" stands only for keys under the prefixes."""
        return rendering.instance_policy(
            bucket_arn=state.arn(self.bucket),
            prefix=self.prefix,
            backups_prefix=self.backups_prefix,
            secret_arns=[state.arn(secret) for secret in self.secrets],
        )

    def find(self, aws: Aws) -> Live | None:
        """Look it up by its name; the tags must be ours."""
        answer = aws.call_or((NO_SUCH,), "iam", "get_role", RoleName=self.role_name)
        if answer is None:
            return None
        role = answer["Role"]
        tags = as_tags(role.get("Tags", []))
        if not self.owns(tags):
            raise foreign(self, f"the IAM role {self.role_name}", tags)
        inline = aws.call_or(
            (NO_SUCH,), "iam", "get_role_policy", RoleName=self.role_name, PolicyName=_POLICY_NAME
        )
        facts = {**role, "Policy": inline["PolicyDocument"] if inline else None}
        return Live(id=self.role_name, arn=role["Arn"], facts=facts, tags=tags)

    def diff(self, live: Live, state: State) -> tuple[Difference, ...]:
        """Compare who may take the role, and what it may do."""
        found = []
        if not is_same_policy(live.facts["AssumeRolePolicyDocument"], rendering.assume_role_policy()):
            found.append(Difference("trust policy", "other", "EC2 only"))
        wanted = self.permissions(state)
        if live.facts["Policy"] is None:
            found.append(Difference("policy", "none", f"{_POLICY_NAME}"))
        elif not is_same_policy(live.facts["Policy"], wanted):
            found.append(Difference("policy", as_json(live.facts["Policy"]), as_json(wanted)))
        return tuple(found)

    def create(self, aws: Aws, state: State) -> Live:
        """Make the role."""
        del state
        aws.call(
            "iam",
            "create_role",
            RoleName=self.role_name,
            Description=f"MLflow server of the Flowstead deployment {self.owner.deployment}",
            AssumeRolePolicyDocument=as_json(rendering.assume_role_policy()),
            Tags=as_items(self.tags),
        )
        return self._read(aws)

    def _read(self, aws: Aws) -> Live:
        aws.wait("iam", "role_exists", deadline_s=60, RoleName=self.role_name)
        live = self.find(aws)
        if live is None:
            live = aws.until(lambda: self.find(aws), what=f"the IAM role {self.role_name}", deadline_s=60)
        return live

    def update(self, aws: Aws, state: State, live: Live, differences: tuple[Difference, ...]) -> Live:
        """Set trust and policy."""
        wrong = {difference.setting for difference in differences}
        if "trust policy" in wrong:
            aws.call(
                "iam",
                "update_assume_role_policy",
                RoleName=live.id,
                PolicyDocument=as_json(rendering.assume_role_policy()),
            )
        if "policy" in wrong:
            aws.call(
                "iam",
                "put_role_policy",
                Lag((NO_SUCH,)),
                RoleName=live.id,
                PolicyName=_POLICY_NAME,
                PolicyDocument=as_json(self.permissions(state)),
            )
        return self._read(aws)

    def retag(self, aws: Aws, live: Live) -> Live:
        """Set the tags that are missing or differ."""
        aws.call("iam", "tag_role", RoleName=live.id, Tags=as_items(self.tags))
        return self._read(aws)

    def delete(self, aws: Aws, live: Live, parting: Parting) -> None:
        """Take its policies away, those that others attached too, and delete it."""
        del parting
        for name in self._names(aws, "list_role_policies", "PolicyNames", live):
            aws.call_or((NO_SUCH,), "iam", "delete_role_policy", RoleName=live.id, PolicyName=name)
        attached = aws.call_or((NO_SUCH,), "iam", "list_attached_role_policies", RoleName=live.id)
        for item in attached["AttachedPolicies"] if attached else []:
            aws.call_or(
                (NO_SUCH,), "iam", "detach_role_policy", RoleName=live.id, PolicyArn=item["PolicyArn"]
            )
        aws.call_or((NO_SUCH,), "iam", "delete_role", Lag(("DeleteConflict",)), RoleName=live.id)

    def _names(self, aws: Aws, operation: str, key: str, live: Live) -> list[str]:
        answer = aws.call_or((NO_SUCH,), "iam", operation, RoleName=live.id)
        return list(answer[key]) if answer else []
