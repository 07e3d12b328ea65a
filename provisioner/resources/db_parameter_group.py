"""Settings of the database that differ from RDS's own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from provisioner.aws import Aws, Lag
from provisioner.resources.base import Difference, Live, Parting, State
from provisioner.resources.database_facts import database_of
from provisioner.resources.ec2 import as_items
from provisioner.resources.rds import RdsResource

_ABSENT = ("DBParameterGroupNotFound", "DBParameterGroupNotFoundFault")
_IN_USE = ("InvalidDBParameterGroupState", "InvalidDBParameterGroupStateFault")


@dataclass(frozen=True, eq=False)
class DbParameterGroup(RdsResource):
    """A parameter group.

    Args:
        engine_version: PostgreSQL version whose parameters they are ("17", "17.6").
        parameters: names and values; all of them take effect without a restart.

    """

    kind: ClassVar[str] = "DB parameter group"

    engine_version: str
    parameters: Mapping[str, str]

    @property
    def family(self) -> str:
        """RDS's name for the major version ("postgres17")."""
        return f"postgres{self.engine_version.split('.')[0]}"

    @property
    def aws_name(self) -> str:
        """Its name in RDS; another for each major version, as a group's family is for ever."""
        return f"{super().aws_name}-{self.family}"

    def find(self, aws: Aws) -> Live | None:
        """Look it up; a group that the deployment's own database uses is ours."""
        database = database_of(aws, self.owner.deployment)
        used = {group["DBParameterGroupName"] for group in (database or {}).get("DBParameterGroups", [])}
        facts = self._parameters(aws)
        if facts is None:
            return None
        if self.aws_name in used:
            return Live(id=self.aws_name, facts=facts, tags=dict(self.tags))
        answer = aws.call_or(
            _ABSENT, "rds", "describe_db_parameter_groups", DBParameterGroupName=self.aws_name
        )
        if answer is None:
            return None
        arn = answer["DBParameterGroups"][0]["DBParameterGroupArn"]
        return Live(id=self.aws_name, arn=arn, facts=facts, tags=self.own_tags(aws, arn))

    def _parameters(self, aws: Aws) -> dict[str, str] | None:
        answer = aws.call_or(
            _ABSENT, "rds", "describe_db_parameters", DBParameterGroupName=self.aws_name, Source="user"
        )
        if answer is None:
            return None
        return {item["ParameterName"]: item.get("ParameterValue", "") for item in answer["Parameters"]}

    def diff(self, live: Live, state: State) -> tuple[Difference, ...]:
        """Compare our parameters; those that the user sets beside them are left alone."""
        del state
        return tuple(
            Difference(name, live.facts.get(name, "RDS's default"), value)
            for name, value in sorted(self.parameters.items())
            if live.facts.get(name) != value
        )

    def create(self, aws: Aws, state: State) -> Live:
        """Make the group."""
        del state
        answer = aws.call(
            "rds",
            "create_db_parameter_group",
            DBParameterGroupName=self.aws_name,
            DBParameterGroupFamily=self.family,
            Description=f"PostgreSQL settings of the Flowstead deployment {self.owner.deployment}",
            Tags=as_items(self.tags),
        )
        arn = answer["DBParameterGroup"]["DBParameterGroupArn"]
        return Live(id=self.aws_name, arn=arn, facts={}, tags=dict(self.tags))

    def update(self, aws: Aws, state: State, live: Live, differences: tuple[Difference, ...]) -> Live:
        """Set the parameters, at once."""
        del state, differences
        aws.call(
            "rds",
            "modify_db_parameter_group",
            Lag(_ABSENT),
            DBParameterGroupName=live.id,
            Parameters=[
                {"ParameterName": name, "ParameterValue": value, "ApplyMethod": "immediate"}
                for name, value in sorted(self.parameters.items())
            ],
        )
        return Live(id=live.id, arn=live.arn, facts={**live.facts, **self.parameters}, tags=live.tags)

    def delete(self, aws: Aws, live: Live, parting: Parting) -> None:
        """Delete it, once the database has let go of it."""
        del parting
        aws.call_or(_ABSENT, "rds", "delete_db_parameter_group", Lag(_IN_USE), DBParameterGroupName=live.id)
