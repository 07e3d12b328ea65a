"""An account's services as a test left them, copied for each test that begins there."""

import copy
from collections.abc import Callable
from typing import Any

from moto.backends import get_backend

_SERVICES = ("ec2", "iam", "kms", "rds", "s3", "secretsmanager")


class Copies:
    """Something that is made once, by the first who wants it."""

    def __init__(self) -> None:
        self._kept: list[Any] = []

    def begin(self, make: Callable[[], object]) -> None:
        """Have the account be as `make` leaves it; make it only the first time.

        Args:
            make: does it, in an empty account.

        """
        services = [get_backend(name) for name in _SERVICES]
        if not self._kept:
            make()
            self._kept.extend(copy.deepcopy([dict(service) for service in services]))
            return
        for service, kept in zip(services, copy.deepcopy(self._kept), strict=True):
            service.clear()
            service.update(kept)
            # moto empties after a test what was asked for in it.
            for account_id in kept:
                service[account_id]
