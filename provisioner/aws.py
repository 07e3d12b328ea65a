"""The one door to AWS: clients, pages, retries, waits, and errors in words."""

from collections.abc import Mapping
from typing import Any, Protocol


class Clock(Protocol):
    """Time, so that tests need not wait for it."""

    def now(self) -> float:
        """Seconds on a clock that never goes back."""

    def sleep(self, seconds: float) -> None:
        """Do nothing for a while."""


class Aws:
    """AWS in one region, with the caller's ordinary configuration (environment, profile, SSO).

    Args:
        region: the AWS region ("us-east-1").
        clock: time.

    Attributes (read-only):
        region: the AWS region.
        reading_calls, mutating_calls: how many API calls were made so far, of each sort.
    """

    def client(self, service: str) -> Any: ...
    def identity(self) -> Mapping[str, str]: ...  # {"Account", "Arn", "UserId"}; one call, remembered
    def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]: ...  # operation: "describe_vpcs"
    def page(self, service: str, operation: str, key: str, **parameters: Any) -> list[dict[str, Any]]: ...
    def wait(self, service: str, waiter: str, *, deadline_s: float, **parameters: Any) -> None: ...
