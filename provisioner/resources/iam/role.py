"""What a host, a server on it or a service may do in AWS, without keys."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from provisioner.aws import Aws, RetryOn
from provisioner.errors import AwsError, FlowsteadError
from provisioner.resources.base import Live, Resource, Teardown
from provisioner.resources.iam.policy import Policy, Statement, as_json, document, is_same_policy
from provisioner.resources.refusals import foreign, in_the_way
from provisioner.resources.setting import Setting
from provisioner.resources.state import State
from provisioner.resources.tags import TagCalls, as_items, as_tags, set_tags

NO_SUCH, TAKEN = "NoSuchEntity", "EntityAlreadyExists"
_POLICY_NAME = "flowstead"
_TAGS = TagCalls("iam", "tag_role", "untag_role")
_STRANGER = RetryOn(("MalformedPolicyDocument",), "Invalid principal")
"""A role that was made a moment ago may not be known yet where it is named."""


def role_prefix(deployment: str, region: str) -> str:
    """Give what the names of a deployment's roles begin with: the account has them for all regions."""
    return f"flowstead-{deployment}-{region}-"


@dataclass(frozen=True)
class Service:
    """A service of AWS that may take a role.

    EC2 tells neither account nor resource when it takes one, and takes those of a profile only that
    somebody of this account, who may pass the role, has given to an instance.

    Args:
        principal: its name ("ec2.amazonaws.com").
        shown: what it is called in a plan.
        source_account: the account that it must act for; empty: any, for a service that tells none.
        source_arn: the resource that it must act for, likewise; "*" in it stands for any text.

    """

    principal: str
    shown: str
    source_account: str = ""
    source_arn: str = ""

    @property
    def condition(self) -> dict[str, Any]:
        """What the trust policy asks for."""
        if not self.source_arn:
            return {}
        account, arn = {"aws:SourceAccount": self.source_account}, {"aws:SourceArn": self.source_arn}
        if "*" in self.source_arn:
            return {"Condition": {"StringEquals": account, "ArnLike": arn}}
        return {"Condition": {"StringEquals": account | arn}}


EC2 = Service("ec2.amazonaws.com", "EC2")


