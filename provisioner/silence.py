"""AWS does not answer: a word to the person, and an end to trying."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from provisioner.clock import Clock

_SILENT_S = 12
"""Seconds without an answer that are worth a word: chosen, no ordinary call takes so long."""
_AGAIN_S = 60
"""Seconds between two words about one service: chosen."""
_TRY_S = 90
"""Seconds after which a call is not made again: chosen, botocore's own pauses add up to less as a rule."""
_LOOK_S = 1
_LONGEST_MIN = 3
"""`_TRY_S`, botocore's longest pause (20 s), and a last try that runs into aws.py's two timeouts (70 s)."""


@dataclass
class _Call:
    """A call that has not ended: what is called, since when, and what AWS answered to its last try."""

    service: str
    operation: str
    began: float
    refusal: str = ""


class Watch:
    """Looks at the calls under way, one of each thread, those of paginators and waiters too.

    Args:
        say: told, at most once a minute for each service, of a call that has been waiting for long.
        clock: time.
        region: the AWS region, for what is said.

    """

    def __init__(self, say: Callable[[str], None], clock: Clock, region: str) -> None:
        self._say = say
        self._clock = clock
        self._region = region
        self._calls: dict[int, _Call] = {}
        self._said: dict[str, float] = {}
        self._changing = threading.Condition()
        self._is_looking = False

    def listen(self, client: Any) -> None:
        """Watch a client's calls.

        Args:
            client: boto3's.

        """
        events, service = client.meta.events, client.meta.service_model.service_id.hyphenize()
        # The last to hear that a call begins, the first to hear that it has ended: others may raise.
        events.register_last("before-call", self._begin)
        events.register_first(f"response-received.{service}", self._tried)
        events.register_first(f"needs-retry.{service}", self._give_up)
        for ending in ("after-call", "after-call-error"):
            events.register_first(f"{ending}.{service}", self.end)

    def end(self, **_: Any) -> None:
        """Take notice that this thread's call has ended; botocore does not tell when it was interrupted."""
        with self._changing:
            self._calls.pop(threading.get_ident(), None)

    def look(self) -> None:
        """Say what there is to say now."""
        # Said under the lock: nothing is said of a call that has ended.
        with self._changing:
            now = self._clock.now()
            for call in self._calls.values():
                said = self._said.get(call.service)
                if now - call.began >= _SILENT_S and (said is None or now - said >= _AGAIN_S):
                    self._said[call.service] = now
                    self._say(self._text(call, now - call.began))

    def _text(self, call: _Call, waited_s: float) -> str:
        going_on = f"trying on, for up to {_LONGEST_MIN} min in all."
        if call.refusal:
            return f"{call.service} refuses {call.operation} for now ({call.refusal}); {going_on}"
        return (
            f"{call.service} has not answered {call.operation} for {waited_s:.0f} s; {going_on} "
            f"Check the region ({self._region}), the network, and a proxy (HTTPS_PROXY)."
        )

    def _begin(self, model: Any, **_: Any) -> None:
        call = _Call(model.service_model.service_id, model.name, self._clock.now())
        with self._changing:
            self._calls[threading.get_ident()] = call
            if not self._is_looking:
                self._is_looking = True
                threading.Thread(target=self._look_on, name="silence", daemon=True).start()

    def _look_on(self) -> None:
        """Look every second of real time, whatever the clock, while calls are under way."""
        with self._changing:
            try:
                while self._calls:
                    self.look()
                    self._changing.wait(_LOOK_S)
            finally:
                self._is_looking = False

    def _tried(self, parsed_response: dict[str, Any] | None, **_: Any) -> None:
        if call := self._calls.get(threading.get_ident()):
            call.refusal = str((parsed_response or {}).get("Error", {}).get("Code", ""))

    def _give_up(self, **_: Any) -> bool | None:
        """Answer botocore's question whether to make a call again: no, or whatever it thinks itself."""
        call = self._calls.get(threading.get_ident())
        return False if call and self._clock.now() - call.began >= _TRY_S else None
