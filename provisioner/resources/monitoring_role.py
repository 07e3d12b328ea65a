"""What lets RDS write down how the database's host does."""

from dataclasses import dataclass

from provisioner import rendering
from provisioner.aws import Aws
from provisioner.resources.base import Live
from provisioner.resources.database_facts import database_of, identifier
from provisioner.resources.iam import Policy
from provisioner.resources.role import Role
from provisioner.resources.state import State


@dataclass(frozen=True, eq=False)
class MonitoringRole(Role):
    """The role with which RDS writes its Enhanced Monitoring to CloudWatch Logs, for this database only.

    What it may do is what AWS's own policy for it allows, in this region:
    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Monitoring.OS.Enabling.html

    Args:
        region: the database's region.
        account_id: its account.
        interval_s: seconds between two looks; 0: RDS does not monitor, and there is no role.

    """

    region: str
    account_id: str
    interval_s: int

    @property
    def taker(self) -> str:
        """Say who may take it."""
        return "RDS for this database"

    @property
    def is_wanted(self) -> bool:
        """Only while RDS monitors."""
        return self.interval_s > 0

    def find(self, aws: Aws) -> Live | None:
        """Look it up by its name; one that is not wanted is there as long as the database has it."""
        if not self.is_wanted:
            database = database_of(aws, self.owner.deployment) or {}
            if not str(database.get("MonitoringRoleArn")).endswith(f"/{self.role_name}"):
                return None
        return super().find(aws)

    def trust(self, state: State) -> Policy:
        """Write that RDS may take it, on behalf of this database."""
        del state
        database = identifier(self.owner.deployment)
        return rendering.assume_role_policy(
            service="monitoring.rds.amazonaws.com",
            source_account=self.account_id,
            source_arn=f"arn:aws:rds:{self.region}:{self.account_id}:db:{database}",
        )

    def permissions(self, state: State) -> Policy:
        """Write the policy."""
        del state
        return rendering.monitoring_policy(region=self.region, account_id=self.account_id)
