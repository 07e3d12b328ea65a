"""Whether a type of host has the memory that the servers of all projects need."""

from dataclasses import dataclass
from typing import ClassVar

from provisioner.aws import Aws
from provisioner.errors import NotOfferedError
from provisioner.resources.base import Live
from provisioner.resources.looked_up import LookedUp

# What the roles reckon with: the system, and a server with one worker.
SYSTEM_MIB = 512
PROJECT_MIB = 390
_KERNELS_PART = 0.06
"""Part of its memory that a host does not show: 70 MiB of the 1024 of a t3.micro, less of more."""


@dataclass(frozen=True, eq=False)
class InstanceMemory(LookedUp):
    """The memory of a type of host.

    Args:
        instance_type: EC2's name of it.
        projects: how many servers of MLflow share it; the roles see to it that there is room for one.

    """

    kind: ClassVar[str] = "memory"

    instance_type: str
    projects: int

    def find(self, aws: Aws) -> Live | None:
        """Ask how much it has.

        Raises:
            NotOfferedError: less than all of them need.

        """
        if self.projects == 1:
            return None
        family = self.instance_type.rpartition(".")[0]
        items = aws.page(
            "ec2",
            "describe_instance_types",
            "InstanceTypes",
            Filters=[{"Name": "instance-type", "Values": [f"{family}.*"]}],
        )
        has = {str(item["InstanceType"]): int(item["MemoryInfo"]["SizeInMiB"]) for item in items}
        if self.instance_type not in has:
            # Zones says so.
            return None
        if (fits := self._fits(has[self.instance_type])) < self.projects:
            enough = sorted((mib, one) for one, mib in has.items() if self._fits(mib) >= self.projects)
            raise NotOfferedError([(f"projects.{fits}", self._sentence(fits, enough, has))])
        return Live(id=self.instance_type, facts={"memory_mib": has[self.instance_type]})

    def _fits(self, mib: int) -> int:
        """Say for how many projects an amount of memory is enough."""
        return int(mib * (1 - _KERNELS_PART) - SYSTEM_MIB) // PROJECT_MIB

    def _sentence(self, fits: int, enough: list[tuple[int, str]], has: dict[str, int]) -> str:
        gib = has[self.instance_type] / 1024
        text = (
            f"is one too many: server.instance_type {self.instance_type} has memory ({gib:g} GiB) for "
            f"{fits} project{'' if fits == 1 else 's'}"
        )
        return f"{text}; choose {enough[0][1]}" if enough else f"{text}; choose a larger family"
