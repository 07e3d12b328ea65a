"""Which packets may come and go."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

from provisioner.aws import Aws, RetryOn
from provisioner.errors import FlowsteadError
from provisioner.resources.base import Live
from provisioner.resources.ec2.kind import Description, Ec2Resource
from provisioner.resources.ec2.vpc import Vpc
from provisioner.resources.refusals import in_the_way
from provisioner.resources.setting import Setting
from provisioner.resources.state import State

Direction = Literal["in", "out"]
Verb = Literal["allow", "revoke"]

_KEYS = {"in": "IpPermissions", "out": "IpPermissionsEgress"}
_CALLS: dict[tuple[Direction, Verb], str] = {
    ("in", "allow"): "authorize_security_group_ingress",
    ("in", "revoke"): "revoke_security_group_ingress",
    ("out", "allow"): "authorize_security_group_egress",
    ("out", "revoke"): "revoke_security_group_egress",
}
_DONE: dict[Verb, str] = {
    "allow": "InvalidPermission.Duplicate",
    "revoke": "InvalidPermission.NotFound",
}
"""EC2's codes for what is so already."""


@dataclass(frozen=True)
class Rule:
    """Packets that are let through.

    Args:
        protocol: "tcp", or "-1" for all.
        port: the port; None for all.
        cidrs: where they come from or go to.
        group: hosts of that group instead.

    """

    protocol: str
    port: int | None
    cidrs: tuple[str, ...] = ()
    group: "SecurityGroup | None" = None


@dataclass(frozen=True)
class _Permission:
    """One direction, one protocol, one range of ports, one peer: what rules are compared by."""

    direction: Direction
    protocol: str
    from_port: int | None
    to_port: int | None
    peer: str

    def __str__(self) -> str:
        ports = "all ports" if self.from_port is None else f"{self.from_port}-{self.to_port}"
        if self.from_port is not None and self.from_port == self.to_port:
            ports = str(self.from_port)
        protocol = "all protocols" if self.protocol == "-1" else self.protocol
        return f"{protocol} {ports} {'from' if self.direction == 'in' else 'to'} {self.peer}"

    def as_call(self) -> dict[str, Any]:
        """Give it as the authorize and revoke calls take it."""
        call: dict[str, Any] = {"IpProtocol": self.protocol}
        if self.from_port is not None:
            call |= {"FromPort": self.from_port, "ToPort": self.to_port}
        if self.peer.startswith("sg-"):
            return call | {"UserIdGroupPairs": [{"GroupId": self.peer}]}
        if self.peer.startswith("pl-"):
            return call | {"PrefixListIds": [{"PrefixListId": self.peer}]}
        if ":" in self.peer:
            return call | {"Ipv6Ranges": [{"CidrIpv6": self.peer}]}
        return call | {"IpRanges": [{"CidrIp": self.peer}]}


