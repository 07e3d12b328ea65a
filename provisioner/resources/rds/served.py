"""What RDS runs: an instance or a cluster, with states, found by its name, changed in one call."""

from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from provisioner.aws import Aws, RetryOn
from provisioner.resources.base import Live
from provisioner.resources.iam.role import Role
from provisioner.resources.rds.calls import Calls, States
from provisioner.resources.rds.database_facts import described
from provisioner.resources.rds.kind import RdsResource
from provisioner.resources.refusals import foreign
from provisioner.resources.setting import Setting
from provisioner.resources.state import State
from provisioner.resources.tags import as_tags

_CREATE_S = 2700
_DELETE_S = 2700
NEW_ROLE = RetryOn(("InvalidParameterValue",), text="ENHANCED_MONITORING", deadline_s=120)
"""What RDS answers while it does not know the role yet: it was made a moment ago."""


@dataclass(frozen=True, eq=False)
class Served(RdsResource):
    """Something that RDS runs.

    Args:
        identifier: its name in RDS, a part of its endpoint's.

    """

    calls: ClassVar[Calls]
    states: ClassVar[States]

    identifier: str

    @property
    def aws_name(self) -> str:
        """Its name in RDS."""
        return self.identifier

    def find(self, aws: Aws) -> Live | None:
        """Look it up by its identifier; the tags must be ours."""
        item = described(aws, self.calls, self.identifier)
        return self._own(self._live(item)) if item else None

    def at(self, aws: Aws, id_: str) -> Live | None:
        """Look at one by its identifier; what is of another kind is none."""
        answer = aws.call_or(self.calls.absent, "rds", self.calls.describe, **{self.calls.named: id_})
        items = answer[self.calls.items] if answer else []
        return self._live(items[0]) if items and self.is_kind_of(items[0]) else None

    @classmethod
    @abstractmethod
    def is_kind_of(cls, item: Mapping[str, Any]) -> bool:
        """Tell by its description whether something is of this kind: others may be listed with it."""

    def _live(self, item: dict[str, Any]) -> Live:
        status = str(item[self.calls.status])
        return Live(
            id=item[self.calls.named],
            arn=item[self.calls.arn],
            facts=item,
            tags=as_tags(item.get("TagList", [])),
            ready=status in self.states.ready,
            status=status,
        )

    def _own(self, live: Live) -> Live:
        if not self.owns(live.tags) or not self.is_kind_of(live.facts):
            raise foreign(self, f"{self.kind} {live.id}", live.tags)
        return live

    def _read(self, aws: Aws, id_: str) -> Live:
        retry = RetryOn(self.calls.absent, deadline_s=60)
        answer = aws.call("rds", self.calls.describe, retry, **{self.calls.named: id_})
        return self._own(self._live(answer[self.calls.items][0]))

    def _state(self, live: Live) -> Setting:
        is_hopeless = live.status in self.states.hopeless
        return Setting(
            "state",
            live.status,
            "available",
            None if is_hopeless else self._start,
            note="RDS cannot use it in this state: see its events in the AWS console" if is_hopeless else "",
            is_wanted=not is_hopeless and live.status != "stopped",
        )

    def _start(self, aws: Aws, live: Live, _: Mapping[str, Any]) -> None:
        aws.call("rds", self.calls.start, **{self.calls.named: live.id})
        self._settle(aws, live.id)

    def _modify(self, aws: Aws, live: Live, to: Mapping[str, Any]) -> None:
        """Change all that differs in one call, now, not in the next maintenance window."""
        aws.call(
            "rds",
            self.calls.modify,
            RetryOn(self.calls.busy, deadline_s=1800),
            NEW_ROLE,
            **{self.calls.named: live.id},
            ApplyImmediately=True,
            **to,
        )
        self._settle(aws, live.id)

    def look(self, aws: Aws, live: Live) -> Live:
        """Look again at one that was just made or changed."""
        return self._read(aws, live.id)

    def _gone(self, aws: Aws, id_: str) -> None:
        aws.wait("rds", self.calls.deleted, deadline_s=_DELETE_S, delay_s=3, **{self.calls.named: id_})

    def wait(self, aws: Aws, live: Live) -> Live | None:
        """Wait until it serves, has stopped, has failed or is gone; RDS takes minutes."""
        if live.status == "deleting":
            self._gone(aws, live.id)
            return None
        return self._settle(aws, live.id)

    def _settle(self, aws: Aws, id_: str) -> Live:
        """Wait for a state that lasts; botocore's waiters know "available" only."""

        def settled() -> Live | None:
            live = self._read(aws, id_)
            return live if live.status in self.states.lasting else None

        return aws.until(settled, what=f"{self}: an end of its change", deadline_s=_CREATE_S, every_s=2)


@dataclass(frozen=True, eq=False)
class Monitored(Served):
    """Something that has a host, at which RDS can look.

    Args:
        monitoring_role: with what RDS writes down how its host does.
        monitoring_s: seconds between two looks of RDS at its host; 0: it does not look.

    """

    monitoring_role: Role | None
    monitoring_s: int

    def stands_on(self, live: Live) -> Collection[str]:
        """Name the role with which RDS looks."""
        role = live.facts.get("MonitoringRoleArn")
        return (*super().stands_on(live), *((str(role),) if role else ()))

    def _monitor(self, state: State) -> dict[str, Any]:
        role = {"MonitoringRoleArn": state.arn(self.monitoring_role)} if self.monitoring_role else {}
        return {"MonitoringInterval": self.monitoring_s, **role}

    def _monitoring(self, facts: Mapping[str, Any], state: State) -> Iterable[Setting]:
        yield Setting(
            "enhanced monitoring",
            _monitored(facts.get("MonitoringInterval"), facts.get("MonitoringRoleArn")),
            _monitored(self.monitoring_s, self._monitor(state).get("MonitoringRoleArn")),
            self._modify,
            self._monitor(state),
        )


def _monitored(interval_s: int | None, role_arn: str | None) -> str:
    return f"every {interval_s} s with {role_arn}" if interval_s else "off"
