"""The only module that calls AWS: clients, pages, retries, waits, and errors as sentences."""

import contextlib
import functools
import hashlib
import threading
import uuid
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from provisioner.aws_errors import (
    DISABLED_REGION_CODES,
    THROTTLING_CODES,
    explain,
    explain_waiter,
    not_enabled,
)
from provisioner.clock import Clock, SystemClock
from provisioner.errors import AwsError
from provisioner.silence import Watch

T = TypeVar("T")

_READING = ("Describe", "Get", "List", "Head")
"""How the operations that change nothing begin."""

_TRIES = 8
_HOME_REGION = "us-east-1"
"""A region that no account can disable: https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html"""

_CONFIG = Config(
    connect_timeout=10,
    read_timeout=60,
    max_pool_connections=32,
    user_agent_extra="flowstead",
)
"""Standard mode retries throttling and broken connections: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html"""


DEADLINE = "Deadline"
"""Our own code: what was waited for has not come true in time."""


@dataclass(frozen=True)
class RetryOn:
    """When a call is made again: AWS has not heard everywhere yet of what was just made or removed.

    Args:
        codes: error codes that mean "not yet".
        text: "not yet" only when AWS's message has this in it.
        deadline_s: seconds after which it is an error.

    """

    codes: Collection[str] = ()
    text: str = ""
    deadline_s: float = 120

    def means(self, error: AwsError) -> bool:
        """Tell whether an error means "not yet"."""
        return error.code in self.codes and self.text in error.message