@dataclass(frozen=True, eq=False)
class Role(Resource):
    """An IAM role with one policy.

    Args:
        role_name: its name; the account has one of a name for all regions.
        taken_by: who may take it; a role of this account that is named here needs no permission of its own.
        statements: what it may do.

    """

    kind: ClassVar[str] = "IAM role"
    listed_as: ClassVar[str] = "iam/role"

    role_name: str
    taken_by: "Role | Service"
    statements: tuple[Statement, ...]

    def trust(self, state: State) -> Policy:
        """Write who may take it."""
        if isinstance(self.taken_by, Role):
            taker: dict[str, Any] = {"Principal": {"AWS": state.arn(self.taken_by)}}
        else:
            taker = {"Principal": {"Service": self.taken_by.principal}, **self.taken_by.condition}
        return document([{"Sid": "OnlyTheHost", "Effect": "Allow", "Action": "sts:AssumeRole", **taker}])

    def permissions(self, state: State) -> Policy:
        """Write what it may do."""
        return document(statement.as_data(state) for statement in self.statements)

    def find(self, aws: Aws) -> Live | None:
        """Look it up by its name, with every policy it has; the tags must be ours."""
        live = self.at(aws, self.role_name)
        if live and not self.owns(live.tags):
            raise foreign(self, f"the IAM role {self.role_name}", live.tags)
        return live

    def at(self, aws: Aws, id_: str) -> Live | None:
        """Look at one by its name, with every policy it has."""
        answer = aws.call_or((NO_SUCH,), "iam", "get_role", RoleName=id_)
        if answer is None:
            return None
        role = answer["Role"]
        facts = {**role, "Policies": _inline(aws, id_), "Attached": _attached(aws, id_)}
        return Live(id=id_, arn=role["Arn"], facts=facts, tags=as_tags(role.get("Tags", [])))

    def settings(self, live: Live, state: State) -> Iterable[Setting]:
        """Who may take the role, and what it may do: nothing but the one policy."""
        trust, taker = self.trust(state), self.taken_by
        shown = taker.role_name if isinstance(taker, Role) else taker.shown
        yield Setting(
            "trust policy",
            "other",
            f"{shown} only",
            self._set_trust,
            {"PolicyDocument": as_json(trust)},
            is_wanted=is_same_policy(live.facts["AssumeRolePolicyDocument"], trust),
        )
        has, wanted = live.facts["Policies"].get(_POLICY_NAME), self.permissions(state)
        yield Setting(
            "policy",
            as_json(has) if has else "none",
            as_json(wanted),
            self._put_policy,
            {"PolicyDocument": as_json(wanted)},
            is_wanted=has is not None and is_same_policy(has, wanted),
        )
        for name in sorted(set(live.facts["Policies"]) - {_POLICY_NAME}):
            yield Setting(f"policy {name}", "there", "none", partial(self._delete_policy, name))
        for arn in live.facts["Attached"]:
            yield Setting(f"policy {arn}", "attached", "none", partial(self._detach, arn))

    def _set_trust(self, aws: Aws, live: Live, to: Mapping[str, Any]) -> None:
        aws.call("iam", "update_assume_role_policy", _STRANGER, RoleName=live.id, **to)

    def _put_policy(self, aws: Aws, live: Live, to: Mapping[str, Any]) -> None:
        retry = RetryOn((NO_SUCH,))
        aws.call("iam", "put_role_policy", retry, RoleName=live.id, PolicyName=_POLICY_NAME, **to)

    def _delete_policy(self, name: str, aws: Aws, live: Live, _: Mapping[str, Any]) -> None:
        aws.call_or((NO_SUCH,), "iam", "delete_role_policy", RoleName=live.id, PolicyName=name)

    def _detach(self, arn: str, aws: Aws, live: Live, _: Mapping[str, Any]) -> None:
        aws.call_or((NO_SUCH,), "iam", "detach_role_policy", RoleName=live.id, PolicyArn=arn)

    def create(self, aws: Aws, state: State) -> Live:
        """Make the role."""
        aws.call_or(
            (TAKEN,),
            "iam",
            "create_role",
            _STRANGER,
            RoleName=self.role_name,
            Description=f"{self.label} of the Flowstead deployment {self.owner.deployment}",
            AssumeRolePolicyDocument=as_json(self.trust(state)),
            Tags=as_items(self.tags),
        )
        return self.found(aws)

    def retag(self, aws: Aws, live: Live, tags: Mapping[str, str | None], /) -> None:
        """Set these tags, and remove those that are None."""
        set_tags(aws, _TAGS, tags, RetryOn((NO_SUCH,)), RoleName=live.id)

    def obstacles(self, aws: Aws, live: Live, own: Collection[str]) -> Iterable[FlowsteadError]:
        """Find the instance profiles of others that have it."""
        for item in _listed(aws, live.id, "list_instance_profiles_for_role", "InstanceProfiles"):
            if item["Arn"] not in own:
                what = f"the instance profile {item['InstanceProfileName']} has it"
                yield in_the_way(self, live, what, "Remove the role from that profile")

    def delete(self, aws: Aws, live: Live, teardown: Teardown) -> None:
        """Take its policies away, those that others attached too, and delete it."""
        for name in _inline(aws, live.id):
            self._delete_policy(name, aws, live, {})
        for arn in _attached(aws, live.id):
            self._detach(arn, aws, live, {})
        aws.call_or((NO_SUCH,), "iam", "delete_role", RetryOn(("DeleteConflict",)), RoleName=live.id)


def _inline(aws: Aws, role: str) -> dict[str, Any]:
    found = {}
    for name in _listed(aws, role, "list_role_policies", "PolicyNames"):
        policy = aws.call_or((NO_SUCH,), "iam", "get_role_policy", RoleName=role, PolicyName=name)
        if policy:
            found[name] = policy["PolicyDocument"]
    return found


def _attached(aws: Aws, role: str) -> list[str]:
    items = _listed(aws, role, "list_attached_role_policies", "AttachedPolicies")
    return sorted(item["PolicyArn"] for item in items)


def _listed(aws: Aws, role: str, operation: str, key: str) -> list[Any]:
    try:
        return aws.page("iam", operation, key, RoleName=role)
    except AwsError as error:
        if error.code != NO_SUCH:
            raise
        return []