@dataclass(frozen=True, eq=False)
class SecurityGroup(Ec2Resource):
    """A security group and all its rules: what others add by hand is taken away, and the plan says so.

    Args:
        vpc: the network.
        purpose: one line for the AWS console.
        inbound: what may come in.
        outbound: what may go out.

    """

    kind: ClassVar[str] = "security group"
    description: ClassVar[Description] = Description(
        "describe_security_groups",
        "SecurityGroups",
        "GroupId",
        "GroupIds",
        "security-group",
        "InvalidGroup.NotFound",
    )

    vpc: Vpc
    purpose: str
    inbound: tuple[Rule, ...] = ()
    outbound: tuple[Rule, ...] = ()

    def settings(self, live: Live, state: State) -> Iterable[Setting]:
        """The network (for ever), and every rule: first what is missing, then what is too much."""
        yield Setting("vpc", live.facts["VpcId"], state.id(self.vpc))
        wanted, has = self._wanted(state), _permissions(live)
        for permission in sorted(wanted - has, key=str):
            yield Setting(
                f"rule {permission}", "missing", "there", partial(self._change, "allow", permission)
            )
        for permission in sorted(has - wanted, key=str):
            yield Setting(f"rule {permission}", "there", "none", partial(self._change, "revoke", permission))

    def stands_on(self, live: Live) -> Collection[str]:
        """Name its network."""
        return (live.facts["VpcId"],)

    def _wanted(self, state: State) -> set[_Permission]:
        rules: list[tuple[Direction, Rule]] = [("in", rule) for rule in self.inbound]
        rules += [("out", rule) for rule in self.outbound]
        return {
            _Permission(direction, rule.protocol, rule.port, rule.port, peer)
            for direction, rule in rules
            for peer in (*rule.cidrs, *([state.id(rule.group)] if rule.group else []))
        }

    def create(self, aws: Aws, state: State) -> Live:
        """Make the group; AWS adds a rule that lets everything out, which `diff` judges like any other."""
        return self.make(
            aws,
            "create_security_group",
            RetryOn((Vpc.description.absent,)),
            taken=("InvalidGroup.Duplicate",),
            GroupName=self.label,
            Description=self.purpose,
            VpcId=state.id(self.vpc),
        )

    def _change(
        self,
        verb: Verb,
        permission: _Permission,
        aws: Aws,
        live: Live,
        _: Mapping[str, Any],
    ) -> None:
        aws.call_or(
            (_DONE[verb],),
            "ec2",
            _CALLS[permission.direction, verb],
            RetryOn((self.description.absent,)),
            GroupId=live.id,
            IpPermissions=[permission.as_call()],
        )

    def obstacles(self, aws: Aws, live: Live, own: Collection[str]) -> Iterable[FlowsteadError]:
        """Find the groups of others whose rules name it."""
        for group in _naming(aws, live):
            if group.id not in own:
                what = f"a rule of the security group {group.id} names it"
                yield in_the_way(self, live, what, "Remove that rule, if nobody needs it")

    def remove(self, aws: Aws, live: Live) -> None:
        """Delete it, and the rules that name it; the interfaces that used it may take a moment to go."""
        for group in _naming(aws, live):
            for permission in _permissions(group):
                if permission.peer == live.id:
                    self._change("revoke", permission, aws, group, {})
        aws.call(
            "ec2", "delete_security_group", RetryOn(("DependencyViolation",), deadline_s=300), GroupId=live.id
        )


def _naming(aws: Aws, live: Live) -> list[Live]:
    """List the other groups that have a rule about a group: EC2 deletes none that a rule names."""
    found = {}
    for name in ("ip-permission.group-id", "egress.ip-permission.group-id"):
        filters = [{"Name": name, "Values": [live.id]}]
        for item in aws.page("ec2", "describe_security_groups", "SecurityGroups", Filters=filters):
            found[item["GroupId"]] = Live(item["GroupId"], item)
    return [group for id_, group in sorted(found.items()) if id_ != live.id]


def _permissions(live: Live) -> set[_Permission]:
    found = set()
    directions: tuple[Direction, ...] = ("in", "out")
    for direction in directions:
        for item in live.facts.get(_KEYS[direction], []):
            peers = [range_["CidrIp"] for range_ in item.get("IpRanges", [])]
            peers += [range_["CidrIpv6"] for range_ in item.get("Ipv6Ranges", [])]
            peers += [pair["GroupId"] for pair in item.get("UserIdGroupPairs", [])]
            peers += [prefix["PrefixListId"] for prefix in item.get("PrefixListIds", [])]
            for peer in peers:
                found.add(
                    _Permission(
                        direction, item["IpProtocol"], _port(item, "FromPort"), _port(item, "ToPort"), peer
                    )
                )
    return found


def _port(item: dict[str, Any], key: str) -> int | None:
    """Read a port; "all" is given as -1 or left out."""
    port = item.get(key)
    return None if port is None or item["IpProtocol"] == "-1" else int(port)