class Aws:
    """AWS in one region, with the caller's ordinary configuration (environment, profile, SSO).

    Args:
        region: the AWS region ("us-east-1").
        clock: time.
        say: told when AWS has not answered for long.

    Attributes:
        region: the AWS region.
        reading_calls: API calls made so far that change nothing.
        mutating_calls: API calls made so far that change something.

    """

    def __init__(
        self, region: str, *, clock: Clock | None = None, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self.region = region
        self.reading_calls = 0
        self.mutating_calls = 0
        self._clock = clock or SystemClock()
        self._say = say
        self._watch = Watch(say, self._clock, region)
        self._session: Any = None
        self._clients: dict[tuple[str, int], Any] = {}
        self._answers: dict[Hashable, Future[Any]] = {}
        self._run = uuid.uuid4().hex
        self._lock = threading.RLock()
        self._counter_lock = threading.Lock()
        self._before_each_call: Callable[[], None] = lambda: None

    def client(self, service: str, *, tries: int = _TRIES) -> Any:
        """Open a client, once for each service.

        Args:
            service: boto3's name of it ("ec2").
            tries: how often botocore makes a call whose answer is lost, or that AWS asks to make again.

        Raises:
            AwsError: the caller's AWS configuration cannot be used.

        """
        with self._lock:
            if (service, tries) not in self._clients:
                config = _CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": tries}))
                try:
                    self._session = self._session or boto3.session.Session(region_name=self.region)
                    client = self._session.client(service, config=config)
                except (BotoCoreError, ValueError) as error:
                    raise explain(error, operation=f"open {service}", region=self.region) from error
                client.meta.events.register("before-call", self._before, unique_id="own")
                self._watch.listen(client)
                self._clients[service, tries] = client
            return self._clients[service, tries]

    @functools.cached_property
    def endpoint(self) -> str:
        """Where calls go when the configuration sends them elsewhere than to AWS; empty otherwise.

        Source: https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
        """
        asked = str(self.client("sts").meta.endpoint_url)
        own = boto3.session.Session(region_name=self.region)
        plain = own.client("sts", config=Config(ignore_configured_endpoint_urls=True))
        return "" if asked == plain.meta.endpoint_url else asked

    def identity(self) -> Mapping[str, str]:
        """Tell who is calling: Account, Arn, UserId. One call, remembered.

        Raises:
            NotOfferedError: the account has not enabled the region.
            AwsError: no credentials, or AWS does not accept them.

        """
        answer: Mapping[str, str] = self.remembered("identity", self._identity)
        return answer

    def _identity(self) -> dict[str, Any]:
        try:
            return self.call("sts", "get_caller_identity")
        except AwsError as error:
            if error.code in DISABLED_REGION_CODES and not self._is_enabled():
                raise not_enabled(self.region) from error
            raise

    def _is_enabled(self) -> bool:
        """Tell whether the account has the region; True when that cannot be told."""
        try:
            answer = Aws(_HOME_REGION, clock=self._clock, say=self._say).call(
                "ec2", "describe_regions", AllRegions=True, RegionNames=[self.region]
            )
        except AwsError:
            return True
        return all(one.get("OptInStatus") != "not-opted-in" for one in answer["Regions"])

    def call(
        self,
        service: str,
        operation: str,
        *retries: RetryOn,
        **parameters: Any,
    ) -> dict[str, Any]:
        """Make one API call.

        Args:
            service: boto3's name of the service ("ec2").
            operation: boto3's name of the operation ("describe_vpcs").
            retries: the errors that mean "not yet".
            parameters: the operation's own.

        Raises:
            AwsError: AWS refused or could not be asked.

        """
        return self._call(self.client(service), operation, retries, parameters)

    def call_once(self, service: str, operation: str, *retries: RetryOn, **parameters: Any) -> dict[str, Any]:
        """Make one API call that must not be repeated when its answer is lost; botocore would do so.

        Args:
            service: as in `call`.
            operation: as in `call`.
            retries: as in `call`.
            parameters: as in `call`.

        Raises:
            AwsError: as in `call`; `is_lost` tells that AWS may have done it all the same.

        """
        again = (RetryOn(THROTTLING_CODES), *retries)
        return self._call(self.client(service, tries=1), operation, again, parameters)

    def _call(
        self, client: Any, operation: str, retries: Sequence[RetryOn], parameters: Mapping[str, Any]
    ) -> dict[str, Any]:
        began, pause_s = self._clock.now(), 0.5
        while True:
            try:
                answer: dict[str, Any] = getattr(client, operation)(**parameters)
            except (ClientError, BotoCoreError) as error:
                problem = explain(error, operation=operation, region=self.region)
                waited_s = self._clock.now() - began
                if not any(one.means(problem) and waited_s < one.deadline_s for one in retries):
                    raise problem from error
                self._clock.sleep(pause_s)
                pause_s = min(pause_s * 1.5, 5)
            else:
                return answer
            finally:
                self._watch.end()

    def call_or(
        self,
        absent: Collection[str],
        service: str,
        operation: str,
        *retries: RetryOn,
        **parameters: Any,
    ) -> dict[str, Any] | None:
        """Make one API call whose error may mean that there is nothing.

        Args:
            absent: error codes that mean "no such thing".
            service: as in `call`.
            operation: as in `call`.
            retries: as in `call`.
            parameters: as in `call`.

        Returns:
            the answer, None when there is no such thing.

        """
        try:
            return self.call(service, operation, *retries, **parameters)
        except AwsError as error:
            if error.code in absent:
                return None
            raise

    def page(
        self,
        service: str,
        operation: str,
        key: str,
        *retries: RetryOn,
        **parameters: Any,
    ) -> list[dict[str, Any]]:
        """Make one API call, or as many as the answer has pages.

        Args:
            service: as in `call`.
            operation: as in `call`.
            key: where the answer holds its items ("Vpcs").
            retries: as in `call`; with them, looks at one page only.
            parameters: as in `call`.

        Raises:
            AwsError: AWS refused or could not be asked.

        """
        client = self.client(service)
        if retries or not client.can_paginate(operation):
            return list(self.call(service, operation, *retries, **parameters)[key])
        try:
            pages = client.get_paginator(operation).paginate(**parameters)
            return [item for page in pages for item in page.get(key, ())]
        except (ClientError, BotoCoreError) as error:
            raise explain(error, operation=operation, region=self.region) from error
        finally:
            self._watch.end()

    @contextlib.contextmanager
    def before_each_call(self, action: Callable[[], None]) -> Iterator[None]:
        """Have something done before each call; what it raises comes in place of the call.

        Args:
            action: what is done, in the thread that calls; calls of its own have it done, too.

        """
        self._before_each_call = action
        try:
            yield
        finally:
            self._before_each_call = lambda: None

    def remembered(self, key: Hashable, load: Callable[[], T]) -> T:
        """Ask once for what several resources want to know at the same time.

        Args:
            key: names the question.
            load: asks it.

        Returns:
            the answer to the first time the question came up since `forget`.

        """
        with self._lock:
            mine = key not in self._answers
            answer = self._answers.setdefault(key, Future())
        if mine:
            try:
                answer.set_result(load())
            except BaseException as error:
                answer.set_exception(error)
                raise
        result: T = answer.result()
        return result

    def forget(self) -> None:
        """Ask again for everything but who is calling."""
        with self._lock:
            self._answers = {key: value for key, value in self._answers.items() if key == "identity"}

    def wait(
        self,
        service: str,
        waiter: str,
        *,
        deadline_s: float,
        delay_s: float = 1,
        **parameters: Any,
    ) -> None:
        """Wait with one of botocore's waiters.

        Args:
            service: as in `call`.
            waiter: its name ("instance_running").
            deadline_s: seconds after which it is an error.
            delay_s: seconds between two looks.
            parameters: of the operation that the waiter calls.

        Raises:
            AwsError: the deadline passed, or AWS reports a state that it never leaves.

        """
        config = {"Delay": delay_s, "MaxAttempts": max(1, int(deadline_s / delay_s))}
        try:
            self.client(service).get_waiter(waiter).wait(WaiterConfig=config, **parameters)
        except WaiterError as error:
            raise explain_waiter(error, waiter=waiter, deadline_s=deadline_s) from error
        except (ClientError, BotoCoreError) as error:
            raise explain(error, operation=waiter, region=self.region) from error
        finally:
            self._watch.end()

    def until(self, probe: Callable[[], T | None], *, what: str, deadline_s: float, every_s: float = 1) -> T:
        """Wait for what botocore has no waiter for.

        Args:
            probe: looks; returns something once it is so.
            what: what is waited for, for the error.
            deadline_s: seconds after which it is an error.
            every_s: seconds between two looks.

        Raises:
            AwsError: the deadline passed.

        """
        give_up = self._clock.now() + deadline_s
        while True:
            answer = probe()
            if answer is not None:
                return answer
            if self._clock.now() >= give_up:
                raise AwsError(
                    f"After {deadline_s:.0f} s, {what} has not come true.",
                    code=DEADLINE,
                    next_step="Run the same command again: it goes on from here.",
                )
            self._clock.sleep(every_s)

    def token(self, *parts: str) -> str:
        """Make an idempotency token: the same for the same parts, so that a repeat makes nothing twice.

        Args:
            parts: what the call is for; empty: the same within this run only.

        """
        return hashlib.sha256("\n".join(parts or (self._run,)).encode()).hexdigest()[:32]

    def run_token(self, *parts: str) -> str:
        """Make an idempotency token that holds for this run only."""
        return self.token(self._run, *parts)

    def _before(self, model: Any, **_: Any) -> None:
        self._before_each_call()
        with self._counter_lock:
            if model.name.startswith(_READING):
                self.reading_calls += 1
            else:
                self.mutating_calls += 1
