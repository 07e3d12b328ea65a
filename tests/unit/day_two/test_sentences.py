"""How a task ends whose tunnel is broken by its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from invoke.exceptions import ThreadException

from day_two.sentences import sentences
from provisioner.errors import FlowsteadError

RESET: Any = SimpleNamespace(
    type=ConnectionResetError, kwargs={}, value=ConnectionResetError(), traceback=None
)


@contextmanager
def tunnel() -> Iterator[None]:
    """As Fabric's: it tells in the end what has gone wrong in its threads."""
    try:
        yield
    finally:
        raise ThreadException([RESET])


@pytest.mark.parametrize(
    ("ended_by", "status", "said"),
    [
        (KeyboardInterrupt(), 0, ""),
        (FlowsteadError("The server has ended"), 1, "error: The server has ended\n"),
    ],
)
def test_what_ended_it_counts_and_not_what_its_end_has_broken(
    capsys: pytest.CaptureFixture[str], ended_by: BaseException, status: int, said: str
) -> None:
    with pytest.raises(SystemExit) as ended, sentences(), tunnel():
        raise ended_by
    assert (ended.value.code, capsys.readouterr().err) == (status, said)


def test_what_a_tunnel_breaks_by_itself_is_shown() -> None:
    with pytest.raises(ThreadException), sentences(), tunnel():
        pass
